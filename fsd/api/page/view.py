"""What the page shows, gathered from Control within a bounded time.

Forms of a model are known once it is planned, which may take seconds for one that was never looked at. The
page waits a moment for those on it, and shows the others as being planned; asking again finds them done.
Knows nothing of HTML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fsd.control.reports import (
    CacheReport,
    FileReport,
    JobReport,
    ModelFiles,
    ModelReport,
    Problem,
    RefusalReport,
    StatusReport,
)
from fsd.errors import PrismError
from translators.errors import TranslationError

if TYPE_CHECKING:
    from fsd.control.control import Control

MODELS_A_PAGE = 20
PLANNERS = 2
PATIENCE = 1.5  # seconds
JOBS_SHOWN = 8
OVER = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model: its `forms`, and in `plain` what costs nothing to read: source files, small ones made here.

    waiting: until its forms are known.
    """

    report: ModelReport
    forms: tuple[FileReport, ...] = ()
    plain: tuple[FileReport, ...] = ()
    refusals: tuple[RefusalReport, ...] = ()
    problem: Problem | None = None
    waiting: bool = False

    @property
    def path(self) -> str:
        """Where it is in the mount, absolute."""
        return f"{self.report.mountpoint.rstrip('/')}/{self.report.name}"


@dataclass(frozen=True, slots=True)
class View:
    """The whole page. `models` are those of page `number` (from 1) of `pages`; `found` match `query`.

    counts: of models, by mount point.
    """

    status: StatusReport
    cache: CacheReport
    jobs: tuple[JobReport, ...]
    models: tuple[ModelView, ...]
    query: str
    number: int
    pages: int
    found: int
    counts: Mapping[str, int]

    @property
    def waiting(self) -> bool:
        """Whether any model on the page is still being planned."""
        return any(model.waiting for model in self.models)


class Views:
    """Makes views. Models are planned in threads of its own, so that a slow one keeps no page from coming."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._planning: dict[tuple[str, str], Future[ModelFiles]] = {}
        self._pool = ThreadPoolExecutor(PLANNERS, thread_name_prefix="prismfs-page")

    def view(self, query: str = "", number: int = 1) -> View:
        """The page of models whose name contains `query`, in any case; a number too high is the last page."""
        every = sorted(self._control.models(), key=lambda model: (model.name, model.mountpoint))
        found = [model for model in every if query.casefold() in model.name.casefold()]
        pages = max(1, -(-len(found) // MODELS_A_PAGE))
        number = min(max(1, number), pages)
        shown = found[(number - 1) * MODELS_A_PAGE : number * MODELS_A_PAGE]
        return View(
            status=self._control.status(),
            cache=self._control.cache(),
            jobs=_recent(self._control.jobs.list()),
            models=self._models(shown),
            query=query,
            number=number,
            pages=pages,
            found=len(found),
            counts=Counter(model.mountpoint for model in every),
        )

    def _models(self, reports: Sequence[ModelReport]) -> tuple[ModelView, ...]:
        asked = {_key(report): self._asked(report) for report in reports if report.state != "refused"}
        wait(asked.values(), PATIENCE)
        for key, future in asked.items():
            if future.done():
                self._planning.pop(key, None)
        return tuple(_model(report, asked.get(_key(report))) for report in reports)

    def _asked(self, report: ModelReport) -> Future[ModelFiles]:
        """One question a model at a time, whoever asks."""
        key = _key(report)
        future = self._planning.get(key)
        if future is None:
            future = self._planning[key] = self._pool.submit(
                self._control.files, report.name, report.mountpoint
            )
        return future


def _key(report: ModelReport) -> tuple[str, str]:
    return report.mountpoint, report.name


def _model(report: ModelReport, asked: Future[ModelFiles] | None) -> ModelView:
    if asked is None:
        return ModelView(report, problem=report.problem)
    if not asked.done():
        return ModelView(report, waiting=True)
    try:
        files = asked.result()
    except (PrismError, TranslationError, OSError) as error:
        reason = getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error)
        hint = getattr(error, "remedy", "")
        return ModelView(report, problem=Problem(type(error).__name__, reason, hint=hint))
    return ModelView(
        files.model,
        forms=tuple(file for file in files.files if not _is_plain(file)),
        plain=tuple(file for file in files.files if _is_plain(file)),
        refusals=files.refusals,
        problem=files.model.problem,
    )


def _is_plain(file: FileReport) -> bool:
    return file.kind == "source" or not (file.translated or file.cost.source_bytes)


def _recent(jobs: Sequence[JobReport]) -> tuple[JobReport, ...]:
    """All that are not over, and some of the others; the newest first."""
    newest = sorted(jobs, key=lambda job: job.created, reverse=True)
    waiting = [job for job in newest if job.state not in OVER]
    over = [job for job in newest if job.state in OVER]
    return (*waiting, *over[: max(0, JOBS_SHOWN - len(waiting))])
