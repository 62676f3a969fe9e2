"""Names: what a path in a request means. Looked up in trees, never through a mount of our own.

A path is an absolute one under a mount, or relative to a mount: the model's path, and perhaps a name in it.
Whatever lies outside every mount is not there, as far as anybody is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fsd.control.mounted import Mounted
from fsd.errors import Ambiguous, NoSuchEntry
from fsd.planner.messages import shown
from fsd.tree import FileNode, Found, ModelNode


@dataclass(frozen=True)
class Named:
    """What a path leads to, and in which mount."""

    mounted: Mounted
    found: Found

    @property
    def model(self) -> ModelNode:
        """The model that it is, or is in. Raises NoSuchEntry."""
        if self.found.model is None:
            raise NoSuchEntry("this is no model", path=shown(self.found.path))
        return self.found.model

    def file(self) -> FileNode:
        """The model's file that it is. Raises NoSuchEntry."""
        return self.mounted.tree.catalogue.file(self.found)

    def files(self) -> Iterator[FileNode]:
        """The file that it is, or every listed translated file at or below the directory that it is.

        Raises what planning a model of the directory raises.
        """
        if not self.found.is_directory:
            yield self.file()
            return
        for model in self._models():
            contents = self.mounted.tree.catalogue.contents(model)
            if contents.error is not None and self.found.model is not None:
                raise contents.error.error()
            prefix = f"{self.found.inside}/" if self.found.inside else ""
            for file in contents.files:
                if file.entry is None or not file.entry.translated or not file.listed:
                    continue
                if any(name.startswith(prefix) for name in file.names):
                    yield file

    def _models(self) -> Iterator[ModelNode]:
        if self.found.model is not None:
            yield self.found.model
            return
        for model in self.mounted.tree.models():
            if not self.found.path or model.path.startswith(f"{self.found.path}/"):
                yield model


def named(mounts: Sequence[Mounted], path: str, mountpoint: str | None = None) -> Named:
    """What `path` means; one that is relative to a mount perhaps in that of `mountpoint` alone.

    Raises NoSuchEntry, Ambiguous, and what looking it up raises.
    """
    absent = NoSuchEntry("there is nothing of this name under the mounts", path=shown(path))
    if any(part in (".", "..") for part in path.split("/")) or "\0" in path:
        raise absent
    if mountpoint is not None:
        mounts = [mount for mount in mounts if str(mount.place.mountpoint) == mountpoint]
    parts = "/".join(filter(None, path.split("/")))
    if path.startswith("/"):
        for mount in mounts:
            top = str(mount.place.mountpoint).strip("/")
            if parts == top or parts.startswith(f"{top}/"):
                return Named(mount, mount.tree.catalogue.find(parts[len(top) + 1 :]))
        raise absent
    found = []
    if parts:
        for mount in mounts:
            try:
                found.append(Named(mount, mount.tree.catalogue.find(parts)))
            except NoSuchEntry:
                continue
    if len(found) > 1:
        where = ", ".join(str(each.mounted.place.mountpoint) for each in found)
        raise Ambiguous("several mounts have this name", path=shown(path), place=where)
    if not found:
        raise absent
    return found[0]
