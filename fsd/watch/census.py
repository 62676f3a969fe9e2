"""What a source holds at the moment: every model by its path under the mount, and a print of its files.

A print is made of the names, devices, inode numbers, sizes and times of all files of a model, links followed,
and of its directories: equal prints are the same files, wherever they lie now, and none came and went. A hub
cache's unfinished downloads are part of it, and of an adapter the files of its base model.
Nothing is opened but what `places` and `bases` read. Knows no clock, and nothing of who is told.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fsd.tree.hub import blobs_of
from fsd.tree.nodes import Folder, ModelSource, Root
from fsd.tree.places import Places
from translators.errors import TranslationError
from translators.sources.bases import Bases
from translators.sources.recognise import ADAPTER_CONFIG, is_weights, set_of

# Deeper directories of a model are looked at when somebody asks for what is in them.
_DEEPEST = 8
_UNFINISHED = ".incomplete"
# A link to nowhere, a file that was removed just now.
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

# Name, device, inode number, size, time.
_File = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """A model as it was found. `changed_ns` is the newest change (ctime) of a file of it.

    `print` is good in this process alone; None where a disk did not tell.
    """

    model: ModelSource
    print: int | None
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Census:
    """The models of `places` by their paths under the mount. `pause` is called between two of them.

    `bases` tells the models that adapters are for; `adapters` are the first names of paths of adapters, which
    may have changed where another model did.
    """

    places: Places
    pause: Callable[[], None] = lambda: None
    bases: Bases = field(default_factory=Bases)
    adapters: set[str] = field(default_factory=set)
    # Directories that are no models, in which models were looked for; grows until it is cleared.
    folders: set[str] = field(default_factory=set)

    def take(self, only: Collection[str] | None = None) -> dict[str, Seen]:
        """Every model; with `only`, those whose paths begin with one of these names."""
        found: dict[str, Seen] = {}
        if only is None:
            self.folders.clear()
            self.adapters.clear()
            for path, model in self._below(Root(), ""):
                found[path] = self._seen(model, path)
            return found
        for name, place in self.places.children(Root(), frozenset(only)).items():
            if isinstance(place, ModelSource):
                found[name] = self._seen(place, name)
            else:
                found.update((path, self._seen(model, path)) for path, model in self._below(place, name))
        return found

    def _below(self, folder: Root | Folder, path: str) -> Iterator[tuple[str, ModelSource]]:
        if isinstance(folder, Folder):
            self.folders.update(filter(None, (folder.path,)))
        for name, place in self.places.children(folder).items():
            below = f"{path}/{name}" if path else name
            if isinstance(place, ModelSource):
                yield below, place
            else:
                yield from self._below(place, below)

    def _seen(self, model: ModelSource, path: str) -> Seen:
        self.pause()
        found: list[_File] = []
        newest = 0
        try:
            for name, status in self._files(model):
                found.append((name, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
                newest = max(newest, status.st_ctime_ns)
                if name == ADAPTER_CONFIG:
                    self.adapters.add(path.partition("/")[0])
        except OSError:
            return Seen(model, None, newest)
        return Seen(model, hash(tuple(sorted(found))), newest)

    def _files(self, model: ModelSource) -> Iterator[tuple[str, os.stat_result]]:
        """The files that decide what the model's directory shows. Raises OSError where it cannot be told."""
        if os.path.isdir(model.path):  # noqa: PTH112  (ten times as fast as pathlib's, a thousand times a look)
            yield "", os.stat(model.path)
            yield from self._inside(model.path, "", 0)
            yield from self._base(model.path)
            blobs = blobs_of(model.path)
            names = self.places.look(blobs).files if blobs else ()
            yield from _stats(blobs, [name for name in names if name.endswith(_UNFINISHED)])
            return
        folder, own = os.path.split(model.path)
        names = self.places.look(folder).files
        members = set(set_of(own, names).files) if is_weights(own) else {own}
        yield from _stats(folder, [name for name in names if name in members or not is_weights(name)])

    def _base(self, path: str) -> Iterator[tuple[str, os.stat_result]]:
        """The files of the model that an adapter is for."""
        if not os.path.exists(os.path.join(path, ADAPTER_CONFIG)):  # noqa: PTH110
            return
        try:
            base = str(self.bases.of(Path(path)))
        except TranslationError:
            return  # told by whoever plans
        for name, status in _stats(base, os.listdir(base)):  # noqa: PTH208
            yield f"{base}/{name}", status

    def _inside(self, path: str, below: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    status = entry.stat()
                except OSError as error:
                    if error.errno in _ABSENT:
                        continue
                    raise
                if not stat.S_ISDIR(status.st_mode):
                    yield below + entry.name, status
                elif depth < _DEEPEST and entry.name[0] != "." and self.places.is_open(entry.path):
                    yield f"{below}{entry.name}/", status
                    yield from self._inside(entry.path, f"{below}{entry.name}/", depth + 1)


def _stats(folder: str, names: Collection[str]) -> Iterator[tuple[str, os.stat_result]]:
    for name in names:
        try:
            yield name, os.stat(os.path.join(folder, name))
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
