"""Interrupt: how a read under way learns that nobody waits for it any more.

The one who asked for the read fires it, from any thread; the read, where it waits, gives up with
`fsd.errors.Interrupted`. Knows nothing of reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Interrupt:
    """Fired once or never. Safe for use by many threads."""

    def __init__(self) -> None:
        self._fired = False
        self._actions: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    @property
    def fired(self) -> bool:
        """Whether nobody waits any more."""
        return self._fired

    def fire(self) -> None:
        """Nobody waits any more. Twice is harmless."""
        with self._lock:
            self._fired = True
            actions, self._actions = self._actions, []
        for action in actions:
            action()

    def then(self, action: Callable[[], None]) -> None:
        """Have `action` run when it is fired, by the thread that does; at once where it was already."""
        with self._lock:
            if not self._fired:
                self._actions.append(action)
                return
        action()
