"""Listings: open directories, each with its entries as of one moment.

A directory is looked at when its listing is read from the start, and once more by who starts anew; whoever
goes on sees the entries that he began with. Knows the methods of `fsd.tree.Tree`; no binding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsd.tree import Attributes, Tree


class Listing:
    """The open directory `ino`. `age` is what `aged` gave right before the entries were asked for."""

    def __init__(self, tree: Tree, ino: int, aged: Callable[[], int] = lambda: 0) -> None:
        self.ino = ino
        self.age = 0
        self._tree = tree
        self._aged = aged
        self._entries: list[tuple[str, Attributes]] | None = None
        self._begun = False

    def lasts(self) -> bool:
        """Whether the kernel, where it is told of changes, need not ask for it by the next handle."""
        lasts = self._tree.lasts(self.ino)
        if lasts is None:  # as nobody has listed it yet: it is found out by doing so
            self._look()
            lasts = self._tree.lasts(self.ino)
        return bool(lasts)

    def entries(self, offset: int) -> list[tuple[str, Attributes]]:
        """All of them, to be read from `offset` on; from the start (0) as they are now."""
        entries = self._entries
        if entries is None or (offset == 0 and self._begun):
            entries = self._look()
        self._begun = True
        return entries

    def _look(self) -> list[tuple[str, Attributes]]:
        self.age = self._aged()
        self._entries = self._tree.entries(self.ino)
        return self._entries
