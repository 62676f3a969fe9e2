"""The life of a mount: mount, serve, and leave nothing behind.

`run` returns when the mount is gone: unmounted by someone, or by us on SIGTERM, SIGINT (Ctrl-C) or SIGHUP.
The adapter runs in a thread of its own; the main thread only acts on what happens to it.
Open files do not keep a daemon that was told to stop: the mount is detached, and their next read fails.
Knows nothing of models; the adapter comes ready made.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from fsd.mount import points
from fsd.mount.adapters import Adapter
from fsd.mount.points import MountError

log = logging.getLogger(__name__)

# One busy Python thread otherwise holds the GIL for 5 ms at a time: 4 KiB reads went from 40 us to 5.2 ms.
SWITCH_SECONDS = 5e-5
# The kernel's default of 128 KiB makes eight requests of each 1 MiB; far bigger values cost throughput.
READ_AHEAD_KIB = 1024
# A handler that computes cannot be interrupted; longer than this nobody waits for it.
LEAVE_SECONDS = 10.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run(
    adapter: Adapter, mountpoint: Path, *, allow_other: bool = False, on_ready: Callable[[], None]
) -> bool:
    """Mount at `mountpoint` (see `points.prepare`) and have `adapter` serve it. For the main thread.

    `on_ready` is called once, when the mount answers. Raises MountError if it cannot be mounted.
    Returns False if a handler still runs: the process then has to end without waiting for its threads.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    reason = MountError(
        "libfuse could not mount; its own message says why",
        path=str(mountpoint),
        remedy="prismfs doctor checks what a mount needs",
    )

    def serve() -> None:
        nonlocal reason
        try:
            adapter.serve(str(mountpoint), allow_other=allow_other, on_ready=lambda: events.put("ready"))
        except MountError as error:
            reason = error
        finally:
            events.put("ended")

    server = threading.Thread(target=serve, name="prismfs-fuse", daemon=True)
    with _signals(events.put):
        server.start()

        def leave() -> None:
            _leave(mountpoint, server, adapter.end)
            events.put("stuck")

        last = _follow(events, mountpoint, on_ready, leave)
    if last is None:
        raise reason
    return last == "ended"


def _follow(
    events: queue.SimpleQueue[str], mountpoint: Path, on_ready: Callable[[], None], leave: Callable[[], None]
) -> str | None:
    """Act on what happens, in order, until the server ended or is given up; None if it was never ready."""
    ready = stopping = leaving = False
    while (event := events.get()) not in ("ended", "stuck"):
        if event == "ready":
            ready = True
            _raise_read_ahead(mountpoint)
            on_ready()
        else:
            log.info("%s: unmounting %s", event, mountpoint)
            stopping = True
        if stopping and ready and not leaving:  # a signal may come before there is a mount to leave
            leaving = True
            threading.Thread(target=leave, name="prismfs-leave", daemon=True).start()
    return event if ready else None


def _leave(mountpoint: Path, server: threading.Thread, end: Callable[[], None]) -> None:
    """Unmount, or end the server and detach; waits for the server, but not for ever."""
    try:
        points.unmount(mountpoint, patience=0.5)
    except MountError:  # files are open
        end()
    server.join(LEAVE_SECONDS)
    if points.mount_at(mountpoint) is not None:
        with contextlib.suppress(MountError):
            points.unmount(mountpoint, lazy=True, patience=0)


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
