"""Test support: a daemon's control over real trees of tiny models, without a kernel in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fsd.config import resolve
from fsd.control import Control, Mounted, Place
from fsd.control.reports import FileReport, JobReport
from fsd.daemon import parts
from fsd.daemon.parts import Parts
from fsd.tree import Tree
from tests.fsd.mounting import until

TYPES = "q8_0,q4_0"


class NoAdapter:
    """In the place of what serves a mount."""

    name = "none"


@dataclass(frozen=True)
class Controlled:
    """A control, and what it is over."""

    control: Control
    parts: Parts
    mountpoints: tuple[Path, ...]

    def ended(self, job: JobReport) -> JobReport:
        """A job once it has ended."""
        jobs = self.control.jobs
        until(lambda: jobs.get(job.id).state in ("done", "failed", "cancelled"), f"{job} has ended")
        return jobs.get(job.id)

    def warmed(self, path: str) -> FileReport:
        """A file, after it was warmed."""
        assert self.ended(self.control.warm([path])).state == "done"
        return self.control.file(path)


@contextmanager
def controlled(home: Path, *sources: Path, **options: str) -> Iterator[Controlled]:
    """Control over a daemon whose home is `home`, with a mount for each source: `home`/mnt-0 and so on."""
    places = []
    for number, source in enumerate(sources):
        (home / f"mnt-{number}").mkdir(parents=True, exist_ok=True)
        places.append(Place(source, home / f"mnt-{number}"))
    usual = {"cache_dir": str(home / "store"), "plan_cache": str(home / "plans"), "types": TYPES}
    chosen = resolve(usual | options, {})
    with parts.opened(chosen) as opened:
        mounted = []
        for place in places:
            tree = Tree(str(place.source), opened.planner, opened.engine, types=chosen.types)
            mounted.append(Mounted(place, tree, NoAdapter()))  # type: ignore[arg-type]
        control = Control(mounted, opened, chosen)
        try:
            yield Controlled(control, opened, tuple(place.mountpoint for place in places))
        finally:
            control.close()
