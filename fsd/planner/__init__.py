"""The planner: what a model can appear as, planned in another process, kept by its source's identity.

    planner = Planner(cache_directory, seconds=120, memory=4 << 30)
    planner.listing(path)          # names, sizes, refusals
    planner.layout(path, name)     # the bytes of one form
    planner.prepare(path)          # have the listing made; does not wait for it

Parsing a model's files takes seconds for a big vocabulary, and whatever a stranger put there; so it
happens in a process with limits of memory and time (invariant I11), whose only power is to answer. Who
asks for a plan waits for it; no lock is held meanwhile that a read of an open file would need.
A plan is kept in memory and on disk under a key made of the source's identity: a changed source is another
key, so that nothing stale is found (I3). Failures are kept for a while only, and in memory.

    messages.py     what is said, as data           processes.py   who is asked
    worker.py       the process that plans          cache.py       plans on disk
    identity.py     which version a source is

Knows nothing of names under a mount, nor of how a plan is read.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import msgspec

from fsd.children import Start, fresh
from fsd.errors import PlanningCrash, StaleHandle
from fsd.planner.cache import PlanCache
from fsd.planner.identity import identities, key_of
from fsd.planner.messages import (
    LISTINGS,
    EncodedLayout,
    Entry,
    Failure,
    FolderEntry,
    Listing,
    RefusedEntry,
    Request,
    encoded,
)
from fsd.planner.processes import Processes
from translators.layout import Layout
from translators.model import FileIdentity
from translators.sources.bases import Bases

__all__ = ["Entry", "Failure", "FileIdentity", "FolderEntry", "Listing", "Planner", "RefusedEntry"]

TRANSLATORS = "fsd.planner.worker:of_translators"
# Planning ahead keeps every processor busy, and leaves a process for who waits.
AHEAD = len(os.sched_getaffinity(0))
PROCESSES = AHEAD + 1

# A failure may pass (memory that was short): try again after this long, in seconds.
_FAILURE_KEPT = 60.0
# A file that could not be read may be readable at any moment, and is soon found not to be.
_UNREADABLE_KEPT = 2.0
# These took long to come about, and would again.
_COSTLY_KEPT = 600.0
_KEPT = {
    "MissingSource": _UNREADABLE_KEPT,
    "PlanningTimeout": _COSTLY_KEPT,
    "PlanningMemory": _COSTLY_KEPT,
    "PlanningCrash": _COSTLY_KEPT,
}
_LISTINGS_KEPT = 4096
_LAYOUT_BYTES_KEPT = 32 << 20

T = TypeVar("T")
# A version of a model, and what of it: "" its listing, "mlx-4bit/" that of a directory, else a form's name.
_What = tuple[str, str]


class Planner:
    """Plans models. Safe for use by many threads; one model is planned once however many ask.

    `cache` is where plans outlive the daemon, None for nowhere. `provider` names the function that plans
    ("module:function"; see `worker.py`), `start` is how its processes are started: none before `start()` is
    called, or the first plan is needed. `imatrix_of` tells the path of a model's importance matrix, where it
    is not to be one that lies beside it, `bases` where the models are that adapters are for.
    """

    def __init__(
        self,
        cache: Path | None,
        *,
        seconds: float,
        memory: int,
        provider: str = TRANSLATORS,
        count: int = PROCESSES,
        start: Start = fresh,
        imatrix_of: Callable[[str], str | None] = lambda source: None,
        bases: Bases | None = None,
    ) -> None:
        self._processes = Processes(start, provider, seconds=seconds, memory=memory, count=count)
        self._provider = provider
        self._imatrix_of = imatrix_of
        self.bases = bases or Bases()
        self._disk = PlanCache(cache) if cache is not None else None
        self._lock = threading.Lock()
        self._flights: dict[_What, Future[object]] = {}
        self._listings: OrderedDict[_What, Listing] = OrderedDict()
        self._layouts: OrderedDict[_What, tuple[Layout, int]] = OrderedDict()
        self._failures: dict[_What, tuple[Failure, float]] = {}
        self._ahead = ThreadPoolExecutor(max(1, count - 1), thread_name_prefix="prismfs-plan")

    @property
    def started(self) -> int:
        """How many planning processes there have been."""
        return self._processes.started

    def start(self) -> None:
        """Have planning processes started, which end if they are not needed soon. Returns at once."""
        self._processes.start()

    def listing(self, path: str | os.PathLike[str], folder: str = "") -> Listing:
        """What the model at `path` can appear as; a model that cannot appear at all has its `error` set.

        With `folder`, what is in the directory of that name, one of the listing's `folders`.
        """
        source = os.path.abspath(os.fspath(path))
        what = self._key(source), f"{folder}/" if folder else ""
        with self._lock:
            known = self._listings.get(what)
            if known is not None:
                self._listings.move_to_end(what)
                return known
        return self._once(what, lambda: self._listing(source, what))

    def known(self, path: str | os.PathLike[str]) -> Listing | None:
        """What `listing` would give, if that needs no planning; else None. Never raises."""
        source = os.path.abspath(os.fspath(path))
        what = self._key(source), ""
        with self._lock:
            known = self._listings.get(what)
        if known is not None:
            return known
        failure = self._failure(what)
        return Listing(error=failure) if failure is not None else self._kept_listing(what)

    def layout(self, path: str | os.PathLike[str], name: str) -> Layout:
        """The bytes of one form of the model at `path`.

        Raises NoSuchEntry, PlanRefused, PlanningFailed, TranslationError.
        """
        source = os.path.abspath(os.fspath(path))
        key = self._key(source)
        with self._lock:
            known = self._layouts.get((key, name))
            if known is not None:
                self._layouts.move_to_end((key, name))
                return known[0]
        return self._once((key, name), lambda: self._layout(source, key, name))

    def prepare(self, path: str | os.PathLike[str]) -> None:
        """Have the listing made that will be asked for soon. One process stays free for who waits."""
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._ahead.submit(self._prepare, path)

    def failures(self) -> list[Failure]:
        """What has lately failed."""
        now = time.monotonic()
        with self._lock:
            return [failure for failure, until in self._failures.values() if until > now]

    def close(self) -> None:
        """End the planning processes; who waits for one gets an error."""
        self._ahead.shutdown(wait=False, cancel_futures=True)
        self._processes.close()

    def _prepare(self, path: str | os.PathLike[str]) -> None:
        # Whoever asks for the listing is told what is wrong.
        with contextlib.suppress(OSError, PlanningCrash, StaleHandle):
            self.listing(path)

    def _key(self, source: str) -> str:
        imatrix = self._imatrix_of(source)
        return key_of(source, identities(source, imatrix, self.bases), self._provider, imatrix)

    def _request(self, source: str, key: str, name: str | None = None, folder: str = "") -> Request:
        imatrix = self._imatrix_of(source)
        matrix = os.fsencode(imatrix) if imatrix else None
        bases = None if self.bases == Bases() else self.bases
        return Request(os.fsencode(source), key, name, matrix, folder, bases)

    def _once(self, flight: _What, work: Callable[[], T]) -> T:
        """What `work` returns or raises, done by one thread for all who ask at the same time."""
        with self._lock:
            under_way = self._flights.get(flight)
            if under_way is None:
                own = self._flights[flight] = Future()
        if under_way is not None:
            return under_way.result()  # type: ignore[return-value]
        try:
            result = work()
            own.set_result(result)
            return result
        except BaseException as error:
            own.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._flights[flight]

    def _listing(self, source: str, what: _What) -> Listing:
        failure = self._failure(what)
        if failure is not None:
            return Listing(error=failure)
        kept = self._kept_listing(what)
        if kept is not None:
            return kept
        key, folder = what
        reply = self._processes.ask(self._request(source, key, folder=folder.rstrip("/")))
        if isinstance(reply, Failure):
            self._note(what, reply)
            return Listing(error=reply)
        if not isinstance(reply, Listing):
            raise PlanningCrash("the planning process answered another question", path=source)
        # Where the source changed while it was planned, the result is nobody's: the next look-up plans anew.
        if self._key(source) == key:
            self._keep_listing(what, reply)
            if self._disk:
                self._disk.put(_file(what, "listing"), encoded(reply))
        return reply

    def _kept_listing(self, what: _What) -> Listing | None:
        kept = self._disk.get(_file(what, "listing")) if self._disk else None
        if kept is not None:
            with contextlib.suppress(msgspec.MsgspecError):
                return self._keep_listing(what, LISTINGS.decode(kept))
        return None

    def _layout(self, source: str, key: str, name: str) -> Layout:
        failure = self._failure((key, name)) or self._failure((key, ""))
        if failure is not None:
            raise failure.error()
        file = _file((key, name), "layout")
        kept = self._disk.get(file) if self._disk else None
        if kept is not None:
            try:
                return self._keep_layout(key, name, Layout.decoded(kept), len(kept))
            except (msgspec.MsgspecError, ValueError):
                pass
        reply = self._processes.ask(self._request(source, key, name))
        if isinstance(reply, Failure):
            self._note((key, name), reply)
            raise reply.error()
        if not isinstance(reply, EncodedLayout):
            raise PlanningCrash("the planning process answered another question", path=source)
        layout = Layout.decoded(reply.data)
        if self._key(source) == key:
            self._keep_layout(key, name, layout, len(reply.data))
            if self._disk:
                self._disk.put(file, reply.data)
        return layout

    def _keep_listing(self, what: _What, listing: Listing) -> Listing:
        with self._lock:
            self._listings[what] = listing
            if len(self._listings) > _LISTINGS_KEPT:
                self._listings.popitem(last=False)
        return listing

    def _keep_layout(self, key: str, name: str, layout: Layout, size: int) -> Layout:
        with self._lock:
            self._layouts[key, name] = layout, size
            while (
                sum(size for _, size in self._layouts.values()) > _LAYOUT_BYTES_KEPT
                and len(self._layouts) > 1
            ):
                self._layouts.popitem(last=False)
        return layout

    def _note(self, what: _What, failure: Failure) -> None:
        now = time.monotonic()
        with self._lock:
            self._failures = {key: kept for key, kept in self._failures.items() if kept[1] > now}
            kept = _KEPT.get(failure.kind, _FAILURE_KEPT)
            self._failures[what] = failure, now + kept

    def _failure(self, what: _What) -> Failure | None:
        with self._lock:
            failure, until = self._failures.get(what, (None, 0.0))
        return failure if until > time.monotonic() else None


def _file(what: _What, kind: str) -> str:
    """The name of what is kept on disk."""
    key, name = what
    digest = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return f"{key}-{digest}.{kind}" if name else f"{key}.{kind}"
