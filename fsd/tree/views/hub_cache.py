"""A Hugging Face cache's layout: models--org--name/refs/main and snapshots/<revision>/.

A snapshot is the model's directory once more: source files and listed forms, as regular files. The revision
is the one of the cache that the model comes from, elsewhere one made of the model's path, so that reading it
needs no plan. Nothing else of a cache is there: without the network nobody asks for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fsd.tree.models import Known
from fsd.tree.nodes import Mirror, ModelFolder, Node, ViewFolder, ViewText
from fsd.tree.views.shelves import Models, Shelf, Shown, plain

_VIEW = "hub"
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubCache:
    """The models that `models` knows, below `hub`."""

    def __init__(self, models: Models) -> None:
        self._shelf = Shelf(models, _name_of)

    def child(self, parts: tuple[str, ...], name: str) -> tuple[Node, Known | None] | None:
        """A repository, or what is in one; a snapshot's content is its mirror's."""
        shown = self._shelf.get(parts[0] if parts else name)
        if shown is None:
            return None
        path = ViewFolder("/".join((_VIEW, *parts, name)))
        match (*parts[1:], name) if parts else ():
            case () | ("refs",) | ("snapshots",):
                return path, None
            case ("refs", "main"):
                return ViewText(_revision(shown).encode(), os.stat(shown.source.path).st_mtime_ns), None
            case ("snapshots", revision) if revision == _revision(shown):
                return Mirror(_VIEW, ModelFolder(shown.source)), None
        return None

    def children(self, parts: tuple[str, ...]) -> Iterator[tuple[str, Node, Known | None]]:
        """The repositories, or what is in one."""
        for name in self._names(parts):
            found = self.child(parts, name)
            if found is not None:
                yield name, *found

    def _names(self, parts: tuple[str, ...]) -> list[str]:
        match parts[1:] if parts else None:
            case None:
                return list(self._shelf.all())
            case ():
                return ["refs", "snapshots"]
            case ("refs",):
                return ["main"]
        shown = self._shelf.get(parts[0])
        return [_revision(shown)] if shown is not None else []


def _name_of(path: str) -> str:
    """A directory's name: of organisation and name, as a repository's id has two parts at most."""
    org, slash, own = path.partition("/")
    return f"models--{plain(org)}--{plain(own)}" if slash else f"models--{plain(path)}"


def _revision(shown: Shown) -> str:
    own = Path(shown.source.path).name
    return own if _COMMIT.fullmatch(own) else shown.mark(20)
