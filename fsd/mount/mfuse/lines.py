"""Listings as libfuse takes them: made once, as a directory is listed again and again without a change.

libfuse 3.14 does not pass on that the kernel may keep a listing (its high-level interface's opendir), so
that each `ls` asks for every entry. Knows how an entry is told; not whether it may be.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fsd.mount.answers import mode_of
from fsd.mount.mfuse.binding import status_of

if TYPE_CHECKING:
    from fsd.tree import Attributes

Stat = Callable[["Attributes"], bytes]
Entries = Sequence[tuple[str, "Attributes"]]

# Lines of all listings together, somewhat less than a kilobyte each.
_KEPT = 1 << 16


@dataclass(slots=True)
class Line:
    """An entry of a directory. `noted`: it has been noted as something that the kernel was told."""

    path: str
    name: bytes
    attributes: Attributes
    noted: bool = False
    _few: bytes = b""
    _whole: bytes = b""

    def few(self) -> bytes:
        """Its number and type."""
        if not self._few:
            self._few = status_of(self.attributes.ino, mode_of(self.attributes))
        return self._few

    def whole(self, stat: Stat) -> bytes:
        """All that `stat` tells of it."""
        if not self._whole:
            self._whole = stat(self.attributes)
        return self._whole


class Lines:
    """Lines by directory, kept as long as the tree tells the very same entries. For use by many threads."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Entries, list[Line]]] = {}
        self._size = 0

    def of(self, directory: str, entries: Entries) -> list[Line]:
        """The lines of a directory with these entries."""
        kept = self._kept.get(directory)
        if kept is not None and kept[0] is entries:
            return kept[1]
        lines = [Line(f"{directory}/{name}", os.fsencode(name), entry) for name, entry in entries]
        if self._size > _KEPT:
            self._kept, self._size = {}, 0
        self._size += len(lines)
        self._kept[directory] = entries, lines
        return lines
