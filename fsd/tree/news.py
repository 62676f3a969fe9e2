"""What came, changed and went in a source, and which directories under the mount look different for it.

Data only: found out by who watches the source, told to who serves the tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fsd.tree.nodes import ModelSource


@dataclass(frozen=True, slots=True)
class Changes:
    """Models by their paths under the mount: new ones, those with other files, and those that are gone.

    `models` has what is, or was, behind each path that may have been looked into.
    """

    appeared: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    models: Mapping[str, ModelSource] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.appeared or self.changed or self.vanished)

    @property
    def count(self) -> int:
        """How many models it is about."""
        return len(self.appeared) + len(self.changed) + len(self.vanished)


class Spot(NamedTuple):
    """A directory under the mount: its inode number, and its path from the top, "" or "/org"."""

    ino: int
    path: str


@dataclass(frozen=True, slots=True)
class News:
    """What was told of these is out of date, as far as it was told.

    folders: their listings. entries: a name in a directory, and what is below. inside: a model's directory,
    its listing, every name in it and what each name leads to.
    """

    folders: tuple[Spot, ...] = ()
    entries: tuple[tuple[Spot, str], ...] = ()
    inside: tuple[Spot, ...] = ()
