"""What can be under the mount, as values, and the inode numbers given to them.

A node is a frozen struct: equal nodes are one inode. What would make it another file is part of the
value (the version of a virtual file's sources, the device and inode of a source file), so that a number is
never used for two things while the daemon runs. Of msgspec, as each listing makes, hashes and compares
thousands: a dataclass takes five to ten times as long. Knows no disk and no planner.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Literal

import msgspec

ROOT = 1


class Attributes(msgspec.Struct, frozen=True, gc=False):
    """What stat tells. `mode` holds permission bits alone; `allocated` is bytes on disk or in the cache.

    lasting: it changes only as models do, or as its bytes are cached: who is told of that may keep it.
    """

    ino: int
    kind: Literal["directory", "file"]
    mode: int
    size: int
    allocated: int
    mtime_ns: int
    nlink: int
    lasting: bool = False


class Root(msgspec.Struct, frozen=True, gc=False):
    """The mount's top."""


class Folder(msgspec.Struct, frozen=True, gc=False):
    """A directory that is no model: its children are folders and models.

    path: where it is in the source, "" if it is there only by name.
    hub:  a directory whose `models--<org>--*` repositories it shows, with `org`; "" for none.
    """

    path: str
    hub: str = ""
    org: str = ""


class ModelSource(msgspec.Struct, frozen=True, gc=False):
    """A model: its directory or weight file, and its name under the mount (the last part)."""

    path: str
    name: str


class ModelFolder(msgspec.Struct, frozen=True, gc=False):
    """A model's directory, or the directory `inside` it ("gguf", "original/x"), stored or virtual."""

    model: ModelSource
    inside: str = ""

    def below(self, name: str) -> str:
        """The path of `name` from the model's own directory."""
        return f"{self.inside}/{name}" if self.inside else name


class SourceFile(msgspec.Struct, frozen=True, gc=False):
    """A file of the source, shown as it is."""

    path: str
    device: int
    inode: int


class VirtualFile(msgspec.Struct, frozen=True, gc=False):
    """A form of a model, by its plan's name; `version` names the version of the sources."""

    model: ModelSource
    name: str
    version: str


class StatusFolder(msgspec.Struct, frozen=True, gc=False):
    """What is the daemon's: `.prismfs`."""


class StatusFile(msgspec.Struct, frozen=True, gc=False):
    """`.prismfs/status.json`."""


class SumsFile(msgspec.Struct, frozen=True, gc=False):
    """A version of `.prismfs/SHA256SUMS`."""

    version: int


class ViewFolder(msgspec.Struct, frozen=True, gc=False):
    """A view, or a directory in it: `path` is below `.prismfs`, as "ollama/blobs"."""

    path: str


class Mirror(msgspec.Struct, frozen=True, gc=False):
    """A model's directory once more, in a view: its files are the same inodes, the directory is another."""

    view: str
    folder: ModelFolder


class ViewText(msgspec.Struct, frozen=True, gc=False):
    """A small file that a view makes, a manifest for one: another text is another file."""

    text: bytes
    mtime_ns: int


Node = (
    Root | Folder | ModelFolder | SourceFile | VirtualFile | StatusFolder | StatusFile | SumsFile
    | ViewFolder | Mirror | ViewText
)  # fmt: skip


class Inodes:
    """Nodes and their numbers: given when first seen, never given again. Safe for use by many threads."""

    def __init__(self) -> None:
        self._numbers: dict[Node, int] = {Root(): ROOT}
        self._nodes: list[Node] = [Root()]
        self._folders: dict[ModelSource, list[tuple[int, ModelFolder]]] = {}
        self._lock = threading.Lock()

    def number(self, node: Node) -> int:
        """The inode number of `node`."""
        known = self._numbers.get(node)
        if known is not None:
            return known
        with self._lock:
            number = self._numbers.get(node)
            if number is None:
                self._nodes.append(node)
                number = self._numbers[node] = ROOT + len(self._nodes) - 1
                if isinstance(node, ModelFolder):
                    self._folders.setdefault(node.model, []).append((number, node))
            return number

    def node(self, number: int) -> Node | None:
        """The node of an inode number that was given."""
        index = number - ROOT
        return self._nodes[index] if 0 <= index < len(self._nodes) else None

    def inside(self, models: Collection[ModelSource]) -> list[tuple[int, ModelFolder]]:
        """The directories of these models that were given numbers."""
        with self._lock:
            return [folder for model in models for folder in self._folders.get(model, ())]

    def models(self) -> int:
        """How many models have been seen."""
        return len(self._folders)
