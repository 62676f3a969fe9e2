"""Joining: one tensor of several, along an axis they have or along a new one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from translators.dtypes import DType
from translators.errors import MalformedSource
from translators.ranges import ElementRange
from translators.recipes.leaves import fill
from translators.recipes.pieces import Bytes, Source, piece
from translators.recipes.shapes import reshape

if TYPE_CHECKING:
    from translators.recipes import Recipe

_REMEDY = "check config.json, and that all shards are of one version"


class Concat(msgspec.Struct, frozen=True, tag="concat", tag_field="op", array_like=True, gc=False):
    """The parts one behind another along `axis`; all other dimensions and the types are alike."""

    parts: tuple[Recipe, ...]
    axis: int

    @property
    def dtype(self) -> DType:
        """The parts' element type."""
        return self.parts[0].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The parts' together."""
        shape = self.parts[0].shape
        joined = sum(part.shape[self.axis] for part in self.parts)
        return (*shape[: self.axis], joined, *shape[self.axis + 1 :])

    @property
    def unit(self) -> int:
        """One block."""
        return self.dtype.block

    @property
    def source_bytes(self) -> int:
        """The parts' together."""
        return sum(part.source_bytes for part in self.parts)

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`: one piece of each part, as what is wanted of one has no gaps."""
        nbytes = self.dtype.nbytes
        out = np.empty(nbytes(elements.count), np.uint8)
        row = prod(self.shape[self.axis :])
        low, high = elements.first // row, (elements.end - 1) // row
        column = 0
        for part in self.parts:
            width = prod(part.shape[self.axis :])
            first = low * width + min(max(elements.first - low * row - column, 0), width)
            end = high * width + min(max(elements.end - high * row - column, 0), width)
            if first < end:
                data = piece(part, ElementRange(first, end - first), source)
                for at, runs, taken in _places(first, end, width, row):
                    begin = nbytes(at + column - elements.first)
                    to = _rows(out, begin, runs, nbytes(taken), nbytes(row))
                    start = nbytes(at // row * width + at % row - first)
                    to[:] = data[start : start + to.size].reshape(to.shape)
            column += width
        return out


def _places(first: int, end: int, width: int, row: int) -> Iterator[tuple[int, int, int]]:
    """Where elements `first` to `end` of a part come to lie, if its rows of `width` are put at each `row`.

    At most three times: the place, how many rows, and how many elements of each.
    """
    while first < end:
        skip = first % width
        rows = 1 if skip or end - first < width else (end - first) // width
        taken = min(width - skip, end - first)
        yield first // width * row + skip, rows, taken
        first += rows * taken


def _rows(out: Bytes, begin: int, rows: int, taken: int, row: int) -> Bytes:
    """`rows` stretches of `taken` bytes of `out`, one every `row` bytes from `begin`, as a matrix."""
    if rows == 1:
        return out[begin : begin + taken].reshape(1, -1)
    return np.lib.stride_tricks.as_strided(out[begin:], (rows, taken), (row, 1))


class Stack(msgspec.Struct, frozen=True, tag="stack", tag_field="op", array_like=True, gc=False):
    """Tensors of one shape and type, one after another along a new first axis: a layer's experts."""

    parts: tuple[Recipe, ...]

    @property
    def dtype(self) -> DType:
        """The parts' element type."""
        return self.parts[0].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """How many, then their shape."""
        return (len(self.parts), *self.parts[0].shape)

    @property
    def unit(self) -> int:
        """One block."""
        return self.dtype.block

    @property
    def source_bytes(self) -> int:
        """The parts' together."""
        return sum(part.source_bytes for part in self.parts)

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`: a piece of each part that they lie in."""
        size = prod(self.parts[0].shape)
        made = []
        for number in range(elements.first // size, (elements.end - 1) // size + 1):
            first = max(elements.first - number * size, 0)
            end = min(elements.end - number * size, size)
            made.append(piece(self.parts[number], ElementRange(first, end - first), source))
        return made[0] if len(made) == 1 else np.concatenate(made)


def concat(parts: Sequence[Recipe], axis: int = 0) -> Recipe:
    """The parts one behind another along `axis` (negative: from the last). Raises MalformedSource."""
    dimensions = len(parts[0].shape)
    if not -dimensions <= axis < dimensions:
        raise MalformedSource(f"shape {parts[0].shape} has no axis {axis}", remedy=_REMEDY)
    axis %= dimensions
    shape, dtype = parts[0].shape, parts[0].dtype
    for part in parts:
        if part.shape[:axis] + part.shape[axis + 1 :] != shape[:axis] + shape[axis + 1 :]:
            raise MalformedSource(f"shapes {shape} and {part.shape} cannot be joined", remedy=_REMEDY)
        if len(part.shape) != dimensions or part.dtype is not dtype:
            raise MalformedSource(f"{part.dtype.name} cannot be joined with {dtype.name}", remedy=_REMEDY)
    filled = [part for part in parts if part.shape[axis]] or parts[:1]
    return filled[0] if len(filled) == 1 else Concat(tuple(filled), axis)


def stack(parts: Sequence[Recipe]) -> Recipe:
    """Tensors of one shape and type along a new first axis. Raises MalformedSource where they differ."""
    shape, dtype = parts[0].shape, parts[0].dtype
    for part in parts:
        if part.shape != shape or part.dtype is not dtype:
            raise MalformedSource(
                f"shapes {shape} of {dtype.name} and {part.shape} of {part.dtype.name} cannot be stacked",
                remedy=_REMEDY,
            )
    return reshape(parts[0], (1, *shape)) if len(parts) == 1 else Stack(tuple(parts))


def pad(of: Recipe, axis: int, before: int, after: int) -> Recipe:
    """`of` with so many zeros before and after it along `axis`. Raises ValueError for a type of blocks."""
    axis %= max(1, len(of.shape))
    parts = [
        fill((*of.shape[:axis], count, *of.shape[axis + 1 :]), of.dtype) if count else None
        for count in (before, after)
    ]
    return concat([part for part in (parts[0], of, parts[1]) if part is not None], axis)
