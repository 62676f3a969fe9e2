"""A survey of a tree: every model below a folder, and what each appears as, does not, and why.

Walks the source, which nothing that serves a mount does. Knows nothing of attributes or handles.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from fsd.planner import Failure
from fsd.planner.messages import shown
from fsd.tree.models import ModelFolders
from fsd.tree.nodes import Folder, Inodes, ModelFolder, ModelSource, Node, Root
from fsd.tree.places import Places
from fsd.tree.reports import EntryReport, ModelNode, ModelReport
from fsd.tree.stored import Stored


class Survey:
    """Of one tree, whose parts these are; `child` finds a name in a folder, or raises NoSuchEntry."""

    def __init__(
        self, child: Callable[[Root | Folder, str], Node], places: Places, inodes: Inodes, stored: Stored,
        folders: ModelFolders,
    ) -> None:  # fmt: skip
        self._child = child
        self._source = places.source
        self._places = places
        self._inodes = inodes
        self._stored = stored
        self._folders = folders

    def models(self) -> Iterator[ModelNode]:
        """Every model under the mount, in order. Plans nothing."""
        return self._models(Root(), "")

    def explain(self, path: str) -> list[ModelReport]:
        """The models at or below `path`, each planned. Raises NoSuchEntry."""
        node: Node = Root()
        below = ""
        for part in filter(None, path.split("/")):
            if isinstance(node, ModelFolder):
                break  # a file of a model: the model tells
            node = self._child(node, part) if isinstance(node, Root | Folder) else node
            below = f"{below}/{part}" if below else part
        if isinstance(node, ModelFolder):
            return [self._report(below, node)]
        if not isinstance(node, Root | Folder):
            return []
        reports = [self._report(model.path, self._model_at(model)) for model in self._models(node, below)]
        return sorted(reports + self._omitted(node, below), key=lambda report: report.name)

    def _models(self, folder: Root | Folder, path: str) -> Iterator[ModelNode]:
        for name, place in self._places.children(folder).items():
            below = f"{path}/{name}" if path else name
            if isinstance(place, ModelSource):
                yield ModelNode(below, self._inodes.number(ModelFolder(place)), place.path)
            else:
                yield from self._models(place, below)

    def _model_at(self, model: ModelNode) -> ModelFolder:
        node = self._inodes.node(model.ino)
        assert isinstance(node, ModelFolder)
        return node

    def _report(self, path: str, folder: ModelFolder) -> ModelReport:
        forms = self._folders.forms(folder.model)
        stored = {name: found for name, found in self._stored.entries(folder) if stat.S_ISREG(found.st_mode)}
        entries = [
            EntryReport(shown(name), found.st_size, "source file", True) for name, found in stored.items()
        ]
        for form in (*forms.all, *self._folders.splits(folder.model)):
            if form.path not in stored and self._stored.find(folder, form.path) is None:
                entries.append(
                    EntryReport(shown(form.path), form.entry.size, form.entry.describe, form.listed)
                )
        refusals = tuple(refused for refused in forms.listing.refusals if refused.name not in stored)
        return ModelReport(
            shown(path), shown(folder.model.path), tuple(entries), refusals, forms.listing.error,
            forms.listing.folders,
        )  # fmt: skip

    def _omitted(self, folder: Root | Folder, path: str) -> list[ModelReport]:
        """The directories that are not shown, each with the reason."""
        reports = []
        for name, reason in self._places.omitted(folder).items():
            own = os.path.join(folder.path if isinstance(folder, Folder) else self._source, name)
            failure = Failure("MissingSource", reason, shown(own))
            reports.append(ModelReport(shown(f"{path}/{name}" if path else name), shown(own), error=failure))
        for name, place in self._places.children(folder).items():
            if isinstance(place, Folder):
                reports += self._omitted(place, f"{path}/{name}" if path else name)
        return reports
