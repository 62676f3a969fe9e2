"""Movement: elements of one tensor in another order, by runs.

A range of the result is one run of elements. A movement says from which runs of its operand a run comes
(`trace`); movements of movements are traced through to whatever lies below, and only then is anything read:
runs that lie near each other in one go, each part of the operand once, whatever order it is wanted in.

What it costs: a gap between two runs is read along if it is no longer than the run behind it, or very short;
so a read touches at most about twice as many bytes of the operand as it yields (more only where runs are of
a few bytes), in as many reads as there are runs far from each other.
Knows nothing of what movements there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from translators.dtypes import DType
from translators.ranges import ElementRange
from translators.recipes.pieces import Bytes, Source, piece

if TYPE_CHECKING:
    from translators.recipes import Recipe

Ints = npt.NDArray[np.int64]

# A gap of so many bytes is cheaper read than passed over, whatever lies behind it.
_NEAR = 64
# Runs of so many bytes and more are copied one by one, shorter ones by an index of their elements.
_LONG = 256
_ITEMS: dict[int, npt.DTypeLike] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@dataclass(frozen=True, slots=True)
class Runs:
    """Stretches of elements, in the order in which they are wanted; none is empty."""

    starts: Ints
    lengths: Ints

    @staticmethod
    def of(elements: ElementRange) -> Runs:
        """A range as one run."""
        return Runs(np.array([elements.first]), np.array([elements.count]))

    def cut(self, grain: int) -> tuple[Runs, Ints]:
        """The same elements in runs that cross no multiple of `grain`, and of each the grain it lies in."""
        first = self.starts // grain
        counts = (self.starts + self.lengths - 1) // grain - first + 1
        total = int(counts.sum())
        if total == len(counts):
            return self, first
        run = np.repeat(np.arange(len(counts)), counts)
        cell = first[run] + np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        starts = np.maximum(self.starts[run], cell * grain)
        ends = np.minimum((self.starts + self.lengths)[run], (cell + 1) * grain)
        return Runs(starts, ends - starts), cell

    def moved(self, offsets: Ints) -> Runs:
        """Each run further on by its offset."""
        return Runs(self.starts + offsets, self.lengths)

    def joined(self) -> Runs:
        """The same elements, where a run that follows on the one before it is part of that one."""
        if len(self.starts) == 1:
            return self
        ends = self.starts + self.lengths
        heads = np.flatnonzero(np.concatenate(([True], self.starts[1:] != ends[:-1])))
        return Runs(self.starts[heads], np.add.reduceat(self.lengths, heads))


class Movement(msgspec.Struct, frozen=True, tag_field="op", array_like=True, gc=False):
    """An operation that changes no element. It has a `shape` and a `trace` of its own."""

    of: Recipe

    @property
    def dtype(self) -> DType:
        """The operand's element type: bytes only move."""
        return self.of.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The operand's shape."""
        return self.of.shape

    @property
    def unit(self) -> int:
        """One block."""
        return self.dtype.block

    @property
    def source_bytes(self) -> int:
        """Of the operand's as great a part as elements are taken; all of it where some are taken twice."""
        held = prod(self.of.shape)
        return self.of.source_bytes * min(prod(self.shape), held) // max(1, held)

    def trace(self, runs: Runs) -> Runs:
        """The runs of the operand that these runs of the result come from, in the same order."""
        raise NotImplementedError

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole blocks."""
        return collected(self, Runs.of(elements), source)


def collected(of: Recipe | Movement, runs: Runs, source: Source) -> Bytes:
    """The bytes of these runs of `of`, one after another. Every unit that they touch is computed once."""
    while isinstance(of, Movement):
        runs, of = of.trace(runs), of.of
    runs = runs.joined()
    if len(runs.starts) == 1:
        return piece(of, ElementRange(int(runs.starts[0]), int(runs.lengths[0])), source)
    order = None if (np.diff(runs.starts) >= 0).all() else np.argsort(runs.starts, kind="stable")
    starts, lengths = (
        (runs.starts, runs.lengths) if order is None else (runs.starts[order], runs.lengths[order])
    )
    unit = of.unit
    firsts = starts - starts % unit
    # Up to where everything is wanted, or part of a unit that is.
    ends = np.maximum.accumulate(np.minimum(-(-(starts + lengths) // unit) * unit, prod(of.shape)))
    near = _NEAR * of.dtype.block // of.dtype.size
    heads = np.flatnonzero(np.concatenate(([True], firsts[1:] - ends[:-1] > np.maximum(lengths[1:], near))))
    begins, sizes = firsts[heads], np.append(ends[heads[1:] - 1], ends[-1]) - firsts[heads]
    spans = [
        of.read(ElementRange(int(begin), int(size)), source)
        for begin, size in zip(begins, sizes, strict=True)
    ]
    staged = spans[0] if len(spans) == 1 else np.concatenate(spans)
    # Where in `staged` each run begins.
    shift = np.cumsum(sizes) - sizes - begins
    places = starts + np.repeat(shift, np.diff(np.append(heads, len(starts))))
    if order is not None:
        places[order] = places.copy()
    return _taken(staged, Runs(places, runs.lengths), of.dtype)


def _taken(data: Bytes, runs: Runs, dtype: DType) -> Bytes:
    """Copies of these runs of `data`, one after another."""
    starts, lengths = runs.starts // dtype.block, runs.lengths // dtype.block
    total = int(lengths.sum())
    if total * dtype.size >= _LONG * len(starts):
        out = np.empty(total * dtype.size, np.uint8)
        at = 0
        for start, length in zip(
            (starts * dtype.size).tolist(), (lengths * dtype.size).tolist(), strict=True
        ):
            out[at : at + length] = data[start : start + length]
            at += length
        return out
    if total > len(starts):
        before = np.cumsum(lengths) - lengths
        starts = np.repeat(starts - before, lengths) + np.arange(total)
    item = _ITEMS.get(dtype.size)
    if item is None:
        return data.reshape(-1, dtype.size)[starts].reshape(-1)
    return np.asarray(data.view(item)[starts]).view(np.uint8)
