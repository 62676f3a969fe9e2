"""Listings of models' directories, told again as they were until something in them is another.

Only where somebody says what changed: a source that is watched. What was asked for before a change was told,
and is known only after it, is told once and not kept. Knows nothing of what is in a listing but its length.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from fsd.tree.nodes import Attributes

Entries = list[tuple[str, Attributes]]

# Entries of all listings together, a few hundred bytes each.
_KEPT = 1 << 17


class Listings:
    """By inode number. Safe for use by many threads; nothing is kept before `keeping` is set."""

    def __init__(self) -> None:
        self.keeping = False
        self._kept: dict[int, Entries] = {}
        self._size = 0
        self._age = 0
        self._lock = threading.Lock()

    def of(self, ino: int, look: Callable[[], tuple[Entries, bool]]) -> Entries:
        """The entries of a directory, not to be changed; `look` finds them, and whether they last."""
        kept, age = self._kept.get(ino), self._age
        if kept is not None:
            return kept
        entries, lasts = look()
        if lasts and self.keeping:
            with self._lock:
                if age == self._age and ino not in self._kept:
                    if self._size + len(entries) > _KEPT:
                        self._kept, self._size = {}, 0
                    self._kept[ino] = entries
                    self._size += len(entries)
        return entries

    def drop(self, inos: Iterable[int]) -> None:
        """These directories are others by now; what is being looked at may have been before."""
        with self._lock:
            self._age += 1
            for ino in inos:
                self._size -= len(self._kept.pop(ino, ()))
