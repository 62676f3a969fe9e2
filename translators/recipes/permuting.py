"""Permuting axes: transposes, which no order of reading is good for.

What it costs: a range of the result is a box of the operand, of which each row is a run of its own: a read of
n bytes from a matrix of r rows is r short reads of n / r bytes. As many bytes are read as are needed, up to
twice as many where a range begins and ends within rows; but in pieces of some hundred bytes for a read of a
mebibyte, so that a disk delivers its pages several times over unless the system keeps them. Of an operand
that is computed from less than a page a row, as of blocks of four bits, whole rows are had: the disk delivers
these anyway, and to compute some rows at once takes less time than a part of each by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from translators.dtypes import DType
from translators.errors import MalformedSource, Unsupported
from translators.ranges import ElementRange
from translators.recipes.leaves import Stored
from translators.recipes.movement import Movement, Runs, collected
from translators.recipes.pieces import Bytes, Source, piece
from translators.recipes.shapes import reshape
from translators.recipes.unpacking import Transposed

if TYPE_CHECKING:
    from translators.recipes import Recipe

# For each axis the first index, and the one behind the last.
Box = tuple[tuple[int, int], ...]

_PAGE = 4096
# Elements of whole rows that are computed at once, of which parts are kept.
_SLAB = 1 << 19


class Permute(msgspec.Struct, frozen=True, tag="permute", tag_field="op", array_like=True, gc=False):
    """Axis n of the result is axis `axes[n]` of the operand, as in NumPy's transpose."""

    of: Recipe
    axes: tuple[int, ...]

    @property
    def dtype(self) -> DType:
        """The operand's element type: bytes only move."""
        return self.of.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The operand's, permuted."""
        shape = self.of.shape
        return tuple(shape[axis] for axis in self.axes)

    @property
    def unit(self) -> int:
        """One block."""
        return self.dtype.block

    @property
    def source_bytes(self) -> int:
        """The operand's."""
        return self.of.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole blocks, by boxes that hold at most twice as many."""
        parts = [
            self._box(box, source)[self.dtype.nbytes(wanted.first) : self.dtype.nbytes(wanted.end)]
            for box, wanted in _boxes(self.shape, elements.first, elements.end)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _box(self, box: Box, source: Source) -> Bytes:
        """The bytes of all elements in `box`, in the result's order."""
        held: list[tuple[int, int]] = [(0, 0)] * len(box)
        for axis, part in zip(self.axes, box, strict=True):
            held[axis] = part
        if self._is_dear(held):
            raw = _cut(self.of, tuple(held), source)
        else:
            raw = collected(self.of, _runs(tuple(held), self.of.shape), source)
        sizes = [end - first for first, end in held]
        if self.axes[-1] == len(box) - 1:
            # The last axis stays where it is: what lies along it moves as bytes.
            values: npt.NDArray[np.generic] = raw.reshape(*sizes[:-1], -1)
        else:
            values = raw.view(f"V{self.dtype.size}" if self.dtype.size > 8 else f"u{self.dtype.size}")
            values = values.reshape(sizes)
        return np.ascontiguousarray(values.transpose(self.axes)).reshape(-1).view(np.uint8)

    def _is_dear(self, box: Sequence[tuple[int, int]]) -> bool:
        """Whether parts of rows are taken where these cost as much as all of them."""
        first, end = box[-1]
        if isinstance(self.of, Stored | Movement) or end - first == self.of.shape[-1]:
            return False
        return self.of.source_bytes * self.of.shape[-1] < _PAGE * prod(self.of.shape)


def _cut(of: Recipe, box: Box, source: Source) -> Bytes:
    """The bytes of a box, of whole rows that are computed some at a time."""
    columns, (first, end) = of.shape[-1], box[-1]
    wide, keep = of.dtype.nbytes(columns), slice(of.dtype.nbytes(first), of.dtype.nbytes(end))
    runs = _runs((*box[:-1], (0, columns)), of.shape).joined()
    parts = []
    for start, length in zip(runs.starts.tolist(), runs.lengths.tolist(), strict=True):
        step = max(1, _SLAB // columns) * columns
        for at in range(start, start + length, step):
            rows = piece(of, ElementRange(at, min(step, start + length - at)), source)
            parts.append(np.ascontiguousarray(rows.reshape(-1, wide)[:, keep]))
    return np.concatenate(parts).reshape(-1)


def _boxes(shape: tuple[int, ...], first: int, end: int) -> Iterator[tuple[Box, ElementRange]]:
    """Boxes that hold the elements from `first` to before `end`, in order; of each, which are meant."""
    inner = prod(shape[1:])
    low, high = first // inner, (end - 1) // inner + 1
    if high - low == 1 and len(shape) > 1:
        for box, wanted in _boxes(shape[1:], first - low * inner, end - low * inner):
            yield ((low, high), *box), wanted
    elif (high - low) * inner <= 2 * (end - first):
        wanted = ElementRange(first - low * inner, end - first)
        yield ((low, high), *((0, size) for size in shape[1:])), wanted
    else:
        for start, stop in pairwise((first, (low + 1) * inner, end - end % inner, end)):
            if start < stop:
                yield from _boxes(shape, start, stop)


def _runs(box: Box, shape: tuple[int, ...]) -> Runs:
    """The elements of a box of a tensor in row-major order, as runs that are as long as can be."""
    axis = len(shape) - 1
    while axis > 0 and box[axis] == (0, shape[axis]):
        axis -= 1
    starts, width = np.zeros(1, np.int64), 1
    for number, (first, end) in enumerate(box[:axis]):
        width = prod(shape[number + 1 :])
        starts = (starts[:, None] + np.arange(first, end) * width).reshape(-1)
    inner = prod(shape[axis + 1 :])
    first, end = box[axis]
    return Runs(starts + first * inner, np.full(len(starts), (end - first) * inner))


def permute(of: Recipe, axes: tuple[int, ...]) -> Recipe:
    """`of` with its axes in this order. Raises MalformedSource; Unsupported where rows of blocks break."""
    if sorted(axes) != list(range(len(of.shape))):
        raise MalformedSource(f"axes {axes} are not those of shape {of.shape}", remedy="check config.json")
    if isinstance(of, Permute):
        return permute(of.of, tuple(of.axes[axis] for axis in axes))
    if isinstance(of, Transposed) and axes == (1, 0):
        return of.of
    shape = tuple(of.shape[axis] for axis in axes)
    moving = [axis for axis in axes if of.shape[axis] > 1]
    if moving == sorted(moving):
        return reshape(of, shape)
    if of.dtype.block > 1 and axes[-1] != len(axes) - 1:
        raise Unsupported(f"parts of rows of {of.dtype.name} cannot be had")
    return Permute(of, axes)


def transpose2d(of: Recipe) -> Recipe:
    """`of` with its last two axes exchanged. Raises as `permute`."""
    last = len(of.shape) - 1
    if last < 1:
        raise MalformedSource(f"shape {of.shape} has no two axes to exchange", remedy="check config.json")
    return permute(of, (*range(last - 1), last, last - 1))
