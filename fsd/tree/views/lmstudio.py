"""LM Studio's layout: publisher/model/file.gguf.

A model's directory there is its `gguf/`. Who published it is the first part of its path under the mount, if
that has several.
"""

from __future__ import annotations

from collections.abc import Iterator

from fsd.tree.forms import ALIASES
from fsd.tree.models import Known
from fsd.tree.nodes import Mirror, ModelFolder, Node, ViewFolder
from fsd.tree.views.shelves import Models, Shelf, plain

_VIEW = "lmstudio"
_NOBODY = "local"


class LmStudio:
    """The models that `models` knows, below `lmstudio`."""

    def __init__(self, models: Models) -> None:
        self._shelf = Shelf(models, _name_of)

    def child(self, parts: tuple[str, ...], name: str) -> tuple[Node, Known | None] | None:
        """A publisher, or a model of one."""
        if parts:
            shown = self._shelf.get(f"{parts[0]}/{name}")
            return (Mirror(_VIEW, ModelFolder(shown.source, ALIASES)), None) if shown is not None else None
        publishers = (each.partition("/")[0] for anew in (False, True) for each in self._shelf.all(anew=anew))
        return (ViewFolder(f"{_VIEW}/{name}"), None) if name in publishers else None

    def children(self, parts: tuple[str, ...]) -> Iterator[tuple[str, Node, Known | None]]:
        """The publishers, or the models of one."""
        paths = (name.split("/") for name in self._shelf.all())
        names = (own if parts else publisher for publisher, own in paths if parts in ((), (publisher,)))
        for name in dict.fromkeys(names):
            found = self.child(parts, name)
            if found is not None:
                yield name, *found


def _name_of(path: str) -> str:
    publisher, slash, own = path.partition("/")
    return f"{plain(publisher)}/{plain(own)}" if slash else f"{_NOBODY}/{plain(path)}"
