"""Engine: open layouts, workers, single flight; the one lock of it all.

Each wanted chunk is one flight, from the first request until it is in the store; later requests join it. A
chunk that a reader waits for is translated before one that is only wanted ahead. Who waits has the bytes as
soon as they are translated; the worker then gives them to the store, whose slowness slows translation, not
the reader. Knows nothing of ranges within a chunk: that is `files.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from fsd.engine.chunks import CHUNK, ChunkKey, ChunkStore
from fsd.engine.counters import Counters
from fsd.engine.files import EngineFile
from fsd.engine.flights import Flight, Flights, Waiter
from fsd.engine.lanes import Urgency
from fsd.engine.opened import OpenLayout
from fsd.engine.patterns import Run
from fsd.errors import Interrupted, StaleHandle
from translators.layout import Layout

# A chunk takes less than a second; what takes longer is a source that does not answer.
LEAVE_SECONDS = 1.0
# Workers beyond the usual number, for those that sources keep waiting.
SPARES = 32
# Chunks ahead of a reader, for each worker: more make no reader faster, only more work that may be in vain.
WINDOW = 4
PAGE = 4096


class Engine:
    """Translates chunks on `workers` threads and keeps them in `store`. Safe for use by many threads.

    `read_ahead` is how many bytes may be translated ahead of all readers together. Threads start with the
    first chunk. Those whose source does not answer are replaced, up to a limit, so that one dead source stops
    nobody else.
    """

    def __init__(self, store: ChunkStore, workers: int, *, read_ahead: int = 64 << 20) -> None:
        self.store = store
        self.workers = workers
        self._budget = read_ahead // CHUNK
        self._sequences = 0
        lock = threading.RLock()
        self._condition = threading.Condition(lock)
        self._left = threading.Condition(lock)  # a flight has left; mostly, nobody waits for that
        self._flights = Flights(workers)
        self._layouts: dict[str, OpenLayout] = {}
        self._counters = Counters()
        self._threads: set[threading.Thread] = set()
        self._unused: list[Layout] = []
        self._closed = False

    def open(self, layout: Layout, *, warm: bool = False, target: str = "") -> EngineFile:
        """A handle on `layout`, to be closed; where one of this identity is open already, it is shared.

        What a `warm` handle reads waits for everybody else's. `target` is what its translation is counted
        under. Raises StaleHandle once the engine is closed.
        """
        identity = layout.identity
        with self._condition:
            self._prove_open()
            opened = self._layouts.get(identity)
            if opened is None:
                opened = self._layouts[identity] = OpenLayout(layout, target=target)
            opened.users += 1
            return EngineFile(self, opened, Urgency.WARM if warm else Urgency.READER)

    def held(self, identity: str) -> int:
        """Bytes in the store of the layout of this identity."""
        return self.store.held(identity)

    def counters(self) -> Counters:
        """What was done so far."""
        with self._condition:
            under_way = sum(opened.source_bytes for opened in self._layouts.values())
            source_bytes = self._counters.source_bytes + under_way
            by_target = dict(self._counters.by_target)
            return replace(self._counters, source_bytes=source_bytes, by_target=by_target)

    def pending(self) -> tuple[int, int]:
        """Chunks that wait for a worker, and those that are translated or on their way to the store."""
        with self._condition:
            queued = len(self._flights.queued())
            return queued, len(self._flights) - queued

    def stop(self) -> None:
        """Translate nothing more: reads get what is kept or under way, every other one StaleHandle."""
        with self._locked():
            self._closed = True
            gone = self._call_off(self._flights.queued())
            self._condition.notify_all()
        _tell(gone, StaleHandle("the engine was closed while the file was read"))

    def close(self) -> None:
        """Stop, and end the threads, after the chunks that they are at.

        A thread whose source does not answer is left to it: it ends with the process.
        """
        self.stop()
        with self._condition:
            threads = list(self._threads)
        until = time.monotonic() + LEAVE_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    # What follows is for EngineFile.

    def wanted(self, opened: OpenLayout, number: int, urgency: Urgency) -> Waiter | None:
        """A chunk that the store did not have: its bytes, soon. None if the store has it by now.

        Raises StaleHandle.
        """
        key = opened.key(number)
        with self._condition:
            flight = self._flights.find(key)
            if flight is None:
                self._prove_open()
                # It may have landed in the store and left the table since the store was asked.
                if key in self.store:
                    return None
                flight = self._launch(opened, key, urgency)
            else:
                self._counters.waits += 1
                self._flights.hurry(flight, urgency)
            return _joined(flight)

    def wanted_anew(self, opened: OpenLayout, number: int) -> tuple[ChunkKey, Waiter]:
        """A chunk translated anew, whatever the store has, when nothing else is; it is not kept.

        Returns what `abandon` needs as well. Raises StaleHandle.
        """
        # No layout has such an identity: the store has no such chunk, and the file's readers have their lane.
        key = ChunkKey(f"{opened.layout.identity} anew", number)
        with self._condition:
            self._prove_open()
            flight = self._flights.find(key) or self._launch(opened, key, Urgency.WARM)
            flight.keep = False
            return key, _joined(flight)

    def settled(self, opened: OpenLayout, timeout: float) -> bool:
        """Wait until the store was given all chunks of a layout that are under way; False after `timeout`."""
        with self._condition:
            return self._left.wait_for(lambda: not self._flights.any_of(opened.layout.identity), timeout)

    def wanted_ahead(self, opened: OpenLayout, numbers: Iterable[int], run: Run, urgency: Urgency) -> None:
        """Have chunks translated when nothing is more urgent; `run` can call them off."""
        with self._condition:
            for number in numbers:
                key = opened.key(number)
                flight = self._flights.find(key)
                if flight is None:
                    if self._closed or key in self.store:
                        continue
                    flight = self._launch(opened, key, max(urgency, Urgency.AHEAD))
                flight.wanted.add(run)

    def call_off(self, runs: Iterable[Run]) -> None:
        """Drop the chunks that only `runs` wanted ahead and that nobody has begun."""
        runs = set(runs)
        with self._locked():
            queued = self._flights.queued()
            for flight in queued:
                flight.wanted -= runs
            self._call_off(flight for flight in queued if flight.is_unwanted)

    def abandon(self, key: ChunkKey, waiter: Waiter) -> None:
        """A read that waits for a chunk is interrupted: it is told, the chunk dropped if nobody waits."""
        with self._locked():
            flight = self._flights.find(key)
            if flight is None or waiter not in flight.waiters:
                return
            flight.waiters.remove(waiter)
            if flight.is_queued and flight.is_unwanted:
                self._call_off([flight])
        waiter.tell(Interrupted("nobody waits for the read any more"))

    def relieve(self) -> None:
        """Somebody has waited long: start another worker if it is sources that keep the workers waiting."""
        with self._condition:
            stuck = self._flights.stuck()
            idle_hands = len(self._threads) - stuck >= self.workers
            if self._closed or idle_hands or len(self._threads) >= self.workers + SPARES:
                return
            if self._flights.can_take():
                self._counters.spares += 1
                self._start_worker()

    def begin_read(self, opened: OpenLayout, sequences: int) -> int:
        """Keep a layout open while it is read; returns how far ahead each run may be, in chunks.

        `sequences`: how many more of the handle's runs are sequential than when it began to read before.
        """
        with self._condition:
            opened.users += 1
            self._sequences += sequences
            return max(1, min(WINDOW * self.workers, self._budget // max(1, self._sequences)))

    def end_read(self, opened: OpenLayout, served: int, hits: int) -> None:
        """A read is over: it gave `served` bytes, of `hits` chunks from the store."""
        with self._condition:
            self._counters.bytes_served += served
            self._counters.hits += hits
            self._release(opened)
        self._close_unused()

    def release(self, opened: OpenLayout, runs: Iterable[Run], sequences: int) -> None:
        """A handle is done with its layout and runs; the last one closes the source files."""
        self.call_off(runs)
        with self._locked():
            self._sequences -= sequences
            self._release(opened)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The lock, for what may let go of a layout; its files are closed afterwards, which may take long."""
        with self._condition:
            yield
        self._close_unused()

    def _close_unused(self) -> None:
        while self._unused:
            try:
                layout = self._unused.pop()
            except IndexError:  # another thread was sooner
                return
            layout.close()

    # What follows is for the holder of the lock.

    def _release(self, opened: OpenLayout) -> None:
        opened.users -= 1
        if not opened.users:
            del self._layouts[opened.layout.identity]
            self._counters.source_bytes += opened.source_bytes
            self._unused.append(opened.layout)

    def _prove_open(self) -> None:
        if self._closed:
            raise StaleHandle("the engine has been closed")

    def _launch(self, opened: OpenLayout, key: ChunkKey, urgency: Urgency) -> Flight:
        while len(self._threads) < self.workers:
            self._start_worker()
        opened.users += 1
        flight = self._flights.begin(opened, key, urgency)
        self._condition.notify()
        return flight

    def _start_worker(self) -> None:
        thread = threading.Thread(target=self._work, name="translate", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _call_off(self, queued: Iterable[Flight]) -> list[Waiter]:
        """Drop flights; returns who waited for them."""
        waiters: list[Waiter] = []
        for flight in queued:
            self._flights.drop(flight)
            self._counters.called_off += 1
            self._release(flight.opened)
            waiters += flight.waiters
        return waiters

    # A worker's thread.

    def _work(self) -> None:
        for flight in self._taken():
            began, used = time.perf_counter(), time.thread_time()
            outcome: memoryview | Exception
            try:
                outcome = _translated(flight)
            except Exception as error:  # whatever it is, it goes to those who asked
                outcome = error
            self._land(flight, outcome, time.perf_counter() - began, time.thread_time() - used)

    def _taken(self) -> Iterator[Flight]:
        """The flights that a worker takes up, until the engine is closed or the worker is one too many."""
        while True:
            with self._condition:
                while (flight := None if self._closed else self._flights.take()) is None:
                    if self._closed or len(self._threads) - self._flights.stuck() > self.workers:
                        self._threads.discard(threading.current_thread())
                        return
                    self._condition.wait()
            yield flight

    def _land(self, flight: Flight, outcome: memoryview | Exception, seconds: float, used: float) -> None:
        data = None if isinstance(outcome, Exception) else outcome
        computed = flight.opened.computed(flight.opened.chunk(flight.key.number))
        with self._locked():
            self._counters.seconds += seconds
            if data is not None and computed:
                self._counters.translated_for(flight.opened.target, computed, used)
            self._counters.errors += data is None
            self._counters.translated += data is not None
            self._counters.ahead += data is not None and not flight.waited
            waiters = self._flights.landed(flight, data)
            if data is None:
                self._leave(flight)
        _tell(waiters, outcome)
        if isinstance(outcome, Exception):
            return
        if flight.keep:
            self.store.put(flight.key, outcome)
        with self._locked():
            self._leave(flight)

    def _leave(self, flight: Flight) -> None:
        self._flights.leave(flight)
        self._left.notify_all()
        self._release(flight.opened)


def _translated(flight: Flight) -> memoryview:
    where = flight.opened.chunk(flight.key.number)
    memory = np.empty(where.length + PAGE, np.uint8)  # filled below: no zeros first
    # Whole pages: who hands them to the kernel has it copy page by page.
    start = -memory.ctypes.data % PAGE
    buffer = memory.data[start : start + where.length]
    flight.opened.layout.read_into(where.offset, buffer)
    return buffer.toreadonly()


def _joined(flight: Flight) -> Waiter:
    """Somebody more who waits for a chunk. For the lock's holder."""
    flight.waited = True
    waiter = Waiter(flight.data)
    if flight.data is None:
        flight.waiters.append(waiter)
    return waiter


def _tell(waiters: Iterable[Waiter], outcome: memoryview | Exception) -> None:
    for waiter in waiters:
        waiter.tell(outcome)
