"""What a service manager is told: sd_notify(3)'s protocol over a datagram socket, by our own few lines.

    service = notify.Service.taken(os.environ)      # its variables are gone from what children inherit
    with notify.telling(service, mountpoints, figures) as told:
        told.mounted()                              # READY=1 follows, once every mount answers a stat
        told.stopping()

READY=1 comes after every mount answered; STATUS= with figures every half minute; WATCHDOG=1 only while
mounts answer in time: a mount that hangs is not fed, and the manager acts. Where no manager is, nothing is
asked and nothing is sent. Knows nothing of what the figures mean.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fsd.mount.asking import Question

log = logging.getLogger(__name__)

STATUS_SECONDS = 30.0
# A mount that has just come is asked, and where it fails asked again, this often.
SOON = 0.05
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@dataclass(frozen=True)
class Service:
    """The manager's socket ("" where there is none), and how often it wants to hear of us (0: never)."""

    socket: str = ""
    watchdog_seconds: float = 0.0

    @classmethod
    def taken(cls, environment: MutableMapping[str, str]) -> Service:
        """From the variables of sd_notify(3) and sd_watchdog_enabled(3), which are taken out of it.

        A watchdog that is meant for another process is not ours; a value that is no number is none.
        """
        address, period, pid = (environment.pop(name, "") for name in _VARIABLES)
        if not address.startswith(("/", "@")):
            return cls()
        mine = pid in ("", str(os.getpid()))
        return cls(address, int(period) / 1e6 if mine and period.isdecimal() else 0.0)

    def tell(self, *lines: str) -> None:
        """Send a message, as "READY=1". A manager that does not listen is no reason to end."""
        if not self.socket:
            return
        # A leading "@" is an abstract name, which begins with a zero byte.
        address = os.fsencode(self.socket)
        address = b"\0" + address[1:] if address.startswith(b"@") else address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as own:
                own.settimeout(1.0)
                own.sendto("\n".join(lines).encode("utf-8", "replace"), address)
        except OSError as error:
            log.warning("the service manager cannot be told %s: %s", lines[0], error)


class Told:
    """What the daemon says of itself, in order; its own thread does the asking. See `telling`."""

    def __init__(self, service: Service, mountpoints: Sequence[Path], figures: Callable[[], str]) -> None:
        self._service = service
        self._questions = [Question(mountpoint) for mountpoint in mountpoints]
        self._figures = figures
        self._lock = threading.Lock()  # nothing overtakes STOPPING
        self._mounted, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="prismfs-notify", daemon=True)
        if service.socket:
            self._thread.start()

    def mounted(self) -> None:
        """The mounts are there; they will be asked. Does not wait."""
        self._mounted.set()

    def stopping(self) -> None:
        """The mounts are about to go: nothing else is told after this. Twice is harmless."""
        with self._lock:
            if not self._stopping.is_set():
                self._service.tell("STOPPING=1", "STATUS=Unmounting")
            self._stopping.set()
        self._mounted.set()

    def close(self) -> None:
        """The mounts are gone."""
        self.stopping()
        if self._service.socket:
            self._thread.join(1.0)
        for question in self._questions:
            question.close()

    def _run(self) -> None:
        """READY once the mounts answer; then figures and pings, until the end."""
        self._mounted.wait()
        while not self._answer(SOON):
            if self._stopping.wait(SOON):
                return
        self._say("READY=1", f"STATUS={self._figures()}")
        # sd_watchdog_enabled(3): at half the time. To ask and to be answered are a half of that each.
        turn = self._service.watchdog_seconds / 4 or STATUS_SECONDS
        shown, hangs = time.monotonic(), False
        while not self._stopping.wait(min(turn, STATUS_SECONDS)):
            if self._service.watchdog_seconds:
                hung, hangs = hangs, not self._answer(turn)
                if not hangs:
                    self._say("WATCHDOG=1")
                elif not hung:
                    log.error("a mount does not answer within %g s", turn)
                    self._say("STATUS=A mount does not answer")
            if not hangs and time.monotonic() - shown >= STATUS_SECONDS:
                shown = time.monotonic()
                self._say(f"STATUS={self._figures()}")

    def _answer(self, within: float) -> bool:
        """Whether every mount answers; `within` is the time for all of them."""
        until = time.monotonic() + within
        for question in self._questions:
            question.ask()
        return all(question.answered(max(0.0, until - time.monotonic())) for question in self._questions)

    def _say(self, *lines: str) -> None:
        with self._lock:
            if not self._stopping.is_set():
                self._service.tell(*lines)


@contextmanager
def telling(service: Service, mountpoints: Sequence[Path], figures: Callable[[], str]) -> Iterator[Told]:
    """While the block runs, `service` is told of the mounts; `figures` gives a line for people."""
    told = Told(service, mountpoints, figures)
    try:
        yield told
    finally:
        told.close()
