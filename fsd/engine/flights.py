"""Engine: the queue of chunks, the workers, single flight, the counters.

Each wanted chunk is one flight, from the first request until it has landed in the store; later requests
join it. A chunk that a reader waits for is translated before one that is only wanted ahead.
Knows nothing of ranges within a chunk: that is `files.py`.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from itertools import count

from fsd.engine.chunks import ChunkKey, ChunkStore
from fsd.engine.files import EngineFile
from fsd.engine.opened import OpenLayout
from fsd.errors import StaleHandle
from translators.layout import Layout

_FOREGROUND, _AHEAD = 0, 1


@dataclass(slots=True)
class Counters:
    """What an engine did since it started.

    translated: chunks computed.              ahead: how many of these before anyone waited for them.
    hits: chunks found in the store.          waits: requests that joined work already under way.
    bytes_served: to readers.                 source_bytes: read from sources for all of it.
    errors: chunks that failed.               seconds: spent translating, summed over the workers.
    """

    translated: int = 0
    ahead: int = 0
    hits: int = 0
    waits: int = 0
    bytes_served: int = 0
    source_bytes: int = 0
    errors: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, int | float]:
        """By name, for a status report."""
        return asdict(self)


@dataclass(eq=False)
class _Flight:
    """A chunk on its way. `waiters` counts the reads that wait; `wanted` names the handles that may come."""

    key: ChunkKey
    opened: OpenLayout
    priority: int
    waiters: int = 0
    wanted: set[int] = field(default_factory=set)
    result: Future[memoryview] = field(default_factory=Future)


class Engine:
    """Translates chunks on `workers` threads and keeps them in `store`. Safe for use by many threads.

    `ahead` is how many chunks a sequential reader has translated before it asks: twice the workers unless
    told, so that no worker is idle while the reader catches up. Threads start with the first chunk.
    """

    def __init__(self, store: ChunkStore, workers: int, ahead: int | None = None) -> None:
        self.store = store
        self.workers = workers
        self.ahead = 2 * workers if ahead is None else ahead
        self._condition = threading.Condition()
        self._queue: list[tuple[int, int, _Flight]] = []
        self._order = count()
        self._handles = count(1)
        self._flights: dict[ChunkKey, _Flight] = {}
        self._layouts: dict[str, OpenLayout] = {}
        self._counters = Counters()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def open(self, layout: Layout) -> EngineFile:
        """A handle on `layout`, to be closed; where one of this identity is open already, it is shared.

        Raises StaleHandle once the engine is closed.
        """
        identity = layout.identity
        with self._condition:
            self._prove_open()
            opened = self._layouts.get(identity)
            if opened is None:
                opened = self._layouts[identity] = OpenLayout(layout)
            opened.users += 1
            return EngineFile(self, opened, next(self._handles))

    def held(self, identity: str) -> int:
        """Bytes in the store of the layout of this identity."""
        return self.store.held(identity)

    def counters(self) -> Counters:
        """What was done so far."""
        with self._condition:
            under_way = sum(opened.source_bytes for opened in self._layouts.values())
            return replace(self._counters, source_bytes=self._counters.source_bytes + under_way)

    def close(self) -> None:
        """End the threads, after the chunks that they are at. Every other read gets StaleHandle."""
        with self._condition:
            self._closed = True
            self._cancel(lambda flight: True)
            self._condition.notify_all()
        for thread in self._threads:
            thread.join()

    # What follows is for EngineFile.

    def chunk(self, opened: OpenLayout, number: int) -> Future[memoryview]:
        """A chunk, now or soon, for a reader that waits for it. Raises StaleHandle."""
        key = ChunkKey(opened.layout.identity, number)
        # Outside the lock: a store on disk reads and verifies here.
        stored = self._stored(key, opened)
        with self._condition:
            flight = self._flights.get(key) if stored is None else None
            if flight is not None:
                self._counters.waits += 1
                if flight.priority != _FOREGROUND and not flight.result.running():
                    self._enqueue(flight, _FOREGROUND)
            else:
                # A flight lands in the store before it leaves the table: it may have done both meanwhile.
                stored = stored or self._stored(key, opened)
                if stored is not None:
                    self._counters.hits += 1
                    return _landed(stored)
                flight = self._launch(key, opened, _FOREGROUND)
            flight.waiters += 1
            return flight.result

    def chunk_ahead(self, opened: OpenLayout, number: int, handle: int) -> None:
        """Have a chunk translated when nothing is more urgent; `handle` can call it off."""
        key = ChunkKey(opened.layout.identity, number)
        with self._condition:
            flight = self._flights.get(key)
            if flight is None:
                if self._closed or key in self.store:
                    return
                flight = self._launch(key, opened, _AHEAD)
            flight.wanted.add(handle)

    def call_off(self, handle: int) -> None:
        """Drop the chunks that only `handle` wanted ahead and that nobody has begun."""

        def unwanted(flight: _Flight) -> bool:
            flight.wanted.discard(handle)
            return not flight.wanted and not flight.waiters

        with self._condition:
            self._cancel(unwanted)

    def begin_read(self, opened: OpenLayout) -> None:
        """Keep a layout open while it is read."""
        with self._condition:
            opened.users += 1

    def end_read(self, opened: OpenLayout, served: int) -> None:
        """A read is over and gave `served` bytes."""
        with self._condition:
            self._counters.bytes_served += served
            self.release(opened)

    def release(self, opened: OpenLayout) -> None:
        """A user is done with its layout; the last one closes the source files."""
        with self._condition:
            opened.users -= 1
            if not opened.users:
                del self._layouts[opened.layout.identity]
                self._counters.source_bytes += opened.source_bytes
                # Within the lock: whoever opens this layout next must not read through a descriptor that
                # is about to be closed, and by then may be another file's.
                opened.layout.close()

    def _stored(self, key: ChunkKey, opened: OpenLayout) -> memoryview | None:
        if key not in self.store:
            return None
        data = memoryview(bytearray(opened.chunk(key.number).length))
        return data.toreadonly() if self.store.read(key, 0, data) else None

    def _prove_open(self) -> None:
        if self._closed:
            raise StaleHandle("the engine has been closed")

    def _launch(self, key: ChunkKey, opened: OpenLayout, priority: int) -> _Flight:
        self._prove_open()
        while len(self._threads) < self.workers:
            name = f"translate-{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()
        flight = self._flights[key] = _Flight(key, opened, priority)
        opened.users += 1
        self._enqueue(flight, priority)
        return flight

    def _enqueue(self, flight: _Flight, priority: int) -> None:
        # A flight that is moved up is in the queue twice; whoever meets it the second time passes over it.
        flight.priority = priority
        heapq.heappush(self._queue, (priority, next(self._order), flight))
        self._condition.notify()

    def _cancel(self, unwanted: Callable[[_Flight], bool]) -> None:
        for flight in list(self._flights.values()):
            if unwanted(flight) and flight.result.cancel():
                self._leave(flight)

    def _leave(self, flight: _Flight) -> None:
        del self._flights[flight.key]
        self.release(flight.opened)

    def _work(self) -> None:
        for flight in self._begun():
            began = time.perf_counter()
            try:
                data = self._translated(flight)
            except Exception as error:
                self._land(flight, time.perf_counter() - began, failed=True)
                flight.result.set_exception(error)
            else:
                self._land(flight, time.perf_counter() - began, failed=False)
                flight.result.set_result(data)

    def _begun(self) -> Iterator[_Flight]:
        """The flights that a worker takes up, until the engine is closed."""
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                flight = heapq.heappop(self._queue)[2]
                if flight.result.running() or flight.result.done():
                    continue
                flight.result.set_running_or_notify_cancel()
            yield flight

    def _translated(self, flight: _Flight) -> memoryview:
        where = flight.opened.chunk(flight.key.number)
        buffer = bytearray(where.length)
        flight.opened.layout.read_into(where.offset, memoryview(buffer))
        data = memoryview(buffer).toreadonly()
        self.store.put(flight.key, data)
        return data

    def _land(self, flight: _Flight, seconds: float, *, failed: bool) -> None:
        with self._condition:
            self._leave(flight)
            self._counters.seconds += seconds
            self._counters.errors += failed
            self._counters.translated += not failed
            self._counters.ahead += not failed and not flight.waiters


def _landed(data: memoryview) -> Future[memoryview]:
    result: Future[memoryview] = Future()
    result.set_result(data)
    return result
