"""Views: the models once more, laid out as a program's own store, below `.prismfs`.

    ollama/      manifests and blobs, for OLLAMA_MODELS          ollama.py, images.py
    hub/         a Hugging Face cache, for HF_HUB_CACHE          hub_cache.py
    lmstudio/    publisher/model/file.gguf                       lmstudio.py

Nothing is copied: a weight in a view is the inode that the model's own directory shows, so that it is read,
translated and kept once. A name in a view plans nothing; what a model appears as there is planned when its
own directory or manifest is looked into. shelves.py says what models are called.
Knows no inode numbers, no handles and no FUSE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from fsd.planner import Planner
from fsd.tree.models import Known, ModelFolders
from fsd.tree.nodes import Mirror, ModelFolder, ModelSource, Node, ViewFolder
from fsd.tree.stored import Stored
from fsd.tree.views.hub_cache import HubCache
from fsd.tree.views.images import Images
from fsd.tree.views.lmstudio import LmStudio
from fsd.tree.views.ollama import Ollama
from fsd.tree.views.shelves import Models

Item = tuple[Node, Known | None]
Row = tuple[str, Node, Known | None]


class View(Protocol):
    """A store's layout. `parts` is a directory's path in it, () its top."""

    def child(self, parts: tuple[str, ...], name: str) -> Item | None:
        """What `name` is in a directory. Raises why a model has no forms at all."""

    def children(self, parts: tuple[str, ...]) -> Iterator[Row]:
        """What a listing of a directory shows."""


class Views:
    """Of one tree. `models` walks its models with their paths; `sha256` knows digests by identity."""

    def __init__(
        self, models: Callable[[], Iterable[tuple[str, ModelSource]]], stored: Stored, planner: Planner,
        folders: ModelFolders, sha256: Callable[[str], str | None],
    ) -> None:  # fmt: skip
        self._folders = folders
        shown = Models(models)
        self._views: dict[str, View] = {
            "ollama": Ollama(shown, folders, Images(stored, planner, sha256)),
            "hub": HubCache(shown),
            "lmstudio": LmStudio(shown),
        }

    def top(self) -> Iterator[tuple[str, ViewFolder]]:
        """The views by name."""
        return ((name, ViewFolder(name)) for name in self._views)

    def view(self, name: str) -> ViewFolder | None:
        """The view of that name."""
        return ViewFolder(name) if name in self._views else None

    def child(self, directory: ViewFolder | Mirror, name: str) -> Item | None:
        """What `name` is in a directory of a view. Raises PlanRefused, or why a model has no forms at all."""
        if isinstance(directory, Mirror):
            found = self._folders.child(directory.folder, name)
            return (_mirrored(directory, found[0]), found[1]) if found is not None else None
        view, *parts = directory.path.split("/")
        return self._views[view].child(tuple(parts), name)

    def children(self, directory: ViewFolder | Mirror) -> Iterator[Row]:
        """What a listing of a directory of a view shows."""
        if isinstance(directory, Mirror):
            for name, node, known in self._folders.children(directory.folder):
                yield name, _mirrored(directory, node), known
            return
        view, *parts = directory.path.split("/")
        yield from self._views[view].children(tuple(parts))


def _mirrored(directory: Mirror, node: Node) -> Node:
    return Mirror(directory.view, node) if isinstance(node, ModelFolder) else node
