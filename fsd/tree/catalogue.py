"""The catalogue: models with all of their files, by path, for who controls the daemon.

What a directory shows is for who lists it; here every file is told, listed or not, once, with what was
planned of it. Asked from within the daemon, so never through the mount. Knows nothing of handles.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from fsd.errors import NoSuchEntry
from fsd.planner import Entry, Failure, FileIdentity, FolderEntry, RefusedEntry
from fsd.planner.messages import shown
from fsd.tree.forms import Forms
from fsd.tree.models import ModelFolders
from fsd.tree.nodes import ROOT, Attributes, Inodes, ModelFolder, SourceFile, VirtualFile
from fsd.tree.reports import ModelNode
from fsd.tree.stored import Stored


@dataclass(frozen=True, slots=True)
class Found:
    """What a path under the mount leads to; `inside` is the path in the directory of `model`, if any."""

    path: str
    ino: int
    is_directory: bool
    model: ModelNode | None
    inside: str


@dataclass(frozen=True, slots=True)
class FileNode:
    """A file of a model: `names` are all of its paths in the model's directory, the first is its own.

    identity: names its bytes. entry: what was planned, None for a source file. sources: paths of the files
    that it is made from.
    """

    model: ModelNode
    names: tuple[str, ...]
    ino: int
    identity: str
    size: int
    listed: bool
    entry: Entry | None
    sources: tuple[str, ...]

    @property
    def path(self) -> str:
        """Its path under the mount."""
        return f"{self.model.path}/{self.names[0]}"


@dataclass(frozen=True, slots=True)
class ModelContents:
    """A model with all of its files, the forms that it lacks, or why it has no forms at all.

    folders: directories whose files are told when they are asked for.
    """

    model: ModelNode
    files: tuple[FileNode, ...]
    refusals: tuple[RefusedEntry, ...]
    error: Failure | None
    folders: tuple[FolderEntry, ...] = ()


class Catalogue:
    """Of one tree, whose parts these are. Safe for use by many threads."""

    def __init__(
        self, lookup: Callable[[int, str], Attributes], inodes: Inodes, stored: Stored, folders: ModelFolders
    ) -> None:
        self._lookup = lookup
        self._inodes = inodes
        self._stored = stored
        self._folders = folders

    def find(self, path: str) -> Found:
        """What is at `path`, relative to the mount; "" is its top. Plans what a look-up would.

        Raises NoSuchEntry (also for "." and ".."), and what `Tree.lookup` raises.
        """
        ino, is_directory, model, inside = ROOT, True, None, ""
        below = ""
        for part in path.split("/") if path else ():
            if not is_directory:
                raise NoSuchEntry("a file has nothing in it", path=shown(path))
            attributes = self._lookup(ino, part)
            ino, is_directory = attributes.ino, attributes.kind == "directory"
            below = f"{below}/{part}" if below else part
            node = self._inodes.node(ino)
            if model is not None:
                inside = f"{inside}/{part}" if inside else part
            elif isinstance(node, ModelFolder):
                model = ModelNode(below, ino, node.model.path)
        return Found(below, ino, is_directory, model, inside)

    def file(self, found: Found) -> FileNode:
        """The model's file that was found. Raises NoSuchEntry where it is none."""
        if found.model is not None and not found.is_directory:
            node = self._inodes.node(found.ino)
            place = node.name if isinstance(node, VirtualFile) else found.inside
            directory = place.rpartition("/")[0]
            for file in self.contents(found.model, directory).files:
                if file.ino == found.ino:
                    return file
        raise NoSuchEntry("this is no file of a model", path=shown(found.path))

    def contents(self, model: ModelNode, directory: str = "") -> ModelContents:
        """A model with all of its files; it is planned if it was not.

        Files in a directory of a format are told with that `directory` alone, and then no others of forms.
        """
        folder = self._folder(model)
        return self._contents(model, folder, self._folders.forms(folder.model, directory))

    def known(self, model: ModelNode) -> ModelContents | None:
        """The same, if nothing has to be planned for it; else None."""
        folder = self._folder(model)
        forms = self._folders.known(folder.model)
        return self._contents(model, folder, forms) if forms is not None else None

    def _folder(self, model: ModelNode) -> ModelFolder:
        node = self._inodes.node(model.ino)
        if not isinstance(node, ModelFolder):
            raise NoSuchEntry("this is no model", path=shown(model.path))
        return node

    def _contents(self, model: ModelNode, folder: ModelFolder, forms: Forms) -> ModelContents:
        files = list(self._source_files(model, folder))
        taken = {file.names[0] for file in files}
        sources = tuple(shown(os.fsdecode(file.path)) for file in forms.listing.files)
        names: dict[str, list[str]] = {}
        listed: set[str] = set()
        for form in forms.all:
            if form.path not in taken:
                names.setdefault(form.entry.name, []).append(form.path)
                listed |= {form.entry.name} if form.listed else set()
        for entry in forms.listing.entries:
            if entry.name in names:
                node = VirtualFile(folder.model, entry.name, forms.version)
                files.append(
                    FileNode(
                        model, tuple(names[entry.name]), self._inodes.number(node), entry.identity,
                        entry.size, entry.name in listed, entry, sources,
                    )
                )  # fmt: skip
        refusals = tuple(refused for refused in forms.listing.refusals if refused.name not in taken)
        folders = tuple(each for each in forms.listing.folders if each.name not in taken)
        return ModelContents(model, tuple(files), refusals, forms.listing.error, folders)

    def _source_files(self, model: ModelNode, folder: ModelFolder) -> Iterator[FileNode]:
        for name, found in self._stored.entries(folder):
            if stat.S_ISDIR(found.st_mode):
                yield from self._source_files(model, ModelFolder(folder.model, folder.below(name)))
                continue
            path = self._stored.at(folder, name)
            ino = self._inodes.number(SourceFile(path, found.st_dev, found.st_ino))
            identity = source_identity(path, found)
            below = (folder.below(name),)
            yield FileNode(model, below, ino, identity, found.st_size, True, None, (shown(path),))


def source_identity(path: str, status: os.stat_result) -> str:
    """64 hex digits that name the bytes of a source file: this version of it."""
    identity = FileIdentity.from_stat(os.fsencode(path), status)
    return blake2b(msgspec.msgpack.encode(identity), digest_size=32).hexdigest()
