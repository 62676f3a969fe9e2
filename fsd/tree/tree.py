"""Tree: inode numbers, names, attributes, handles. See the package's docstring for what is where."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.metadata import version

import msgspec

from fsd.engine import Engine, EngineFile
from fsd.errors import IsADirectory, NoSuchEntry, NotADirectory, StaleHandle
from fsd.planner import Planner
from fsd.planner.messages import shown
from fsd.tree.ahead import PlanAhead
from fsd.tree.catalogue import Catalogue, source_identity
from fsd.tree.forms import target_of
from fsd.tree.handles import Handle, SourceHandle, TextHandle, VirtualHandle
from fsd.tree.listings import Entries, Listings
from fsd.tree.models import Known, ModelFolders, Planned
from fsd.tree.news import Changes, News, news_of
from fsd.tree.nodes import (
    ROOT,
    Attributes,
    Folder,
    Inodes,
    Mirror,
    ModelFolder,
    ModelSource,
    Node,
    Root,
    SourceFile,
    StatusFile,
    StatusFolder,
    SumsFile,
    ViewFolder,
    ViewText,
    VirtualFile,
)
from fsd.tree.places import Gate, Place, Places, Recogniser
from fsd.tree.reports import ModelNode, ModelReport
from fsd.tree.status import STATUS_SIZE, status
from fsd.tree.stored import Stored
from fsd.tree.sums import Sums, SumsVersion, lines
from fsd.tree.survey import Survey
from fsd.tree.views import Views
from translators.layout import BYTES_VERSION
from translators.sources.recognise import recognise

OWN, STATUS, SUMS = ".prismfs", "status.json", "SHA256SUMS"
_VERSION = version("prismfs")

Directory = Root | Folder | ModelFolder | StatusFolder | ViewFolder | Mirror


class Tree:
    """What exists under a mount of `source`, a directory or a weight file. Safe for use by many threads.

    `types` are the GGUF types that directories list. `excluded` are absolute paths that are not looked
    into: the mount point, where it lies in the source. Planner and engine are the caller's to close.
    """

    ROOT = ROOT

    def __init__(
        self, source: str | os.PathLike[str], planner: Planner, engine: Engine, *, types: Collection[str],
        excluded: Collection[str | os.PathLike[str]] = (), recognise: Recogniser = recognise,
    ) -> None:  # fmt: skip
        self.source = os.path.abspath(os.fspath(source))
        self._planner = planner
        self._engine = engine
        self._places = Places(self.source, [os.fspath(path) for path in excluded], recognise)
        self._stored = Stored(self._places)
        self._folders = ModelFolders(self._stored, planner, types)
        self._inodes = Inodes()
        self._ahead = PlanAhead(self._prepare)
        self._listings = Listings()
        self._started_ns = time.time_ns()
        self._told: dict[str, Callable[[], object]] = {}
        self._digests: Mapping[str, str] = {}
        self._sums = Sums(self._known_sums)
        self._survey = Survey(self._child_of, self._places, self._inodes, self._stored, self._folders)
        self._views = Views(self._sources, self._stored, planner, self._folders, self._sha256)
        self.catalogue = Catalogue(self.lookup, self._inodes, self._stored, self._folders)
        # Of virtual files, by inode number: the layout's identity, and how much of it stat has told is held.
        self._held: dict[int, tuple[str, int]] = {}

    @property
    def excluded(self) -> Collection[str]:
        """Absolute paths that are not looked into."""
        return self._places.excluded

    def watched(self, admits: Gate, told: Mapping[str, Place]) -> None:
        """From now on `news` is called for whatever changes; see `Places.watched`."""
        self._places.watched(admits, told)
        self._listings.keeping = True

    def lookup(self, parent: int, name: str) -> Attributes:
        """The entry `name` of a directory. Plans the model only where the name is no source file's.

        Raises NoSuchEntry, NotADirectory, PlanRefused, PlanningFailed, TranslationError, OSError.
        """
        directory = self._directory(parent)
        node, known = self._child(directory, name)
        return self._told_in(directory, self._attributes(self._inodes.number(node), node, known))

    def attributes(self, ino: int) -> Attributes:
        """stat of an inode. Raises StaleHandle where it is an earlier version, OSError where it is gone."""
        return self._attributes(ino, self._node(ino))

    def entries(self, ino: int) -> list[tuple[str, Attributes]]:
        """What a listing of a directory shows, not to be changed. Of a model that cannot be planned: its
        source files.
        """
        return self._listings.of(ino, lambda: self._entries(self._directory(ino)))

    def _entries(self, directory: Directory) -> tuple[Entries, bool]:
        found: Entries = []
        for name, node, known in self._children(directory):
            try:
                attributes = self._attributes(self._inodes.number(node), node, known)
                found.append((name, self._told_in(directory, attributes)))
            except (OSError, StaleHandle):  # it went away meanwhile
                continue
        return found, isinstance(directory, ModelFolder) and bool(self._folders.lasts(directory.model))

    def _told_in(self, directory: Directory, attributes: Attributes) -> Attributes:
        """`news` tells of models' own directories and of no view's: a name there is to be asked for again."""
        in_view = isinstance(directory, ViewFolder | Mirror)
        return msgspec.structs.replace(attributes, lasting=False) if in_view else attributes

    def open(self, ino: int) -> Handle:
        """A handle on a file, to be closed. Raises IsADirectory, StaleHandle, and what `lookup` raises."""
        node = self._node(ino)
        if isinstance(node, SourceFile):
            return SourceHandle(ino, node.path, (node.device, node.inode))
        if isinstance(node, StatusFile):
            return TextHandle(ino, self.status())
        if isinstance(node, SumsFile):
            return TextHandle(ino, self._sums_of(node).text)
        if isinstance(node, ViewText):
            return TextHandle(ino, node.text)
        if isinstance(node, VirtualFile):
            return VirtualHandle(ino, self._engine_file(node))
        raise IsADirectory("it is a directory")

    def news(self, changes: Changes) -> News:
        """Which directories and names these changes make look different from what was told of them."""
        news = news_of(changes, self._inodes, self._places)
        self._listings.drop(spot.ino for spot in news.inside)
        return news

    def lasts(self, ino: int) -> bool | None:
        """Whether a directory's listing changes only as models do, which `news` tells; None: not known yet.

        Directories of models that can be planned do; of others, for reasons that may pass at any moment, not.
        """
        node = self._node(ino)
        return self._folders.lasts(node.model) if isinstance(node, ModelFolder) else False

    def grown(self) -> list[int]:
        """Inode numbers of the files of which another part is cached than `attributes` has told."""
        grown = [
            ino for ino, (identity, held) in list(self._held.items()) if self._engine.held(identity) != held
        ]
        models = {node.model for node in map(self._inodes.node, grown) if isinstance(node, VirtualFile)}
        if models:
            self._listings.drop(number for number, _ in self._inodes.inside(models))
        return grown

    def xattrs(self, ino: int) -> dict[str, bytes]:
        """Extended attributes: what a file or a format's directory is, what it is made from, by what."""
        node = self._node(ino)
        if isinstance(node, SourceFile):
            told = {"user.prismfs.target": b"source", "user.prismfs.sources": os.fsencode(node.path)}
            return told | (
                self._digest(source_identity(node.path, os.stat(node.path))) if self._digests else {}
            )
        if isinstance(node, VirtualFile):
            entry, forms = self._folders.entry(node)
            return self._digest(entry.identity) | {
                "user.prismfs.target": entry.describe.encode(),
                "user.prismfs.translated": b"yes" if entry.translated else b"no",
                "user.prismfs.sources": b"\n".join(file.path for file in forms.listing.files),
                "user.prismfs.engine": f"prismfs {_VERSION}, bytes {BYTES_VERSION}".encode(),
            }
        if isinstance(node, ModelFolder) and (format_ := self._folders.format_of(node)):
            return {"user.prismfs.target": format_.encode()}
        return {}

    def statfs(self) -> os.statvfs_result:
        """The figures of the file system that the source is on."""
        return os.statvfs(self.source)

    def tell(self, name: str, value: Callable[[], object]) -> None:
        """Have status.json tell what `value` gives then, as `name`: facts of who serves the tree."""
        self._told[name] = value

    @property
    def models_known(self) -> int:
        """How many models were looked up or listed so far."""
        return self._inodes.models()

    def know(self, digests: Mapping[str, str]) -> None:
        """Have the sha256 of files told by `digests`: by identity (`FileNode.identity`), and live."""
        self._digests = digests

    def engine_file(self, ino: int, *, warm: bool = False) -> EngineFile:
        """A virtual file of this very version as the engine has it, to be closed; see `Engine.open`.

        Raises NoSuchEntry where the inode is none, and what `open` raises.
        """
        node = self._node(ino)
        if not isinstance(node, VirtualFile):
            raise NoSuchEntry("this is no virtual file")
        return self._engine_file(node, warm=warm)

    def status(self) -> bytes:
        """The content of `.prismfs/status.json`."""
        facts: dict[str, object] = {
            "source": shown(self.source),
            "pid": os.getpid(),
            "version": _VERSION,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started_ns / 1e9)),
            "models_known": self._inodes.models(),
            "planning_processes_started": self._planner.started,
            "engine": self._engine.counters().as_dict(),
            "store": self._engine.store.figures(),
        } | {name: value() for name, value in self._told.items()}
        return status(facts, self._planner.failures())

    def models(self) -> Iterator[ModelNode]:
        """Every model under the mount, in order. Walks the source; plans nothing."""
        return self._survey.models()

    def explain(self, path: str = "") -> list[ModelReport]:
        """What the models at or below `path` of the mount appear as, and what they do not, and why.

        Plans each. Raises NoSuchEntry for a path that is not there.
        """
        return self._survey.explain(path)

    def _engine_file(self, node: VirtualFile, *, warm: bool = False) -> EngineFile:
        self._folders.entry(node)
        layout = self._planner.layout(node.model.path, node.name)
        file = self._engine.open(layout, warm=warm, target=target_of(node.name))
        try:
            # Once more: what was planned is of this version only if the source still is.
            self._folders.entry(node)
        except BaseException:
            file.close()
            raise
        self._engine.store.name(file.identity, f"{node.model.name}/{node.name}")
        return file

    def _sha256(self, identity: str) -> str | None:
        return self._digests.get(identity)

    def _digest(self, identity: str) -> dict[str, bytes]:
        sha256 = self._sha256(identity)
        return {"user.prismfs.sha256": sha256.encode()} if sha256 is not None else {}

    def _known_sums(self) -> bytes:
        if not self._digests:
            return b""
        known = filter(None, (self.catalogue.known(model) for model in self.models()))
        files = [file for contents in known for file in contents.files if file.entry is not None]
        return lines(
            (file.path, self._digests[file.identity]) for file in files if file.identity in self._digests
        )

    def _sums_of(self, node: SumsFile) -> SumsVersion:
        version = self._sums.of(node.version)
        if version is None:
            raise StaleHandle("there are other digests now")
        return version

    def _node(self, ino: int) -> Node:
        node = self._inodes.node(ino)
        if node is None:
            raise NoSuchEntry(f"no inode has the number {ino}")
        return node

    def _directory(self, ino: int) -> Directory:
        node = self._node(ino)
        if isinstance(node, SourceFile | VirtualFile | StatusFile | SumsFile | ViewText):
            raise NotADirectory("it is a file")
        return node

    def _child(self, directory: Directory, name: str) -> tuple[Node, Known | None]:
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            raise NoSuchEntry("no such name", place=shown(name))
        if isinstance(directory, ModelFolder | ViewFolder | Mirror):
            inside: tuple[Node, Known | None] | None = (
                self._folders.child(directory, name)
                if isinstance(directory, ModelFolder)
                else self._views.child(directory, name)
            )
            if inside is None:
                raise NoSuchEntry("no such name", place=shown(name))
            return inside
        found: Node | None = None
        if isinstance(directory, StatusFolder):
            found = StatusFile() if name == STATUS else self._sums_node() if name == SUMS else None
            found = found or self._views.view(name)
        elif isinstance(directory, Root) and name == OWN:
            found = StatusFolder()
        else:
            place = self._places.child(directory, name)
            found = _as_node(place) if place is not None else None
        if found is None:
            raise NoSuchEntry("no such name", place=shown(name))
        return found, None

    def _child_of(self, directory: Root | Folder, name: str) -> Node:
        return self._child(directory, name)[0]

    def _children(self, directory: Directory) -> Iterator[tuple[str, Node, Known | None]]:
        if isinstance(directory, StatusFolder):
            yield STATUS, StatusFile(), None
            yield SUMS, self._sums_node(), None
            yield from ((name, view, None) for name, view in self._views.top())
        elif isinstance(directory, ViewFolder | Mirror):
            yield from self._views.children(directory)
        elif isinstance(directory, ModelFolder):
            if not directory.inside:
                self._ahead.listed(directory.model)
            yield from self._folders.children(directory)
        else:
            # The root does not list `OWN`: who copies or searches a mount would meet each file again.
            places = self._places.children(directory)
            self._ahead.shown([place for place in places.values() if isinstance(place, ModelSource)])
            for name, place in places.items():
                yield name, _as_node(place), None

    def _sources(self) -> Iterator[tuple[str, ModelSource]]:
        """Every model with its path, as `models` walks them."""
        for model in self.models():
            node = self._node(model.ino)
            if isinstance(node, ModelFolder):
                yield model.path, node.model

    def _sums_node(self) -> SumsFile:
        return SumsFile(self._sums.current().number)

    def _prepare(self, model: ModelSource) -> None:
        if not self._folders.is_planned(model):
            self._planner.prepare(model.path)

    def _attributes(self, ino: int, node: Node, known: Known | None = None) -> Attributes:
        """stat of a node, by what is known of it from just now."""
        if isinstance(node, SourceFile):
            found = known if isinstance(known, os.stat_result) else os.stat(node.path)
            if (found.st_dev, found.st_ino) != (node.device, node.inode):
                raise StaleHandle("the file was replaced", path=shown(node.path))
            return Attributes(
                ino, "file", 0o644, found.st_size, found.st_blocks * 512, found.st_mtime_ns, 1, lasting=True
            )
        if isinstance(node, VirtualFile):
            entry, forms = known if isinstance(known, Planned) else self._folders.entry(node)
            held = self._engine.held(entry.identity)
            self._held[ino] = entry.identity, held
            return Attributes(ino, "file", 0o644, entry.size, held, forms.mtime_ns, 1, lasting=True)
        if isinstance(node, StatusFile):
            return Attributes(ino, "file", 0o644, STATUS_SIZE, 0, time.time_ns(), 1)
        if isinstance(node, SumsFile):
            sums = self._sums_of(node)
            return Attributes(ino, "file", 0o644, len(sums.text), 0, sums.made_ns, 1)
        if isinstance(node, ViewText):
            return Attributes(ino, "file", 0o644, len(node.text), 0, node.mtime_ns, 1)
        changed = known.st_mtime_ns if isinstance(known, os.stat_result) else self._changed(node)
        return Attributes(ino, "directory", 0o755, 4096, 0, changed, 2, lasting=True)

    def _changed(self, node: Directory) -> int:
        """When a directory was changed: that of the source, as far as there is one."""
        path = self.source
        if isinstance(node, StatusFolder | ViewFolder):
            return self._started_ns
        if isinstance(node, Mirror):
            return self._changed(node.folder)
        if isinstance(node, Folder):
            path = node.path or node.hub
        elif isinstance(node, ModelFolder):
            path = self._stored.path(node)
        try:
            return os.stat(path).st_mtime_ns
        except OSError:
            # A directory that is there by name only ("gguf") is as old as its model.
            if isinstance(node, ModelFolder):
                return os.stat(node.model.path).st_mtime_ns
            raise


def _as_node(place: Place) -> Node:
    return ModelFolder(place) if isinstance(place, ModelSource) else place
