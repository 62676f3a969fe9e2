"""EngineFile: a handle on a layout. Cuts a read into pieces, and has what will be read next translated ahead.

A piece is either read straight through (it lies in the source as it is, or is literal or padding) or cut
out of a kept chunk. Bytes go straight into the reader's buffer. The chunks of one read are asked for some way
ahead of the one that is waited for, so that they are translated side by side. Knows nothing of who
translates, nor of names.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from fsd.engine.chunks import CHUNK, ChunkKey, Lent
from fsd.engine.flights import STUCK_SECONDS, Waiter
from fsd.engine.interrupt import Interrupt
from fsd.engine.lanes import Urgency
from fsd.engine.opened import OpenLayout
from fsd.engine.patterns import Pattern, Wish
from fsd.errors import StaleHandle
from translators.copying import copy
from translators.ranges import ByteRange

if TYPE_CHECKING:
    from fsd.engine.engine import Engine

# What is left of a piece that was asked for: calling it waits.
_Rest = Callable[[], None]


class EngineFile:
    """A handle and context manager. Reads may run side by side; `close` may be called while they do."""

    def __init__(self, engine: Engine, opened: OpenLayout, urgency: Urgency) -> None:
        self._engine = engine
        self._opened = opened
        self._urgency = urgency
        self._pattern = Pattern()
        self._sequences = 0
        self._lock = threading.Lock()
        self._lent: Lent | None = None
        self._wanted_lent = False
        self._closed = False

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return self._opened.layout.size

    @property
    def identity(self) -> str:
        """The layout's identity."""
        return self._opened.layout.identity

    def read(self, offset: int, size: int) -> bytes:
        """As `read_into`, into bytes of its own."""
        buffer = bytearray(max(0, min(size, self.size - offset)))
        return bytes(buffer[: self.read_into(offset, memoryview(buffer))])

    def read_into(self, offset: int, buffer: memoryview, interrupt: Interrupt | None = None) -> int:
        """Fill `buffer` with the bytes from `offset` (0 or more); fewer only at the end of the file.

        Returns how many. Raises StaleHandle (closed), Interrupted, and what `Layout.read_into` raises.
        """
        wanted = self._wanted(offset, buffer)
        served = hits = 0
        self._begin(wanted)
        try:
            self._opened.prove_current()
            hits = self._fill(wanted, buffer[: wanted.length], interrupt)
            served = wanted.length
        finally:
            self._engine.end_read(self._opened, served, hits)
        return served

    def view(self, offset: int, buffer: memoryview, interrupt: Interrupt | None = None) -> memoryview:
        """What `read_into` gives: `buffer`, as far as it was filled, or the bytes of a chunk that has landed.

        The latter spares a copy. They are read-only, and good for as long as they are held.
        """
        wanted = self._wanted(offset, buffer)
        number = wanted.offset // CHUNK
        if not wanted.length or (wanted.end - 1) // CHUNK != number or not self._opened.is_kept(wanted):
            return buffer[: self.read_into(offset, buffer, interrupt)]
        start, into = wanted.offset - number * CHUNK, buffer[: wanted.length]
        served = hits = 0
        self._begin(wanted)
        try:
            self._opened.prove_current()
            found = self._asked_for(number, start, into, interrupt)
            if isinstance(found, Waiter):
                found = self._data(found)[start : start + wanted.length]
            else:
                hits = 1
            served = wanted.length
        finally:
            self._engine.end_read(self._opened, served, hits)
        return found

    def kept_chunks(self) -> list[int]:
        """The numbers of the chunks that a store keeps once all of the file was read."""
        return self._opened.kept_chunks()

    def settled(self, timeout: float) -> bool:
        """Wait until the store was given all that was read: readers get a chunk before it does.

        False after `timeout` seconds.
        """
        return self._engine.settled(self._opened, timeout)

    def where(self, number: int) -> ByteRange:
        """Where a chunk lies in the file."""
        return self._opened.chunk(number)

    def anew(self, numbers: Iterable[int], interrupt: Callable[[], Interrupt]) -> Iterator[memoryview]:
        """Chunks translated anew, one after the other, whatever the store has; none of them is kept.

        They wait for everybody else's; some are translated ahead. `interrupt` is asked for one for each
        chunk. Raises what `read_into` raises.
        """
        waiting: deque[tuple[ChunkKey, Waiter]] = deque()
        try:
            for number in numbers:
                waiting.append(self._engine.wanted_anew(self._opened, number))
                if len(waiting) > 2 * self._engine.workers:
                    yield self._landed(waiting, interrupt())
            while waiting:
                yield self._landed(waiting, interrupt())
        finally:
            for key, waiter in waiting:
                self._engine.abandon(key, waiter)

    def lend(self) -> int | None:
        """A descriptor of a file of exactly these bytes, open until `close`; None where there is none."""
        if not self._opened.kept_whole:
            return None
        with self._lock:
            if self._closed:
                return None
            if self._lent is None:
                self._wanted_lent = True
                self._lent = self._engine.store.lend(self.identity, self.size)
            return self._lent.descriptor if self._lent is not None else None

    def close(self) -> None:
        """Let go of the layout, and of what was to be read ahead. Twice is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._lent is not None:
            self._lent.close()
        elif self._wanted_lent:
            # Who opens it next may then have it. Nobody who cannot read it by himself asks for it.
            self._engine.store.prove(self.identity, self.size)
        self._engine.release(self._opened, self._pattern.runs, self._sequences)

    def __enter__(self) -> EngineFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wanted(self, offset: int, buffer: memoryview) -> ByteRange:
        return ByteRange(offset, max(0, min(len(buffer), self.size - offset)))

    def _begin(self, wanted: ByteRange) -> None:
        """Note a read, and have what follows it translated ahead. Raises StaleHandle.

        The layout stays open until `end_read`.
        """
        with self._lock:
            if self._closed:
                raise StaleHandle("the file has been closed")
            before, self._sequences = self._sequences, self._pattern.sequences
            window = self._engine.begin_read(self._opened, self._sequences - before)
            wish = self._pattern.follow(wanted, window)
        if wish.over is not None:
            self._engine.call_off([wish.over])
        if wish.numbers:
            self._ahead(wish)

    def _ahead(self, wish: Wish) -> None:
        """Have chunks translated; of what is read through, have the system read the source."""
        kept = []
        for number in wish.numbers:
            if number < self._opened.chunks:
                where = self._opened.chunk(number)
                if self._opened.is_kept(where):
                    kept.append(number)
                else:
                    self._opened.layout.prefetch(where)
        self._engine.wanted_ahead(self._opened, kept, wish.run, self._urgency)

    def _fill(self, wanted: ByteRange, buffer: memoryview, interrupt: Interrupt | None) -> int:
        """Fill `buffer`; returns how many chunks the store had."""
        waiting: deque[_Rest] = deque()
        hits = 0
        for part, is_kept in self._pieces(wanted):
            into = buffer[part.offset - wanted.offset : part.end - wanted.offset]
            if not is_kept:
                self._opened.layout.read_into(part.offset, into)
                continue
            rest = self._from_chunk(part, into, interrupt)
            if rest is None:
                hits += 1
                continue
            waiting.append(rest)
            if len(waiting) > 2 * self._engine.workers:
                waiting.popleft()()
        for rest in waiting:
            rest()
        return hits

    def _pieces(self, wanted: ByteRange) -> Iterator[tuple[ByteRange, bool]]:
        """What makes up `wanted`, in order; neighbouring parts that are read through are one piece."""
        through = at = wanted.offset
        while at < wanted.end:
            end = min((at // CHUNK + 1) * CHUNK, wanted.end)
            part = ByteRange(at, end - at)
            if self._opened.is_kept(part):
                if through < at:
                    yield ByteRange(through, at - through), False
                yield part, True
                through = end
            at = end
        if through < at:
            yield ByteRange(through, at - through), False

    def _from_chunk(self, part: ByteRange, into: memoryview, interrupt: Interrupt | None) -> _Rest | None:
        """Fill `into` from the store, or ask for the chunk and return what then fills it."""
        number = part.offset // CHUNK
        start = part.offset - number * CHUNK
        found = self._asked_for(number, start, into, interrupt)
        if isinstance(found, Waiter):
            return partial(self._await, found, start, into)
        if found is not into:
            copy(into, found)
        return None

    def _asked_for(
        self, number: int, start: int, into: memoryview, interrupt: Interrupt | None
    ) -> Waiter | memoryview:
        """Ask for a chunk; or give its bytes from `start`, in `into` or elsewhere, if the store has them."""
        key = self._opened.key(number)
        while (found := self._engine.store.view(key, start, into)) is None:
            waiter = self._engine.wanted(self._opened, number, self._urgency)
            if waiter is not None:
                if interrupt is not None and not waiter.is_told:
                    interrupt.then(partial(self._engine.abandon, key, waiter))
                return waiter
        return found

    def _await(self, waiter: Waiter, start: int, into: memoryview) -> None:
        copy(into, self._data(waiter)[start : start + len(into)])

    def _landed(self, waiting: deque[tuple[ChunkKey, Waiter]], interrupt: Interrupt) -> memoryview:
        key, waiter = waiting[0]
        interrupt.then(partial(self._engine.abandon, key, waiter))
        data = self._data(waiter)
        waiting.popleft()
        return data

    def _data(self, waiter: Waiter) -> memoryview:
        while (data := waiter.wait(STUCK_SECONDS)) is None:
            self._engine.relieve()
        return data
