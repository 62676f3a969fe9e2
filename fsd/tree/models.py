"""A model's directory: its source files, and the virtual files that it has as well.

A source file goes before a virtual one of the same name, and is found without planning. For every other
name the model's listing is asked for, which plans it if need be.
Knows nothing of inodes, of handles, or of where models lie.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from typing import NamedTuple

from fsd.errors import StaleHandle
from fsd.planner import Entry, Listing, Planner
from fsd.planner.messages import shown
from fsd.tree.forms import Forms, is_form_like
from fsd.tree.nodes import ModelFolder, ModelSource, SourceFile, VirtualFile
from fsd.tree.stored import Stored

_FORMS_KEPT = 4096

Inside = ModelFolder | SourceFile | VirtualFile


class Planned(NamedTuple):
    """What a virtual file is, and all of its model's."""

    entry: Entry
    forms: Forms


# What was found out about a node on the way to it, so that telling its attributes needs no second look.
Known = os.stat_result | Planned


class ModelFolders:
    """Names inside models, by `stored` and `planner`; GGUF types in `types` are listed."""

    def __init__(self, stored: Stored, planner: Planner, types: Collection[str]) -> None:
        self._stored = stored
        self._planner = planner
        self._types = frozenset(types)
        self._forms: dict[tuple[ModelSource, str], Forms] = {}

    def child(self, folder: ModelFolder, name: str) -> tuple[Inside, Known | None] | None:
        """What `name` is in a model's directory. Raises PlanRefused, or why the model has no forms at all."""
        found = self._stored.find(folder, name)
        if found is not None:
            return self._node(folder, self._stored.directory(folder), name, found), found
        if name.startswith("."):  # no form has such a name; whoever probes for one need not wait for a plan
            return None
        path = folder.below(name)
        forms = self.forms(folder.model, folder.inside)
        if forms.listing.error is not None and is_form_like(path):
            raise forms.listing.error.error()
        entry = forms.find(path)
        if entry is not None:
            return VirtualFile(folder.model, entry.name, forms.version), Planned(entry, forms)
        return (ModelFolder(folder.model, path), None) if forms.is_directory(path) else None

    def children(self, folder: ModelFolder) -> Iterator[tuple[str, Inside, Known | None]]:
        """What a listing shows: source files, then virtual ones if the model can be planned."""
        seen = set()
        directory = self._stored.directory(folder)
        for name, found in self._stored.entries(folder):
            seen.add(name)
            yield name, self._node(folder, directory, name, found), found
        try:
            forms = self.forms(folder.model, folder.inside)
        except OSError:  # who opens a form of it is told
            return
        files, directories = forms.inside(folder.inside)
        for name in directories:
            if name not in seen:
                yield name, ModelFolder(folder.model, folder.below(name)), None
        for form in files:
            if form.path not in seen:
                file = VirtualFile(folder.model, form.entry.name, forms.version)
                yield form.path, file, Planned(form.entry, forms)

    def format_of(self, folder: ModelFolder) -> str:
        """What the directory of a format is, in a few words; "" for any other directory."""
        if not folder.inside or self._stored.find(ModelFolder(folder.model), folder.inside) is not None:
            return ""
        found = self.forms(folder.model).folders.get(folder.inside)
        return found.describe if found is not None else ""

    def is_planned(self, model: ModelSource) -> bool:
        """Whether the model's virtual files have been asked for, in whatever version."""
        return (model, "") in self._forms

    def lasts(self, model: ModelSource) -> bool | None:
        """Whether the model could be planned, the last time that it was; None where it has not been yet."""
        forms = self._forms.get((model, ""))
        return None if forms is None else forms.listing.error is None

    def forms(self, model: ModelSource, path: str = "") -> Forms:
        """The model's virtual files as they are now; planned if they were not.

        With `path`, those that lie where it does: in a directory of a format, or beside the source's own.
        """
        forms = self._as_forms(model, self._planner.listing(model.path))
        folder = path.partition("/")[0]
        if folder not in forms.folders:
            return forms
        return self._as_forms(model, self._planner.listing(model.path, folder), folder)

    def known(self, model: ModelSource) -> Forms | None:
        """The same, if nothing has to be planned for it; else None."""
        listing = self._planner.known(model.path)
        return self._as_forms(model, listing) if listing is not None else None

    def _as_forms(self, model: ModelSource, listing: Listing, folder: str = "") -> Forms:
        forms = self._forms.get((model, folder))
        if forms is None or forms.listing is not listing:
            if len(self._forms) >= _FORMS_KEPT:
                self._forms.clear()
            forms = self._forms[model, folder] = Forms(listing, model.name, self._types)
        return forms

    def entry(self, file: VirtualFile) -> Planned:
        """A virtual file's entry, if its sources are still of the same version. Raises StaleHandle."""
        forms = self.forms(file.model, file.name.rpartition("/")[0])
        entry = forms.find(file.name) if forms.version == file.version else None
        if entry is None:
            raise StaleHandle("the source has changed", path=shown(file.model.path), place=file.name)
        return Planned(entry, forms)

    def _node(
        self, folder: ModelFolder, directory: str, name: str, found: os.stat_result
    ) -> ModelFolder | SourceFile:
        if stat.S_ISDIR(found.st_mode):
            return ModelFolder(folder.model, folder.below(name))
        return SourceFile(os.path.join(directory, name), found.st_dev, found.st_ino)
