"""Control: what an operator can ask of a running daemon, and have it do.

    control = Control(mounted, parts, options)
    control.files("SmolLM2")                      # what there is, what it costs, what it equals
    job = control.warm(["SmolLM2/model.gguf-q4_k_m"])
    control.jobs.wait(job.version, timeout=10)

Works on trees, engine and store, never through a mount: who asks his own mount waits for himself. Safe for
use by many threads. Every error is one of `fsd.errors`' table.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version

from fsd.config import OPTIONS, Options
from fsd.control import tasks
from fsd.control.digests import Digests
from fsd.control.figures import Figures
from fsd.control.jobs import Jobs
from fsd.control.mounted import Mounted, Parts
from fsd.control.names import Named, named
from fsd.control.ready import Readiness
from fsd.control.reports import (
    CacheReport,
    FileReport,
    JobKind,
    JobReport,
    ModelFiles,
    ModelReport,
    MountReport,
    OptionReport,
    RescanReport,
    StatusReport,
)
from fsd.control.tasks import Task
from fsd.control.work import Outcome, Work
from fsd.engine import MemoryStore
from fsd.errors import BadOption, ExportRefused, NoStore, NoSuchEntry, Pinned, PrismError
from fsd.planner.messages import shown
from fsd.store import DiskStore, Tiered
from fsd.tree import FileNode
from translators.errors import TranslationError
from translators.quants import kernels

# How long (seconds) a pin waits to be on disk.
_FLUSH_SECONDS = 10.0
# Paths in one request.
_PATHS = 1000


class Control:
    """A daemon's mounts, under control. To be closed, before what it works on is."""

    def __init__(
        self, mounts: Sequence[Mounted], parts: Parts, options: Options, jobs: Jobs | None = None
    ) -> None:
        self.jobs = jobs or Jobs()
        self._mounts = tuple(mounts)
        self._parts = parts
        self._options = options
        self._digests = Digests(parts.disk, options.plan_cache)
        self._figures = Figures(parts.engine, parts.disk, self._digests.known)
        self._readiness = Readiness([mount.place.mountpoint for mount in mounts])
        self._started = time.time()
        for mount in mounts:
            mount.tree.know(self._digests.known)

    def close(self) -> None:
        """Call off the jobs; waits for what they are at, but not long. Twice is harmless."""
        self.jobs.close()
        self._readiness.close()

    def status(self) -> StatusReport:
        """The daemon at a glance."""
        mounts = tuple(self.mounts())
        return StatusReport(
            version=version("prismfs"),
            pid=os.getpid(),
            started=self._started,
            uptime=time.time() - self._started,
            ready=all(mount.serving for mount in mounts),
            kernels=kernels.in_use(),
            mounts=mounts,
            engine=self._parts.engine.counters().as_dict(),
            store=self._parts.engine.store.figures(),
            jobs_running=self.jobs.running,
        )

    def ready(self) -> bool:
        """Whether every mount answers a stat; asked by other processes, for a few seconds at most."""
        return all(self._readiness.answers())

    def mounts(self) -> list[MountReport]:
        """The mounts of this daemon."""
        return [
            MountReport(
                shown(str(mount.place.mountpoint)), shown(str(mount.place.source)),
                mount.adapter.name, answers, mount.tree.models_known,
            )
            for mount, answers in zip(self._mounts, self._readiness.answers(), strict=True)
        ]  # fmt: skip

    def models(self, mountpoint: str | None = None) -> list[ModelReport]:
        """Every model. Walks the sources; plans nothing. Raises NoSuchEntry for a mount that is not ours."""
        return [
            self._figures.model(mount, model, mount.tree.catalogue.known(model))
            for mount in self._of(mountpoint)
            for model in mount.tree.models()
        ]

    def files(self, model: str, mountpoint: str | None = None, all: bool = False) -> ModelFiles:
        """A model's files, those that are listed or `all`; it is planned if it was not.

        Raises NoSuchEntry, Ambiguous.
        """
        self._of(mountpoint)
        found = named(self._mounts, model, mountpoint)
        if found.found.inside:
            raise NoSuchEntry("this is no model", path=shown(model))
        contents = found.mounted.tree.catalogue.contents(found.model)
        return self._figures.files(found.mounted, contents, all=all)

    def file(self, path: str) -> FileReport:
        """A file, by its absolute path under a mount or as MODEL/NAME. Raises NoSuchEntry, Ambiguous."""
        found = named(self._mounts, path)
        return self._figures.file(found.mounted, found.file())

    def pin(self, path: str, pinned: bool) -> list[FileReport]:
        """Have what is kept of a file kept whatever else is wanted, or no longer; also of one that is not
        cached yet. A directory stands for every listed translated file. Raises NoStore, NoSuchEntry.
        """
        disk = self._disk("pinned")
        found = named(self._mounts, path)
        files = list(found.files())
        for file in files:
            if file.entry is not None and file.entry.translated:
                disk.name(file.identity, f"{file.model.path.rpartition('/')[2]}/{file.names[0]}")
                disk.pin(file.identity, pinned)
        disk.flush(_FLUSH_SECONDS)
        note = "" if pinned is False else "nothing of it is kept: its bytes are in the source as they are"
        return [
            self._figures.file(
                found.mounted, file, note=note if file.entry is None or not file.entry.translated else ""
            )
            for file in files
        ]

    def evict(self, path: str) -> list[FileReport]:
        """Forget what is kept of a file that is not pinned; of a directory every translated file that is not.

        Raises Pinned for a single file, NoStore, NoSuchEntry.
        """
        disk = self._disk("evicted")
        found = named(self._mounts, path)
        return [self._evicted(found, file, disk) for file in found.files()]

    def warm(self, paths: Sequence[str]) -> JobReport:
        """A job that has files translated and kept; a directory stands for its listed translated files."""
        return self._job("warm", paths, tasks.warm, lambda file: file.size)

    def verify(self, paths: Sequence[str], sample: float = 1.0) -> JobReport:
        """A job that computes files anew, or a `sample` (share) of each, and compares. See docs/JOBS.md."""
        if not 0 < sample <= 1:
            raise BadOption("a sample is a share above 0, and 1 at most", remedy="as 0.1 for a tenth")
        do = partial(tasks.verify, sample=sample)
        return self._job("verify", paths, do, lambda file: tasks.to_be_verified(file, sample))

    def export(self, path: str, to: str, replace: bool = False) -> JobReport:
        """A job that writes a file to `to`, below the directory of exports.

        Raises ExportRefused where there is no such directory, or `to` is not below it; NoSuchEntry.
        """
        directory = self._options.export_dir
        if directory is None:
            raise ExportRefused("no directory for exports is set", remedy="mount with --export-dir DIR")
        found = named(self._mounts, path)
        found.file()
        try:
            target = tasks.export_target(directory, to)
        except ValueError as error:
            raise ExportRefused(str(error), path=shown(to)) from None
        if not replace and os.path.lexists(target):
            raise ExportRefused("the file exists", path=shown(to), remedy="name another, or have it replaced")
        workers = self._parts.engine.workers
        do = partial(tasks.exported, target=target, workers=workers, replace=replace)
        return self._job("export", [path], do, lambda file: file.size)

    def cache(self) -> CacheReport:
        """What is kept, and by what limits."""
        return self._figures.cache(self._mounts)

    def cache_clear(self, pinned: bool = False) -> CacheReport:
        """Forget everything that is not lent, of pinned files only if `pinned`."""
        store = self._parts.engine.store
        memory = store.memory if isinstance(store, Tiered) else store
        if isinstance(memory, MemoryStore):
            memory.clear()
        if self._parts.disk is not None:
            self._parts.disk.flush(_FLUSH_SECONDS)
            self._parts.disk.clear(pinned=pinned)
            self._parts.disk.flush(_FLUSH_SECONDS)
        return self.cache()

    def rescan(self) -> RescanReport:
        """Look at the sources now, not when the next event or poll comes; what is new has to settle."""
        found = [mount.watch.rescan() for mount in self._mounts if mount.watch is not None]
        return RescanReport(
            tuple(shown(path) for changes in found for path in changes.appeared),
            tuple(shown(path) for changes in found for path in changes.changed),
            tuple(shown(path) for changes in found for path in changes.vanished),
        )

    def options(self) -> list[OptionReport]:
        """Every option in force, and what set it."""
        given = self._options.given
        return [
            OptionReport(option.name, given[option.name].text, given[option.name].origin)
            for option in OPTIONS
        ]

    def _of(self, mountpoint: str | None) -> Sequence[Mounted]:
        if mountpoint is None:
            return self._mounts
        found = [mount for mount in self._mounts if str(mount.place.mountpoint) == mountpoint]
        if not found:
            raise NoSuchEntry("this is no mount of this daemon", path=shown(mountpoint))
        return found

    def _disk(self, what: str) -> DiskStore:
        if self._parts.disk is None:
            raise NoStore(f"nothing is kept on disk, so that nothing can be {what}")
        return self._parts.disk

    def _evicted(self, found: Named, file: FileNode, disk: DiskStore) -> FileReport:
        note = ""
        if file.entry is None or not file.entry.translated:
            note = "nothing of it is kept: its bytes are in the source as they are"
        elif disk.is_pinned(file.identity):
            if not found.found.is_directory:
                raise Pinned("the file is pinned", path=shown(file.path))
            note = "it is pinned, and stays"
        else:
            lent = disk.is_lent(file.identity)
            gone = self._parts.engine.store.evict(file.identity)
            if lent and gone:
                note = "somebody reads it by himself: its space is given back when he closes it"
            disk.flush(_FLUSH_SECONDS)
        return self._figures.file(found.mounted, file, note=note)

    def _job(
        self, kind: JobKind, paths: Sequence[str], do: Callable[[Task, Work, Outcome], None],
        size: Callable[[FileNode], int],
    ) -> JobReport:  # fmt: skip
        if not 0 < len(paths) <= _PATHS:
            raise BadOption(f"a job is about 1 to {_PATHS} paths")
        # What is not there at all is told at once; planning, which may take long, is the job's.
        found = [named(self._mounts, path) for path in paths]
        return self.jobs.start(kind, [shown(path) for path in paths], partial(self._done, found, do, size))

    def _done(
        self, found: Sequence[Named], do: Callable[[Task, Work, Outcome], None],
        size: Callable[[FileNode], int], work: Work,
    ) -> None:  # fmt: skip
        """All of a job's work: each file once, however many paths lead to it."""
        wanted: dict[tuple[int, int], tuple[Task, int]] = {}
        for each in found:
            try:
                for file in each.files():
                    wanted.setdefault((id(each.mounted), file.ino), (self._task(each, file), size(file)))
            except (PrismError, TranslationError, OSError) as error:
                with work.file(shown(f"{each.mounted.place.mountpoint}/{each.found.path}"), 0):
                    raise error
        work.expect(sum(bytes for _, bytes in wanted.values()))
        for task, bytes in wanted.values():
            with work.file(task.path, bytes) as outcome:
                do(task, work, outcome)

    def _task(self, found: Named, file: FileNode) -> Task:
        path = shown(f"{found.mounted.place.mountpoint}/{file.path}")
        store = self._parts.engine.store
        return Task(found.mounted.tree, file, path, store, self._parts.disk, self._digests)
