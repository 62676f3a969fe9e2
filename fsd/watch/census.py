"""What a source holds at the moment: every model by its path under the mount, and a print of its files.

A print is made of the names, devices, inode numbers, sizes and times of all files of a model, links followed:
equal prints are the same files, wherever they lie now. A hub cache's unfinished downloads are part of it.
Nothing is opened but what `places` reads. Knows no clock, and nothing of who is told.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from fsd.tree.hub import blobs_of
from fsd.tree.nodes import Folder, ModelSource, Root
from fsd.tree.places import Places
from translators.sources.recognise import set_of

# Deeper directories of a model are looked at when somebody asks for what is in them.
_DEEPEST = 8
_UNFINISHED = ".incomplete"
_WEIGHTS = (".gguf", ".safetensors")


@dataclass(frozen=True, slots=True)
class Seen:
    """A model as it was found. `changed_ns` is the newest change (ctime) of a file of it."""

    model: ModelSource
    print: bytes
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Census:
    """The models of `places` by their paths under the mount. `pause` is called between two of them."""

    places: Places
    pause: Callable[[], None] = lambda: None

    def take(self, only: Collection[str] | None = None) -> dict[str, Seen]:
        """Every model; with `only`, those whose paths begin with one of these names."""
        found: dict[str, Seen] = {}
        if only is None:
            for path, model in self._below(Root(), ""):
                found[path] = self._seen(model)
            return found
        for name in only:
            place = self.places.child(Root(), name)
            if isinstance(place, ModelSource):
                found[name] = self._seen(place)
            elif place is not None:
                found.update((path, self._seen(model)) for path, model in self._below(place, name))
        return found

    def _below(self, folder: Root | Folder, path: str) -> Iterator[tuple[str, ModelSource]]:
        for name, place in self.places.children(folder).items():
            below = f"{path}/{name}" if path else name
            if isinstance(place, ModelSource):
                yield below, place
            else:
                yield from self._below(place, below)

    def _seen(self, model: ModelSource) -> Seen:
        self.pause()
        digest = blake2b(digest_size=16)
        newest = 0
        for name, status in self._files(model):
            identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            digest.update(os.fsencode(f"{name}\0{identity}\0"))
            newest = max(newest, status.st_ctime_ns)
        return Seen(model, digest.digest(), newest)

    def _files(self, model: ModelSource) -> Iterator[tuple[str, os.stat_result]]:
        """The files that decide what the model's directory shows, by name, in order."""
        folder, own = os.path.split(model.path)
        if not Path(model.path).is_dir():
            names = self.places.look(folder).files
            members = set(set_of(own, names).files) if own.lower().endswith(_WEIGHTS) else {own}
            for name in sorted(names):
                if name in members or not name.lower().endswith(_WEIGHTS):
                    yield from _stat(os.path.join(folder, name), name)
            return
        yield from self._inside(model.path, "", 0)
        blobs = blobs_of(model.path)
        if blobs:
            for name in sorted(self.places.look(blobs).files):
                if name.endswith(_UNFINISHED):
                    yield from _stat(os.path.join(blobs, name), name)

    def _inside(self, path: str, below: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
        try:
            with os.scandir(path) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError:
            return
        for name in names:
            own = os.path.join(path, name)
            for _, status in _stat(own, name):
                if not stat.S_ISDIR(status.st_mode):
                    yield below + name, status
                elif depth < _DEEPEST and not name.startswith(".") and self.places.is_open(own):
                    yield from self._inside(own, f"{below}{name}/", depth + 1)


def _stat(path: str, name: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        yield name, os.stat(path)
    except OSError:
        return
