"""Where models lie in a source directory, and what their places are called under the mount.

Decided from names alone, of one directory and what is directly below, when it is looked at: nothing walks
the source beforehand, and no file is opened (but for a hub cache's `refs/main`).

    <dir>/                                  a model, if it holds one set of weights: <dir>/
    <dir>/a.gguf, b.gguf                    several: each is a model of its own, <dir>/a/ and <dir>/b/
    models--org--name/snapshots/<rev>/      a hub cache's repository: org/name/, the revision of refs/main
    <dir>/<dir>/...                         a folder, if there may be a model below

ONNX files in a directory `onnx` beside other weights, as in hub repositories, are no model of their own.
A source that is itself one model, or a weight file, is shown as a folder with this one model. Names with a
leading dot are not looked into; nor is a link back to a directory that it lies in, nor the mount itself.
Knows nothing of what is in a model's directory, nor of inodes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fsd.tree import hub
from fsd.tree.nodes import Folder, ModelSource, Root
from translators.sources.recognise import Found, recognise

Place = Folder | ModelSource
Recogniser = Callable[[Iterable[str]], list[Found]]
# Whether the model at a path of the source may be shown.
Gate = Callable[[str], bool]

# Where a repository has what its weights were exported to.
_EXPORTED = "onnx"
# Directories looked into before a folder without a model in sight is shown all the same.
_PATIENCE = 64


@dataclass(frozen=True, slots=True)
class Contents:
    """The names in a directory, links followed: regular files, and directories without a leading dot.

    `lost` are symbolic links that lead nowhere, or to themselves.
    """

    files: frozenset[str] = frozenset()
    directories: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class Places:
    """The folders and models below `source`, an absolute path of a directory or a weight file.

    `excluded` are absolute paths that are not looked into. `recognise` says which models files are.
    """

    def __init__(
        self, source: str, excluded: Collection[str] = (), recognise: Recogniser = recognise
    ) -> None:
        self.source = source
        self.excluded = self._excluded = frozenset(excluded)
        self._excluding = frozenset(str(Path(path).parent) for path in excluded)
        self._recognise = recognise
        self.admits: Gate = lambda path: True
        # What others found directories to be, by path; None where nobody tells, and each is looked at.
        self._told: Mapping[str, Place] | None = None

    def watched(self, admits: Gate, told: Mapping[str, Place]) -> None:
        """Show the models that `admits` says. Which directories are models or folders, `told` knows by path,
        now and later: no model is looked at to find out; what is neither told of nor admitted is not there.
        """
        self.admits, self._told = admits, told

    def children(self, folder: Root | Folder, only: Collection[str] | None = None) -> dict[str, Place]:
        """What a folder shows, by name, in order; with `only`, under these names, and looks at no other."""
        candidates = self._candidates(folder, only)
        found = {name: place() for name, place in sorted(candidates.items()) if only is None or name in only}
        return {name: place for name, place in found.items() if place is not None}

    def child(self, folder: Root | Folder, name: str) -> Place | None:
        """What a folder shows under `name`; looks at no other."""
        return self.children(folder, (name,)).get(name)

    def omitted(self, folder: Root | Folder) -> dict[str, str]:
        """Directories and broken links of a folder that are not shown, with the reason."""
        where = self._top() if isinstance(folder, Root) else folder
        if not isinstance(where, Folder) or not where.path:
            return {}
        reasons = dict.fromkeys(self.look(where.path).lost, "is a symbolic link to nowhere, or to itself")
        for name, place in self._candidates(where).items():
            path = os.path.join(where.path, name)
            if path not in self._excluded and place() is None:
                reasons[name] = self._reason(path)
        return dict(sorted(reasons.items()))

    def look(self, path: str) -> Contents:
        """The files and directories in a directory; none where it cannot be read."""
        try:
            with os.scandir(path) as entries:
                seen = self._seen(entries) if path in self._excluding else entries
                kinds = [(entry.name, _kind(entry)) for entry in seen]
        except OSError:
            return Contents()
        files = frozenset(name for name, kind in kinds if kind == "file")
        directories = (name for name, kind in kinds if kind == "directory" and not name.startswith("."))
        lost = (name for name, kind in kinds if kind == "lost" and not name.startswith("."))
        return Contents(files, tuple(sorted(directories)), tuple(sorted(lost)))

    def _seen(self, entries: Iterable[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
        return (entry for entry in entries if entry.path not in self._excluded)

    def is_open(self, path: str) -> bool:
        """Whether a directory may be looked into: it is not excluded, and no link back to where it lies."""
        return path not in self._excluded and not self._leads_back(path)

    def _candidates(
        self, folder: Root | Folder, only: Collection[str] | None = None
    ) -> dict[str, Callable[[], Place | None]]:
        """What may be in a folder, each looked at when called; of its directories perhaps some alone."""
        if isinstance(folder, Root):
            top = self._top()
            if isinstance(top, ModelSource):
                return {top.name: lambda: top}
            folder = top
        found: dict[str, Callable[[], Place | None]] = {}
        contents = self.look(folder.path) if folder.path else Contents()
        own = self._with_models(folder.path, contents)
        for name in contents.directories:
            if (only is None or name in only) and not hub.is_repository(name):
                path = os.path.join(folder.path, name)
                found[name] = _bound(self._directory, path, name) if name in own else lambda: None
        for repository in hub.repositories(folder.path, contents.directories):
            if repository.org:
                shared = os.path.join(folder.path, repository.org)
                path = shared if repository.org in contents.directories else ""
                found[repository.org] = _bound(self._organisation, path, folder.path, repository.org)
            else:
                found.setdefault(repository.name, _bound(self._repository, repository))
        if folder.hub:
            for repository in hub.repositories(folder.hub, self.look(folder.hub).directories):
                if repository.org == folder.org:
                    found.setdefault(repository.name, _bound(self._repository, repository))
        for model in self._loose(contents):
            path = os.path.join(folder.path, _first_weight(model))
            if not self.admits(path):
                continue
            # A directory of the same name is there first; the file's full name is then free.
            taken = model.name in found or model.name in contents.directories
            name = Path(path).name if taken else model.name
            found[name] = _bound(ModelSource, path, name)
        return found

    def _loose(self, contents: Contents) -> list[Found]:
        """The models that lie in a folder as files, each with a name."""
        return [
            Found(model.format, model.name or _stem(model), model.files)
            for model in self._recognise(contents.files)
        ]

    def _top(self) -> Place:
        """The source itself: a model, or a folder."""
        name = Path(self.source).name or "model"
        if not Path(self.source).is_dir():
            found = self._recognise([name])
            if not self.admits(self.source):
                return Folder("")
            return ModelSource(self.source, (found[0].name or _stem(found[0])) if found else name)
        repository = hub.repository(str(Path(self.source).parent), name)
        if repository is not None:
            return self._repository(repository) or Folder(self.source)
        contents = self.look(self.source)
        if not self._recognise(contents.files):
            return Folder(self.source)
        place = self._directory(self.source, hub.name_of_snapshot(self.source) or name)
        return place or Folder(self.source)

    def _organisation(self, path: str, cache: str, org: str) -> Place | None:
        folder = Folder(path, cache, org)
        return folder if any(place() is not None for place in self._candidates(folder).values()) else None

    def _repository(self, repository: hub.Repository) -> Place | None:
        """The first of its revisions that is there."""
        for path in hub.snapshots(repository.directory):
            place = self._directory(path, repository.name)
            if place is not None:
                return place
        return None

    def _directory(self, path: str, name: str) -> Place | None:
        """What a directory is: a model, a folder of models, or nothing to show."""
        if self._told is not None and path != self.source:
            told = self._told.get(path)
            if isinstance(told, ModelSource):
                return told if told.name == name else ModelSource(path, name)
            # One that is admitted and not told of has lost its weights for the moment.
            if told is None and not self.admits(path):
                return None
        return self._found(path, name)

    def _found(self, path: str, name: str) -> Place | None:
        """The same, by a look at it."""
        if not self.is_open(path):
            return None
        contents = self.look(path)
        found = self._recognise(contents.files)
        whole = [model for model in found if not model.name]
        if whole and (whole[0].format != "gguf" or not self._holds_model(path, contents)):
            return ModelSource(path, name) if self.admits(path) else None
        shown = self._shows(path, found) or self._holds_model(path, contents, in_doubt=True)
        return Folder(path) if shown else None

    def _with_models(self, path: str, contents: Contents) -> tuple[str, ...]:
        """The directories in `path` that may hold models of their own."""
        if _EXPORTED not in contents.directories:
            return contents.directories
        if {found.format for found in self._recognise(contents.files)} <= {_EXPORTED}:
            return contents.directories
        exported = self._recognise(self.look(os.path.join(path, _EXPORTED)).files)
        if {found.format for found in exported} != {_EXPORTED}:
            return contents.directories
        return tuple(name for name in contents.directories if name != _EXPORTED)

    def _holds_model(self, path: str, contents: Contents, *, in_doubt: bool = False) -> bool:
        """Whether there is a model below `path`, breadth first; `in_doubt` where it takes too long to say."""
        waiting = [os.path.join(path, name) for name in self._with_models(path, contents)]
        for looked, below in enumerate(waiting):
            if looked >= _PATIENCE:
                return in_doubt
            if not self.is_open(below):
                continue
            inside = self.look(below)
            if self._shows(below, self._recognise(inside.files)):
                return True
            waiting += [os.path.join(below, name) for name in self._with_models(below, inside)]
        return False

    def _shows(self, path: str, found: Iterable[Found]) -> bool:
        """Whether of the models that lie in a directory any is there yet."""
        return any(
            self.admits(path) or self.admits(os.path.join(path, _first_weight(each))) for each in found
        )

    def _reason(self, path: str) -> str:
        """Why a directory is not shown."""
        if self._leads_back(path):
            return "is a symbolic link to a directory that it lies in"
        parent, name = os.path.split(path)
        if name == _EXPORTED and name not in self._with_models(parent, self.look(parent)):
            return "holds what the weights beside it were exported to"
        try:
            with os.scandir(path):
                return "holds no model that is recognised"
        except OSError as error:
            return f"cannot be read: {error.strerror}"

    def _leads_back(self, path: str) -> bool:
        """Whether a symbolic link leads to a directory that it lies in: such a path would never end."""
        if not os.path.islink(path):  # noqa: PTH114  (asked for every directory of a listing)
            return False
        try:
            target = os.stat(path)
            for parent in Path(path).parents:
                if os.path.samestat(parent.stat(), target):
                    return True
                if str(parent) == self.source:
                    break
        except OSError:
            return True
        return False


def _bound(make: Callable[..., Place | None], *arguments: str | hub.Repository) -> Callable[[], Place | None]:
    return lambda: make(*arguments)


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir():
            return "directory"
        if entry.is_file():
            return "file"
        return "lost" if entry.is_symlink() and not Path(entry.path).exists() else ""
    except OSError:  # a link that leads to itself
        return "lost"


def _first_weight(model: Found) -> str:
    return next((name for name in model.files if not name.endswith(".json")), model.files[0])


def _stem(model: Found) -> str:
    """A name for the model of files that need none in a directory of their own."""
    name = _first_weight(model)
    return name[: name.rindex(".")].partition("-00001-of-")[0] or name
