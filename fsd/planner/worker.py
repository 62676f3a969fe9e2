"""The planning process: takes requests on stdin, answers on stdout, within limits of memory and time.

    python -P -m fsd.planner.worker MODULE:FUNCTION SECONDS BYTES

FUNCTION(path) returns what a `Provided` is made of, FUNCTION(path, imatrix, bases) where an importance matrix
or places of base models are named; `of_translators` is the one that the daemon uses. Plans of the last model
are kept, as a listing is mostly followed by a layout. The process ends when its stdin does; it wakes up
behind reads that want a processor. Knows nothing of caches, of other models, or of who asks.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from fsd.errors import NoSuchEntry, PlanningCrash, PlanningMemory, PlanRefused, PrismError
from fsd.planner.identity import hold
from fsd.planner.messages import (
    REQUESTS,
    EncodedLayout,
    Entry,
    Failure,
    FolderEntry,
    Listing,
    Ready,
    RefusedEntry,
    Reply,
    Request,
    frame,
    shown,
    unframed,
)
from translators import folders, open_model, plans  # imports what plans, before the first request
from translators.errors import TranslationError
from translators.model import FileIdentity
from translators.plan import Folder, Plan, Refusal
from translators.sources.bases import Bases

Plans = Mapping[str, Plan | Refusal]

_BASES = Bases()


class Provided(NamedTuple):
    """A model as whoever plans knows it: the files that decide, what it appears as, its directories by name,
    and what is in one of them.
    """

    files: tuple[FileIdentity, ...]
    plans: Plans
    folders: Mapping[str, Folder | Refusal] = MappingProxyType({})
    inside: Callable[[str], Plans] = lambda folder: {}


# What it returns may be a `Provided` without its last fields.
Provider = Callable[..., tuple[Any, ...]]

# The kernel's stop comes after the daemon's, which can say more: it is for a daemon that is gone.
_CPU_SLACK = 10


def of_translators(path: Path, imatrix: Path | None = None, bases: Bases = _BASES) -> Provided:
    """What the model at `path` can appear as. Raises TranslationError."""
    model = open_model(path, imatrix=imatrix, base=bases)
    return Provided((*model.files, *model.imatrices), plans(model), folders(model), partial(plans, model))


_NOTHING = Provided((), {})


class Worker:
    """Answers requests, one at a time, by what `provide` says."""

    def __init__(self, provide: Provider) -> None:
        self._provide = provide
        self._path = b""
        self._version = ""
        self._provided = _NOTHING
        self._inside: dict[str, Plans] = {}

    def answer(self, request: Request) -> Reply:
        """The listing or layout asked for, or the failure that came instead; raises nothing."""
        try:
            self._plan(request)
            if request.name is None:
                return self._listing(request.folder)
            return self._layout(request.name)
        except (TranslationError, PrismError) as error:
            return Failure.of(error)
        except MemoryError:
            self._forget()
            return Failure.of(
                PlanningMemory("planning wanted more memory than its limit", path=_text(request.path))
            )
        except Exception as error:
            return Failure.of(_bug(error, _text(request.path)))

    def _plan(self, request: Request) -> None:
        if (request.path, request.version) == (self._path, self._version) and self._holds():
            return
        self._forget()
        path = Path(os.fsdecode(request.path))
        imatrix = None if request.imatrix is None else Path(os.fsdecode(request.imatrix))
        named = () if imatrix is None and request.bases is None else (imatrix, request.bases or _BASES)
        self._provided = Provided(*self._provide(path, *named))
        self._path, self._version = request.path, request.version

    def _holds(self) -> bool:
        """Whether what was planned of is there as it was: the version may not tell of every file."""
        try:
            return hold(self._provided.files)
        except OSError:
            return False

    def _forget(self) -> None:
        self._path, self._provided, self._inside = b"", _NOTHING, {}

    def _plans(self, folder: str) -> Plans:
        """What is in a directory of the model; "" for the model's own. Raises TranslationError."""
        if not folder:
            return self._provided.plans
        if folder not in self._inside:
            self._inside[folder] = self._provided.inside(folder)
        return self._inside[folder]

    def _listing(self, folder: str) -> Listing:
        entries: list[Entry] = []
        refusals: list[RefusedEntry] = []
        for name, plan in self._plans(folder).items():
            try:
                if isinstance(plan, Plan):
                    entries.append(_entry(name, plan))
                else:
                    refusals.append(RefusedEntry(name, shown(plan.reason), shown(plan.remedy)))
            except TranslationError as error:
                # What cannot be made right is not listed (I9), also when this shows as late as here.
                failure = Failure.of(error)
                reason = ": ".join(part for part in (failure.path, failure.place, failure.reason) if part)
                refusals.append(RefusedEntry(name, reason, failure.remedy))
            except Exception as error:
                if isinstance(error, MemoryError):
                    raise
                refusals.append(RefusedEntry(name, shown(_bug(error, "").reason), "please report it"))
        shown_folders: list[FolderEntry] = []
        for name, found in ({} if folder else self._provided.folders).items():
            if isinstance(found, Folder):
                shown_folders.append(FolderEntry(name, shown(found.describe), found.listed))
            else:
                refusals.append(RefusedEntry(name, shown(found.reason), shown(found.remedy)))
        return Listing(tuple(entries), tuple(refusals), self._provided.files, folders=tuple(shown_folders))

    def _layout(self, name: str) -> EncodedLayout:
        plan = self._plans("").get(name) or self._plans(name.partition("/")[0]).get(name)
        if plan is None:
            raise NoSuchEntry("the model has no such form", path=_text(self._path), place=name)
        if isinstance(plan, Refusal):
            raise PlanRefused(plan.reason, path=_text(self._path), place=name, remedy=plan.remedy)
        layout = plan.layout()
        if layout.size != plan.size:
            raise PlanningCrash(
                f"{layout.size:,} bytes were planned, {plan.size:,} were listed",
                path=_text(self._path),
                place=name,
            )
        return EncodedLayout(layout.encoded())


def main(arguments: list[str]) -> None:
    """Serve requests until stdin ends, or nobody reads the replies any more: the daemon was killed."""
    with contextlib.suppress(ConnectionError):
        _serve(arguments)


def _serve(arguments: list[str]) -> None:
    spec, seconds, memory = arguments
    replies = _private_stdout()
    module, _, function = spec.partition(":")
    worker = Worker(cast(Provider, getattr(importlib.import_module(module), function)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_AS, int(memory))
    with contextlib.suppress(OSError):  # where it is not allowed, it is as good as the others
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    _send(replies, frame(Ready()))
    while True:
        try:
            request = REQUESTS.decode(unframed(lambda count: os.read(0, count)))
        except EOFError:
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + float(seconds)) + _CPU_SLACK)
        _send(replies, frame(worker.answer(request)))


def _private_stdout() -> int:
    """A descriptor of stdout that nobody else knows; what a library prints goes to stderr."""
    own = os.dup(1)
    os.dup2(2, 1)
    return own


def _limit(what: int, value: int) -> None:
    """Set a soft limit, as far as the hard one allows; the CPU's is raised again for each request."""
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _send(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _entry(name: str, plan: Plan) -> Entry:
    told = plan.told
    return Entry(
        name, told.size, told.identity, shown(plan.describe), plan.own, told.translated > 0,
        computed=told.translated, source_bytes=told.source_bytes, equals=shown(plan.equals),
    )  # fmt: skip


def _bug(error: Exception, path: str) -> PlanningCrash:
    traceback.print_exception(error, file=sys.stderr)
    return PlanningCrash(f"planning hit a bug: {type(error).__name__}: {error}", path=path)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


if __name__ == "__main__":
    main(sys.argv[1:])
