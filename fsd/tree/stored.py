"""The source files of a model, as its directory shows them.

A model that is a directory has all that is in it; one that is a weight file has the files of its set.
Links are followed; what is neither a regular file nor a directory is not there. Directories with a
leading dot (.git, .cache) are not shown. Knows nothing of virtual files or inodes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from fsd.tree.nodes import ModelFolder
from fsd.tree.places import Places
from translators.sources.recognise import set_of


class Stored:
    """Looks source files up by `places`' rules."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def path(self, folder: ModelFolder) -> str:
        """Where a model's directory, or one inside it, is or would be in the source."""
        return os.path.join(folder.model.path, folder.inside) if folder.inside else folder.model.path

    def find(self, folder: ModelFolder, name: str) -> os.stat_result | None:
        """stat of the file or directory `name`, if the folder shows it."""
        if not os.path.isdir(folder.model.path):  # noqa: PTH112  (as all here: pathlib's takes ten times as long)
            if folder.inside or name not in self._set(folder.model.path):
                return None
            return _stat(os.path.join(os.path.dirname(folder.model.path), name))  # noqa: PTH120
        path = os.path.join(self.path(folder), name)
        status = _stat(path)
        if status is not None and stat.S_ISDIR(status.st_mode):
            return status if not name.startswith(".") and self._places.is_open(path) else None
        return status

    def entries(self, folder: ModelFolder) -> Iterator[tuple[str, os.stat_result]]:
        """Everything that the folder shows, by name, with its stat."""
        if not os.path.isdir(folder.model.path):  # noqa: PTH112
            directory = os.path.dirname(folder.model.path)  # noqa: PTH120
            names = [] if folder.inside else sorted(self._set(folder.model.path))
        else:
            directory = self.path(folder)
            contents = self._places.look(directory)
            open_ = [d for d in contents.directories if self._places.is_open(os.path.join(directory, d))]
            names = sorted(contents.files.union(open_))
        for name in names:
            status = _stat(os.path.join(directory, name))
            if status is not None:
                yield name, status

    def at(self, folder: ModelFolder, name: str) -> str:
        """The path of a file that the folder shows."""
        return os.path.join(self.directory(folder), name)

    def directory(self, folder: ModelFolder) -> str:
        """Where the files that a folder shows lie."""
        path = self.path(folder)
        return path if os.path.isdir(path) else os.path.dirname(path)  # noqa: PTH112, PTH120

    def _set(self, path: str) -> frozenset[str]:
        """The names of the files that a weight file belongs with."""
        folder, own = os.path.split(path)
        siblings = self._places.look(folder).files
        return frozenset(set_of(own, siblings).files) if own in siblings else frozenset()


def _stat(path: str) -> os.stat_result | None:
    """stat of a regular file or directory; None for anything else, or where it cannot be told."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) else None
