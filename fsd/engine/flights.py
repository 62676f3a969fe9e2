"""Flights: the chunks that are on their way, each once, and who wants them.

A chunk is on its way from the first request until it is in the store. It is queued, then under way (a worker
translates it), then landed: who waits has its bytes, though the store may still be taking them up. Requests
join it in any of these states. `Flights` is the table and the queue, under the engine's lock, and starts no
thread. Knows nothing of stores, nor of ranges within a chunk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fsd.engine.chunks import ChunkKey
from fsd.engine.lanes import Lanes, Urgency
from fsd.engine.opened import OpenLayout
from fsd.engine.patterns import Run

# A chunk takes 3 to 300 ms; one that takes longer than this (seconds) waits for a source.
STUCK_SECONDS = 2.0


class Waiter:
    """One thread's wait for a chunk. A lock is all that it takes: of a Future each wait has three more."""

    __slots__ = ("_outcome", "_untold")

    def __init__(self, outcome: memoryview | None = None) -> None:
        self._outcome: memoryview | Exception | None = outcome
        self._untold = threading.Lock()
        if outcome is None:
            self._untold.acquire()

    @property
    def is_told(self) -> bool:
        """Whether waiting would not take any time."""
        return self._outcome is not None

    def tell(self, outcome: memoryview | Exception) -> None:
        """The chunk's bytes, or what went wrong. Once."""
        self._outcome = outcome
        self._untold.release()

    def wait(self, seconds: float) -> memoryview | None:
        """The bytes; None where they do not come for so long. Raises what it was told."""
        if self._outcome is None and not self._untold.acquire(timeout=seconds):
            return None
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


@dataclass(eq=False)
class Flight:
    """A chunk on its way: `waiters` are reads, `wanted` the runs that may come to it.

    began: when a worker took it up, in monotonic seconds.    data: its bytes, once it has landed.
    keep: whether the store is to have them.
    """

    key: ChunkKey
    opened: OpenLayout
    urgency: Urgency
    waiters: list[Waiter] = field(default_factory=list)
    wanted: set[Run] = field(default_factory=set)
    began: float | None = None
    data: memoryview | None = None
    waited: bool = False
    keep: bool = True

    @property
    def is_queued(self) -> bool:
        """Whether no worker has taken it up."""
        return self.began is None

    @property
    def is_unwanted(self) -> bool:
        """Whether nobody waits for it, nor will come to it."""
        return not self.wanted and not self.waiters

    @property
    def is_stuck(self) -> bool:
        """Whether it takes so long that its worker does not count."""
        return self.began is not None and time.monotonic() - self.began > STUCK_SECONDS


class Flights:
    """Every flight, by key; those that no worker has taken up are queued. Under its owner's lock.

    `crew` is how many workers one file may keep waiting for its source.
    """

    def __init__(self, crew: int) -> None:
        self._crew = crew
        self._flights: dict[ChunkKey, Flight] = {}
        self._under_way: set[Flight] = set()
        self._queue: Lanes[Flight] = Lanes()

    def __len__(self) -> int:
        return len(self._flights)

    def find(self, key: ChunkKey) -> Flight | None:
        """The chunk's flight."""
        return self._flights.get(key)

    def begin(self, opened: OpenLayout, key: ChunkKey, urgency: Urgency) -> Flight:
        """A new flight, queued."""
        flight = self._flights[key] = Flight(key, opened, urgency)
        self._queue.add(urgency, key.identity, flight)
        return flight

    def hurry(self, flight: Flight, urgency: Urgency) -> None:
        """Have a flight that is queued go as early as that."""
        if flight.is_queued and urgency < flight.urgency:
            self._queue.remove(flight.urgency, flight.key.identity, flight)
            flight.urgency = urgency
            self._queue.add(urgency, flight.key.identity, flight)

    def take(self) -> Flight | None:
        """The next flight for a worker, under way from now on; None where none may go."""
        flight = self._queue.take(self._may_go())
        if flight is not None:
            flight.began = time.monotonic()
            self._under_way.add(flight)
        return flight

    def can_take(self) -> bool:
        """Whether `take` would give one."""
        return self._queue.has(self._may_go())

    def stuck(self) -> int:
        """How many workers wait for a source."""
        return sum(flight.is_stuck for flight in self._under_way)

    def landed(self, flight: Flight, data: memoryview | None) -> list[Waiter]:
        """A worker is done with it (None: it failed); returns those to be told, who are then forgotten."""
        self._under_way.discard(flight)
        flight.data = data
        waiters, flight.waiters = flight.waiters, []
        return waiters

    def leave(self, flight: Flight) -> None:
        """It is in the store, or failed: later requests begin anew."""
        del self._flights[flight.key]

    def any_of(self, identity: str) -> bool:
        """Whether a chunk of this layout is on its way."""
        return any(key.identity == identity for key in self._flights)

    def queued(self) -> list[Flight]:
        """Those that nobody has taken up."""
        return [flight for flight in self._flights.values() if flight.is_queued]

    def drop(self, flight: Flight) -> None:
        """A flight that is queued is not to be."""
        self._queue.remove(flight.urgency, flight.key.identity, flight)
        self.leave(flight)

    def _may_go(self) -> Callable[[str], bool]:
        """A file whose source keeps a whole crew waiting gets no more workers until one is back."""
        if not any(flight.is_stuck for flight in self._under_way):
            return lambda lane: True
        lanes = [flight.key.identity for flight in self._under_way]
        held = {flight.key.identity for flight in self._under_way if flight.is_stuck}
        full = {lane for lane in held if lanes.count(lane) >= self._crew}
        return lambda lane: lane not in full
