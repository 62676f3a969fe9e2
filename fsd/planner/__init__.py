"""The planner: what a model can appear as, planned in another process, kept by its source's identity.

    planner = Planner(cache_directory, seconds=120, memory=4 << 30)
    planner.listing(path)          # names, sizes, refusals
    planner.layout(path, name)     # the bytes of one form
    planner.prepare(path)          # have the listing made; does not wait for it

Parsing a model's files takes seconds for a big vocabulary, and whatever a stranger put there; so it
happens in a process with limits of memory and time (invariant I11), whose only power is to answer. Who
asks for a plan waits for it; no lock is held meanwhile that a read of an open file would need.
A plan is kept in memory and on disk under a key made of the source's identity: a changed source is another
key, so that nothing stale is found (I3). A file that a plan is made from and that lies where the key does not
look, as ONNX's external data may, is asked for before the plan is used again. Failures are kept for a while
only, and in memory.

    messages.py     what is said, as data           processes.py   who is asked
    worker.py       the process that plans          cache.py       plans on disk
    identity.py     which version a source is       failures.py    what lately could not be planned

Knows nothing of names under a mount, nor of how a plan is read.
"""

from __future__ import annotations

import contextlib
import os
import threading
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
from fsd.planner.failures import Failures
from fsd.planner.identity import elsewhere, hold, identities, key_of
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

_LISTINGS_KEPT = 4096
_LAYOUT_BYTES_KEPT = 32 << 20

T = TypeVar("T")
# A version of a model, and what of it: "" its listing, "mlx-4bit/" that of a directory, else a form's name.
_What = tuple[str, str]
_Files = tuple[FileIdentity, ...]


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
        # Each with the files that it is good for as long as they hold, beside those that made its key.
        self._listings: OrderedDict[_What, tuple[Listing, _Files]] = OrderedDict()
        self._layouts: OrderedDict[_What, tuple[Layout, _Files, int]] = OrderedDict()
        self._failures = Failures()
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
        key, files = self._version(source)
        what = key, f"{folder}/" if folder else ""
        known = self._held_listing(what)
        return self._once(what, lambda: self._listing(source, what, files)) if known is None else known

    def known(self, path: str | os.PathLike[str]) -> Listing | None:
        """What `listing` would give, if that needs no planning; else None. Never raises."""
        source = os.path.abspath(os.fspath(path))
        key, files = self._version(source)
        what = key, ""
        known = self._held_listing(what)
        if known is not None:
            return known
        failure = self._failures.of(what)
        return Listing(error=failure) if failure is not None else self._kept_listing(what, files)

    def layout(self, path: str | os.PathLike[str], name: str) -> Layout:
        """The bytes of one form of the model at `path`.

        Raises NoSuchEntry, PlanRefused, PlanningFailed, TranslationError.
        """
        source = os.path.abspath(os.fspath(path))
        key, files = self._version(source)
        with self._lock:
            layout, beyond, _ = self._layouts.get((key, name), (None, (), 0))
            if layout is not None:
                self._layouts.move_to_end((key, name))
        if layout is not None and hold(beyond):
            return layout
        return self._once((key, name), lambda: self._layout(source, (key, name), files))

    def prepare(self, path: str | os.PathLike[str]) -> None:
        """Have the listing made that will be asked for soon. One process stays free for who waits."""
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._ahead.submit(self._prepare, path)

    def failures(self) -> list[Failure]:
        """What has lately failed."""
        return self._failures.all()

    def close(self) -> None:
        """End the planning processes; who waits for one gets an error."""
        self._ahead.shutdown(wait=False, cancel_futures=True)
        self._processes.close()

    def _prepare(self, path: str | os.PathLike[str]) -> None:
        # Whoever asks for the listing is told what is wrong.
        with contextlib.suppress(OSError, PlanningCrash, StaleHandle):
            self.listing(path)

    def _version(self, source: str) -> tuple[str, _Files]:
        """The key of the model's version, and the files that it is made of."""
        imatrix = self._imatrix_of(source)
        files = identities(source, imatrix, self.bases)
        return key_of(source, files, self._provider, imatrix), files

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

    def _listing(self, source: str, what: _What, files: _Files) -> Listing:
        failure = self._failures.of(what)
        if failure is not None:
            return Listing(error=failure)
        kept = self._kept_listing(what, files)
        if kept is not None:
            return kept
        key, folder = what
        reply = self._processes.ask(self._request(source, key, folder=folder.rstrip("/")))
        if isinstance(reply, Failure):
            self._failures.note(what, reply)
            return Listing(error=reply)
        if not isinstance(reply, Listing):
            raise PlanningCrash("the planning process answered another question", path=source)
        # Where the source changed while it was planned, the result is nobody's: the next look-up plans anew.
        if self._version(source)[0] == key:
            self._keep_listing(what, reply, elsewhere(reply.files, files))
            if self._disk:
                self._disk.put(_file(what, "listing"), encoded(reply))
        return reply

    def _held_listing(self, what: _What) -> Listing | None:
        """The listing in memory, if it is still good."""
        with self._lock:
            listing, beyond = self._listings.get(what, (None, ()))
            if listing is not None:
                self._listings.move_to_end(what)
        return listing if hold(beyond) else None

    def _kept_listing(self, what: _What, files: _Files) -> Listing | None:
        """The listing on disk, if it is still good."""
        kept = self._disk.get(_file(what, "listing")) if self._disk else None
        if kept is not None:
            with contextlib.suppress(msgspec.MsgspecError):
                listing = LISTINGS.decode(kept)
                beyond = elsewhere(listing.files, files)
                return self._keep_listing(what, listing, beyond) if hold(beyond) else None
        return None

    def _layout(self, source: str, what: _What, files: _Files) -> Layout:
        key, name = what
        failure = self._failures.of(what) or self._failures.of((key, ""))
        if failure is not None:
            raise failure.error()
        file = _file(what, "layout")
        kept = self._disk.get(file) if self._disk else None
        if kept is not None:
            with contextlib.suppress(msgspec.MsgspecError, ValueError):
                layout = Layout.decoded(kept)
                beyond = elsewhere(layout.files, files)
                if hold(beyond):
                    return self._keep_layout(what, layout, beyond, len(kept))
        reply = self._processes.ask(self._request(source, key, name))
        if isinstance(reply, Failure):
            self._failures.note(what, reply)
            raise reply.error()
        if not isinstance(reply, EncodedLayout):
            raise PlanningCrash("the planning process answered another question", path=source)
        layout = Layout.decoded(reply.data)
        if self._version(source)[0] == key:
            self._keep_layout(what, layout, elsewhere(layout.files, files), len(reply.data))
            if self._disk:
                self._disk.put(file, reply.data)
        return layout

    def _keep_listing(self, what: _What, listing: Listing, beyond: _Files) -> Listing:
        with self._lock:
            self._listings[what] = listing, beyond
            if len(self._listings) > _LISTINGS_KEPT:
                self._listings.popitem(last=False)
        return listing

    def _keep_layout(self, what: _What, layout: Layout, beyond: _Files, size: int) -> Layout:
        with self._lock:
            self._layouts[what] = layout, beyond, size
            while (
                sum(size for _, _, size in self._layouts.values()) > _LAYOUT_BYTES_KEPT
                and len(self._layouts) > 1
            ):
                self._layouts.popitem(last=False)
        return layout


def _file(what: _What, kind: str) -> str:
    """The name of what is kept on disk."""
    key, name = what
    digest = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return f"{key}-{digest}.{kind}" if name else f"{key}.{kind}"
