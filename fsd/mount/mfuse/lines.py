"""Listings as libfuse takes them: made once, as a directory is listed again and again without a change.

libfuse 3.14 does not pass on that the kernel may keep a listing (its high-level interface's opendir), so
that each `ls` asks for every entry. Knows how an entry is told; not whether it may be.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fsd.mount.answers import mode_of
from fsd.mount.mfuse.binding import status_of

if TYPE_CHECKING:
    from fsd.tree import Attributes

Entries = Sequence[tuple[str, "Attributes"]]

# Lines of all listings together, somewhat less than a kilobyte each.
_KEPT = 1 << 16


@dataclass(slots=True)
class Line:
    """An entry of a directory. `few` is its number and type, `whole` all that stat tells.

    noted: it has been noted as something that the kernel was told.
    """

    path: str
    name: bytes
    attributes: Attributes
    few: ctypes.Structure
    whole: ctypes.Structure
    noted: bool = False


class Lines:
    """Lines by directory, kept as long as the tree tells the very same entries. For use by many threads."""

    def __init__(self, stat: Callable[[Attributes], dict[str, int]]) -> None:
        self._stat = stat
        self._kept: dict[str, tuple[Entries, list[Line]]] = {}
        self._size = 0

    def of(self, directory: str, entries: Entries) -> list[Line]:
        """The lines of a directory with these entries."""
        kept = self._kept.get(directory)
        if kept is not None and kept[0] is entries:
            return kept[1]
        lines = [self._line(f"{directory}/{name}", name, attributes) for name, attributes in entries]
        if self._size > _KEPT:
            self._kept, self._size = {}, 0
        self._size += len(lines)
        self._kept[directory] = entries, lines
        return lines

    def _line(self, path: str, name: str, attributes: Attributes) -> Line:
        few = status_of({"st_ino": attributes.ino, "st_mode": mode_of(attributes)})
        return Line(path, os.fsencode(name), attributes, few, status_of(self._stat(attributes)))
