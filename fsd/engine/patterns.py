"""Patterns: from where a handle was read, where it will be read next.

A handle may be read by several threads, and the kernel sends the requests of one of them in any order, some
at a time. So the reads of a handle are sorted into runs: a run is a stretch that is read without big gaps.

    sequential   a run that goes on, densely or chunk after chunk: what follows it is wanted, a window that
                 doubles as it is used up
    strided      runs that begin at equal distances (also backwards): the next ones are wanted, as long as
                 the last one was
    otherwise    nothing

A memory map that is walked, or asked for as a whole, comes as sequential runs; scattered faults as neither.
Counts in chunks where it answers, in bytes where it is told. Knows nothing of who translates.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fsd.engine.chunks import CHUNK
from translators.ranges import ByteRange

# The kernel has a few requests of up to 1 MiB under way at a time for each reader.
_SLACK = 4 * CHUNK
_FIRST_WINDOW = 2
# Runs that are remembered: readers of one handle, at most.
_RUNS = 16
# So many chunks touched one after the other are a sequence too, however little is read of each.
_STEPS = 3
# Strides are told from so many beginnings.
_BEGINNINGS = 3


@dataclass(eq=False)
class Run:
    """A stretch that is being read. `begin` and `frontier` are bytes, `window` and `asked` count chunks.

    read: bytes of it that were read.             asked: the chunk up to which it was read ahead.
    steps: how often in a row it moved on by a chunk or two.   wished: something was wanted for it.
    """

    begin: int
    frontier: int
    read: int
    reads: int = 1
    steps: int = 0
    window: int = _FIRST_WINDOW
    asked: int = 0
    wished: bool = False

    @property
    def is_sequential(self) -> bool:
        """Whether it goes on, so that scattered small reads are not taken for it."""
        dense = self.reads > 1 and 2 * self.read >= self.frontier - self.begin
        return dense or self.steps >= _STEPS

    def takes(self, read: ByteRange) -> bool:
        """Whether a read goes on with this run."""
        return self.begin - CHUNK <= read.offset <= self.frontier + _SLACK and (
            read.offset >= self.frontier - _SLACK
        )

    def go_on(self, read: ByteRange) -> None:
        """Note a read of this run."""
        step = (read.end - 1) // CHUNK - (self.frontier - 1) // CHUNK
        self.steps = self.steps + 1 if step in (1, 2) else self.steps if step in (0, -1) else 0
        self.begin = min(self.begin, read.offset)
        if read.end > self.frontier:
            self.frontier = read.end
            self.reads += 1
        self.read = min(self.read + read.length, self.frontier - self.begin)


@dataclass(frozen=True)
class Wish:
    """What is wanted ahead: `numbers` of chunks, nearest first, for `run`. `over` is a run that ended."""

    run: Run
    numbers: Sequence[int]
    over: Run | None


@dataclass(eq=False)
class Pattern:
    """The runs of one handle. Under its handle's lock."""

    _runs: OrderedDict[int, Run] = field(default_factory=OrderedDict)
    _began: list[Run] = field(default_factory=list)

    @property
    def runs(self) -> Iterable[Run]:
        """Those that are remembered."""
        return self._runs.values()

    @property
    def sequences(self) -> int:
        """How many of them are read ahead."""
        return sum(run.is_sequential for run in self._runs.values())

    def follow(self, read: ByteRange, limit: int) -> Wish:
        """Note a read; what should be translated ahead, a window of `limit` chunks at most."""
        for key in reversed(self._runs):
            run = self._runs[key]
            if run.takes(read):
                run.go_on(read)
                self._runs.move_to_end(key)
                return _wish(run, _following(run, limit) if run.is_sequential else ())
        return self._begun(read, limit)

    def _begun(self, read: ByteRange, limit: int) -> Wish:
        run = Run(read.offset, read.end, read.length)
        self._runs[id(run)] = run
        over = self._runs.popitem(last=False)[1] if len(self._runs) > _RUNS else None
        self._began = [*self._began, run][-_BEGINNINGS:]
        return _wish(run, _strided(self._began, limit), over)


def _wish(run: Run, numbers: Sequence[int], over: Run | None = None) -> Wish:
    run.wished |= bool(numbers)
    return Wish(run, numbers, over if over is not None and over.wished else None)


def _following(run: Run, limit: int) -> Sequence[int]:
    """The chunks after the run that were not asked for yet, once half of those asked for are used up."""
    following = -(-run.frontier // CHUNK)
    left = run.asked - following
    if run.asked and left > run.window // 2:
        return ()
    if run.asked:
        run.window *= 2
    run.window = max(1, min(run.window, limit))
    begin = max(run.asked, following)
    run.asked = max(run.asked, following + run.window)
    return range(begin, run.asked)


def _strided(began: list[Run], limit: int) -> Sequence[int]:
    """The chunks of the next runs, where the last began at equal distances."""
    if len(began) < _BEGINNINGS:
        return ()
    first, second, third = (run.begin for run in began)
    stride = third - second
    if stride != second - first or not stride:
        return ()
    length = max(1, began[1].frontier - began[1].begin)
    numbers: dict[int, None] = {}
    at = third + stride
    while len(numbers) < limit and 0 <= at <= third + limit * max(stride, 0):
        numbers |= dict.fromkeys(range(at // CHUNK, (at + length - 1) // CHUNK + 1))
        at += stride
    return list(numbers)[:limit]
