"""Reports of models and files, from what trees, store and engine know. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fsd.control.mounted import Mounted
from fsd.control.problems import problem_of_failure
from fsd.control.reports import (
    CachedFile,
    CacheReport,
    Cost,
    FileReport,
    ModelFiles,
    ModelReport,
    RefusalReport,
)
from fsd.engine import Engine
from fsd.planner import Entry
from fsd.planner.messages import shown
from fsd.store import DiskStore
from fsd.tree import FileNode, ModelContents, ModelNode
from fsd.tree.forms import target_of


class Figures:
    """Makes reports, by these parts. `digests` are the known ones, by identity."""

    def __init__(self, engine: Engine, disk: DiskStore | None, digests: Mapping[str, str]) -> None:
        self._engine = engine
        self._disk = disk
        self._digests = digests

    def model(self, mounted: Mounted, model: ModelNode, contents: ModelContents | None) -> ModelReport:
        """A model; `contents` is None for one that is not planned."""
        mountpoint, source = shown(str(mounted.place.mountpoint)), shown(model.source)
        name = shown(model.path)
        if contents is None:
            return ModelReport(name, mountpoint, source, "unplanned", 0, 0)
        files = sum(file.listed for file in contents.files)
        held = sum(self._engine.held(file.identity) for file in contents.files if file.entry is not None)
        if contents.error is not None:
            problem = problem_of_failure(contents.error)
            return ModelReport(name, mountpoint, source, "refused", files, held, problem)
        return ModelReport(name, mountpoint, source, "ready", files, held)

    def files(self, mounted: Mounted, contents: ModelContents, *, all: bool) -> ModelFiles:
        """A model with its files, or those that are listed."""
        speeds = self.speeds()
        files = tuple(self.file(mounted, file, speeds) for file in contents.files if all or file.listed)
        refusals = tuple(
            RefusalReport(refused.name, refused.reason, refused.remedy) for refused in contents.refusals
        )
        return ModelFiles(self.model(mounted, contents.model, contents), files, refusals)

    def file(
        self, mounted: Mounted, file: FileNode, speeds: Mapping[str, float] | None = None, note: str = ""
    ) -> FileReport:
        """A file. `speeds` as `speeds` gives them, where several files are told of."""
        entry = file.entry
        held = self._engine.held(file.identity) if entry is not None else 0
        own = "source file" if entry is None else entry.describe
        cost = Cost(0.0, file.size, 0)
        if entry is not None:
            cost = cost_of(entry, held, speeds if speeds is not None else self.speeds())
        return FileReport(
            name=shown(file.names[0]),
            path=shown(f"{mounted.place.mountpoint}/{file.path}"),
            kind="source" if entry is None else "virtual",
            describe=own,
            size=file.size,
            cached=held,
            listed=file.listed,
            translated=entry is not None and entry.translated,
            pinned=entry is not None and self._disk is not None and self._disk.is_pinned(file.identity),
            sha256=self._digests.get(file.identity),
            sources=file.sources,
            equals="the source file" if entry is None else entry.equals,
            cost=cost,
            note=note,
        )

    def cache(self, mounts: Sequence[Mounted]) -> CacheReport:
        """What is kept, by what limits."""
        figures = self._engine.store.figures()
        if self._disk is None:
            return CacheReport(None, figures["memory_bytes"], figures["memory_limit"], (), figures)
        known = (mount.tree.catalogue.known(model) for mount in mounts for model in mount.tree.models())
        sizes = {file.identity: file.size for contents in known if contents for file in contents.files}
        files = tuple(
            CachedFile(
                file.identity, shown(file.label), file.held, file.pinned,
                file.whole or file.held == sizes.get(file.identity, -1),
            )
            for file in self._disk.files()
        )  # fmt: skip
        directory = shown(str(self._disk.directory))
        return CacheReport(directory, figures["disk_bytes"], self._disk.limit, files, figures)

    def speeds(self) -> dict[str, float]:
        """Bytes that one processor translates in a second, by target, as far as that was measured."""
        measured = self._engine.counters().by_target
        return {target: count / seconds for target, (count, seconds) in measured.items() if seconds > 0}


def cost_of(entry: Entry, held: int, speeds: Mapping[str, float]) -> Cost:
    """What reading all of a form takes, of which `held` bytes are kept.

    What is computed counts in proportion: what is kept of it is neither computed nor read from the source.
    What is only read through is read each time. All is exact where nothing or everything is kept.
    """
    left = 1 - min(1.0, held / entry.kept) if entry.kept else 0.0
    read_through = 0 if entry.kept == entry.size else min(entry.source_bytes, entry.size - entry.computed)
    source_bytes = read_through + round((entry.source_bytes - read_through) * left)
    cache_bytes = max(0, entry.kept - held) if entry.computed else 0
    if not entry.computed or not left:
        return Cost(0.0, source_bytes, cache_bytes)
    speed = speeds.get(target_of(entry.name))
    # Speed is of whole chunks, of which headers and the like are a part that costs nothing.
    return Cost(entry.kept * left / speed if speed else None, source_bytes, cache_bytes)
