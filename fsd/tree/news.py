"""What came, changed and went in a source, and which directories under the mount look different for it.

Found out by who watches the source, told to who serves the tree. Knows nothing of who keeps what.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fsd.tree.nodes import Folder, Inodes, ModelSource, Root
from fsd.tree.places import Place, Places


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


def news_of(changes: Changes, inodes: Inodes, places: Places) -> News:
    """What these changes are to who was told of the directories and names under the mount."""
    folders: dict[Spot, None] = {}
    entries: dict[tuple[Spot, str], None] = {}
    paths = {model: path for path, model in changes.models.items()}
    appeared = frozenset(changes.appeared)
    found: dict[str, Place | None] = {}
    for path in (*changes.appeared, *changes.changed, *changes.vanished):
        node: Root | Folder = Root()
        below = ""
        parts = path.split("/")
        for number, part in enumerate(parts):
            spot = Spot(inodes.number(node), below)
            folders[spot] = None
            if path not in appeared:  # of what was not there, nobody was told
                entries[spot, part] = None
            if number + 1 == len(parts):
                break
            below = f"{below}/{part}"
            if below not in found:
                found[below] = places.child(node, part)
            place = found[below]
            if not isinstance(place, Folder):
                break
            node = place
    inside = [
        Spot(number, "/".join(filter(None, ("", *paths[folder.model].split("/"), folder.inside))))
        for number, folder in inodes.inside(paths.keys())
    ]
    return News(tuple(folders), tuple(entries), tuple(inside))
