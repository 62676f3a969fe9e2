"""Which reads are under way, and which of them nobody waits for any more.

The kernel sends INTERRUPT for any signal that its waiting reader gets, also for one that the reader would
handle and go on: a plain file never answers EINTR to that, and in a map it would be SIGBUS. So a read is
called off only where its reader is being killed. (The kernel tells of a reader's first signal alone: one
that is killed after another signal waits for its bytes, as it would without INTERRUPT.)
An interrupt may be read before its request, by another worker. EAGAIN, which would have the kernel send it
again, must be written to the device that its request came from, which nobody knows yet; so it is remembered.
Knows no device and no message.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from fsd.engine.interrupt import Interrupt

# Interrupts of requests that were just answered stay here until as many others have come.
REMEMBERED = 256
_KILLED = 1 << (signal.SIGKILL - 1)


class Reads:
    """The reads in hand, by the number that the kernel gave them. Safe for use by many threads."""

    def __init__(self) -> None:
        self._under_way: dict[int, tuple[Interrupt, int]] = {}
        self._early: dict[int, None] = {}
        self._lock = threading.Lock()

    def begin(self, unique: int, reader: int) -> Interrupt:
        """Note a read for the thread `reader` (0: unknown); to be ended with `end`."""
        interrupt = Interrupt()
        # Without a lock: noted first, asked then, where `interrupted` does it the other way round.
        self._under_way[unique] = (interrupt, reader)
        if unique in self._early:
            self.interrupted(unique)
        return interrupt

    def end(self, unique: int) -> None:
        """Its answer is written: nothing can interrupt it any more."""
        del self._under_way[unique]

    def interrupted(self, unique: int) -> None:
        """The reader of this request was sent a signal: if it dies of it, the read is called off."""
        if unique not in self._under_way:
            with self._lock:
                self._early[unique] = None
                if len(self._early) > REMEMBERED:
                    del self._early[next(iter(self._early))]
        interrupt, reader = self._under_way.get(unique, (None, 0))
        if interrupt is not None and _is_dying(reader):
            interrupt.fire()


def _is_dying(thread: int) -> bool:
    """Whether a thread is being killed: a deadly signal becomes SIGKILL for each thread of its process."""
    try:
        lines = Path(f"/proc/{thread}/status").read_text().splitlines()
    except OSError:
        return False  # of another PID namespace
    pending = next((line for line in lines if line.startswith("SigPnd:")), "SigPnd: 0")
    return bool(int(pending.split()[1], 16) & _KILLED)
