"""The life of a daemon's mounts: mount, serve, and leave nothing behind.

`run` returns when they are gone: unmounted by someone, or by us on SIGTERM, SIGINT (Ctrl-C) or SIGHUP.
Each adapter runs in a thread of its own; the main thread only acts on what happens to them.
Open files do not keep a daemon that was told to stop: the mount is detached, and their next read fails.
Knows nothing of models; the adapters come ready made.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsd.mount import points
from fsd.mount.adapters import Adapter
from fsd.mount.points import MountError

log = logging.getLogger(__name__)

# One busy Python thread otherwise holds the GIL for 5 ms at a time: 4 KiB reads went from 40 us to 5.2 ms.
SWITCH_SECONDS = 5e-5
# The kernel's default of 128 KiB makes eight requests of each 1 MiB; far bigger values cost throughput.
READ_AHEAD_KIB = 1024
# A handler that computes cannot be interrupted; longer than this after it was told to leave nobody waits for
# it. Service managers and operators expect an end within 5 s: the rest is for what is closed afterwards.
LEAVE_SECONDS = 2.5
# Files that are closed at once need no force.
BUSY_SECONDS = 0.5
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Served:
    """What is mounted where: `mountpoint` is as `points.prepare` left it."""

    adapter: Adapter
    mountpoint: Path
    allow_other: bool = False


def _nothing() -> None:
    """For who is not told."""


def run(
    mounts: Sequence[Served],
    on_ready: Callable[[], None],
    *,
    on_stop: Callable[[], None] = _nothing,
    on_cut_off: Callable[[], None] = _nothing,
) -> bool:
    """Mount each and have its adapter serve it, until the last one is gone. For the main thread.

    `on_ready` is called once, when every mount is there. `on_stop` is called once, when all begin to be
    unmounted; `on_cut_off`, in a thread of its own, after a mount was ended although files are open: what its
    readers wait for can be given up. None of them may block. Raises MountError if a mount cannot be mounted;
    the others are unmounted again. Returns False if a handler still runs: the process then has to end without
    waiting for its threads.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    events: Events = queue.SimpleQueue()
    own = [_Mount(served, events, on_cut_off) for served in mounts]
    with _signals(lambda name: events.put((None, name))):
        for mount in own:
            mount.start()
        _follow(events, own, on_ready, on_stop)
    for mount in own:
        if mount.failure is not None:
            raise mount.failure
    return not any(mount.state == "stuck" for mount in own)


Events = queue.SimpleQueue["tuple[_Mount | None, str]"]


class _Mount:
    """A mount and the thread that serves it. `state` is starting, ready, ended or stuck, in this order.

    What happens is put into `events` as (this, state); the main thread takes it from there.
    """

    def __init__(self, served: Served, events: Events, on_cut_off: Callable[[], None]) -> None:
        self.served = served
        self.state = "starting"
        self.failure: MountError | None = None
        self._events = events
        self._on_cut_off = on_cut_off
        self._leaving = False
        name = f"prismfs-fuse {served.mountpoint.name}"
        self._server = threading.Thread(target=self._serve, name=name, daemon=True)

    def start(self) -> None:
        """Have it mounted."""
        self._server.start()

    def leave(self) -> None:
        """Have it unmounted, in a thread of its own. Once is enough."""
        if not self._leaving:
            self._leaving = True
            threading.Thread(target=self._leave, name="prismfs-leave", daemon=True).start()

    def _serve(self) -> None:
        served = self.served
        try:
            served.adapter.serve(
                str(served.mountpoint), allow_other=served.allow_other, on_ready=lambda: self._tell("ready")
            )
        except MountError as error:
            self.failure = error
        finally:
            self._tell("ended")

    def _leave(self) -> None:
        """Unmount, or end the server and detach; waits for the server, but not for ever."""
        mountpoint = self.served.mountpoint
        until = time.monotonic() + LEAVE_SECONDS
        try:
            points.unmount(mountpoint, patience=BUSY_SECONDS)
        except MountError:  # files are open
            self.served.adapter.end()
            self._on_cut_off()
        self._server.join(max(0.0, until - time.monotonic()))
        if points.mount_at(mountpoint) is not None:
            with contextlib.suppress(MountError):
                points.unmount(mountpoint, lazy=True, patience=0)
        self._tell("stuck")

    def _tell(self, state: str) -> None:
        self._events.put((self, state))


def _follow(
    events: Events, mounts: Sequence[_Mount], on_ready: Callable[[], None], on_stop: Callable[[], None]
) -> None:
    """Act on what happens, in order, until every server ended or is given up."""
    told = stopping = leaving = False
    while any(mount.state in ("starting", "ready") for mount in mounts):
        mount, event = events.get()
        if mount is None:
            log.info("%s: unmounting %s", event, ", ".join(str(mount.served.mountpoint) for mount in mounts))
            stopping = True
        elif mount.state in ("starting", "ready"):
            if event == "ready":
                _raise_read_ahead(mount.served.mountpoint)
            elif mount.state == "starting":
                mount.failure = mount.failure or _unmounted(mount.served.mountpoint)
                stopping = True
            mount.state = event
        if not told and not stopping and not any(mount.state == "starting" for mount in mounts):
            told = True
            on_ready()
        if stopping and not leaving:
            leaving = True
            on_stop()
        if stopping:  # a signal may come before there is a mount to leave
            for mount in mounts:
                if mount.state == "ready":
                    mount.leave()


def _unmounted(mountpoint: Path) -> MountError:
    remedy = "prismfs doctor checks what a mount needs"
    return MountError(
        "libfuse could not mount; its own message says why", path=str(mountpoint), remedy=remedy
    )


@contextlib.contextmanager
def _signals(arrived: Callable[[str], None]) -> Iterator[None]:
    """SIGNALS have their names told to `arrived`, in a thread. libfuse leaves alone what is handled already.

    Through a pipe, as Python runs handlers in the main thread alone: while that waits for an event, a signal
    that came a moment before, or that another thread was interrupted by, would not wake it.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def listen() -> None:
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            while number := pipe.read(1):
                if number[0] in SIGNALS:  # others, which somebody else handles, come this way as well
                    arrived(signal.Signals(number[0]).name)

    listener = threading.Thread(target=listen, name="prismfs-signals", daemon=True)
    listener.start()
    before = {number: signal.signal(number, lambda number, frame: None) for number in SIGNALS}
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        for number, previous in before.items():
            signal.signal(number, previous)
        os.close(writer)
        listener.join()


def _raise_read_ahead(mountpoint: Path) -> None:
    """Ask for 1 MiB at a time, where we are root; otherwise the engine's chunks make up for it.

    The mount is found in the kernel's table. A thread that asked it for a stat could not die before it was
    answered: a daemon that was killed meanwhile would wait for itself, for ever.
    """
    mount = points.mount_at(mountpoint)
    if mount is None:
        return
    setting = Path(f"/sys/class/bdi/{mount.device}/read_ahead_kb")
    try:
        if int(setting.read_text()) < READ_AHEAD_KIB:
            setting.write_text(str(READ_AHEAD_KIB))
    except OSError as error:
        log.debug("read-ahead stays at the kernel's default: %s", error)
