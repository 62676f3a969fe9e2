"""Codes times their scales: what most quantised checkpoints mean by their weights.

    value = (code - zero - shift) * scale

in float32, from the left to the right, as PyTorch computes it on a processor. A scale covers a block of
the weight: 128 x 128 of it, a row, a stretch of a row, or all. Only the scales of the rows that are asked
for are read, so a range of the weight costs as much of the source as it has codes, and little more.
Knows nothing of how codes were packed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from translators.dtypes import F32, DType
from translators.errors import BadValues
from translators.quants import convert
from translators.ranges import ElementRange
from translators.recipes.pieces import Bytes, Source, piece
from translators.recipes.shapes import reshape

if TYPE_CHECKING:
    from translators.recipes import Recipe

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

# Elements computed at once: small enough to stay in a core's own cache.
_SLAB = 1 << 16


class Scaled(msgspec.Struct, frozen=True, tag="scaled", tag_field="op", array_like=True, gc=False):
    """`(codes - zero - shift) * scale` as F32.

    codes:  plain numbers: floats of eight bits, or integers.
    scale:  plain numbers, of as many dimensions.
    blocks: how many elements of the weight share a scale, along each dimension.
    zero:   of the same shape as the scale, if not None.
    shift:  the same for all.
    groups: integers that say for each column which of a row's scales it has, instead of a block's size.
    divided: the scale is to be divided by.
    """

    codes: Recipe
    scale: Recipe
    blocks: tuple[int, ...]
    zero: Recipe | None = None
    shift: int = 0
    groups: Recipe | None = None
    divided: bool = False

    @property
    def dtype(self) -> DType:
        """Float32."""
        return F32

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the codes."""
        return self.codes.shape

    @property
    def unit(self) -> int:
        """What the codes can only be had in."""
        return self.codes.unit

    @property
    def source_bytes(self) -> int:
        """All of the operands'."""
        parts = (self.codes, self.scale, self.zero, self.groups)
        return sum(part.source_bytes for part in parts if part is not None)

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole units. Raises BadValues for a group that there is not."""
        codes = self.codes.read(elements, source)
        values = convert(self.codes.dtype, F32, codes, first=elements.first, checked=False).view(np.float32)
        columns = self.shape[-1]
        with np.errstate(all="ignore"):
            for part in _rectangles(elements, columns):
                row, column = divmod(part.first, columns)
                wide = min(columns, part.count)
                block = values[part.first - elements.first : part.end - elements.first].reshape(-1, wide)
                self._scale(block, row, column, source)
        return values.view(np.uint8)

    def _scale(self, values: Floats, row: int, column: int, source: Source) -> None:
        """Scale the codes of a rectangle of the weight, seen as a matrix of rows, in their place."""
        rows = self._scale_rows(row, row + len(values))
        scale = self._read(self.scale, rows, source)
        zero, shift = None if self.zero is None else self._read(self.zero, rows, source), self.shift
        if zero is not None and shift and _are_small(self.codes) and _are_small(self.zero):
            zero, shift = zero + np.float32(shift), 0  # exact, in whatever order
        rows -= rows[0]
        pick, each = self._columns(column, column + values.shape[1], source)
        step = max(1, _SLAB // values.shape[1])
        for start in range(0, len(values), step):
            block, some = values[start : start + step], rows[start : start + step]
            if each:
                block = block.reshape(len(block), -1, each)
            if zero is not None:
                block -= _spread(zero, some, pick, each)
            if shift:
                block -= np.float32(shift)
            factor = _spread(scale, some, pick, each)
            if self.divided:
                block /= factor
            else:
                block *= factor

    def _scale_rows(self, first: int, end: int) -> Ints:
        """Which row of the scales each of these rows of the weight has, both seen as matrices of rows."""
        rows = np.arange(first, end)
        found, stride = np.zeros(end - first, np.int64), 1
        outer = len(self.shape) - 1
        for axis in reversed(range(outer)):
            rows, index = np.divmod(rows, self.shape[axis])
            found += index // self.blocks[axis] * stride
            stride *= self.scale.shape[axis]
        return found

    def _read(self, of: Recipe, rows: Ints, source: Source) -> Floats:
        """The rows of scales or zeros from the first to the last of `rows`."""
        held = of.shape[-1]
        first, count = int(rows[0]), int(rows[-1] - rows[0]) + 1
        raw = piece(of, ElementRange(first * held, count * held), source)
        values = convert(of.dtype, F32, raw, first=first * held, checked=False)
        return values.view(np.float32).reshape(count, held)

    def _columns(self, first: int, end: int, source: Source) -> tuple[Ints | slice, int]:
        """Which of a row's scales the columns have: one for each, or one for every so many (not 0)."""
        held = self.scale.shape[-1]
        if self.groups is not None:
            raw = piece(self.groups, ElementRange(first, end - first), source)
            numbers = raw.view(_INTEGERS[self.groups.dtype.name]).astype(np.int64)
            if numbers.min() < 0 or numbers.max() >= held:
                raise BadValues(
                    f"a column is of none of the {held} groups", place="g_idx",
                    remedy="get the model again, or from another source",
                )  # fmt: skip
            return _in_order(numbers)
        block = self.blocks[-1]
        if block >= end - first and first // block == (end - 1) // block:
            return slice(first // block, first // block + 1), end - first
        if block > 1 and first % block == 0 and end % block == 0:
            return slice(first // block, end // block), block
        return np.arange(first, end) // block, 0


def _are_small(of: Recipe | None) -> bool:
    return of is not None and of.dtype.name in ("U8", "I8")


def _in_order(groups: Ints) -> tuple[Ints | slice, int]:
    """As `_columns` gives them, where groups follow one another and all have as many columns."""
    each = int(np.argmax(groups != groups[0])) or len(groups)
    count, first = len(groups) // each, int(groups[0])
    if (
        each == 1
        or len(groups) % each
        or not np.array_equal(groups, np.arange(first * each, (first + count) * each) // each)
    ):
        return groups, 0
    return slice(first, first + count), each


_INTEGERS = {"I32": np.int32, "I64": np.int64}


def _spread(of: Floats, rows: Ints, pick: Ints | slice, each: int) -> Floats:
    """The scales of these rows, as they are broadcast over columns."""
    # Rows of a block have the same ones: mostly there is only one row of them. Or each row has its own.
    if len(of) > 1:
        first, end = int(rows[0]), int(rows[-1]) + 1
        of = of[first:end] if end - first == len(rows) else of[rows]
    spread = of[:, pick] if isinstance(pick, slice) else np.take(of, pick, 1, mode="clip")
    return spread[:, :, None] if each else spread


def _rectangles(elements: ElementRange, row: int) -> Iterator[ElementRange]:
    """`elements` as part of a row, whole rows, and part of a row, as far as there are any."""
    inner = min(-(-elements.first // row) * row, elements.end)
    ends = (elements.first, inner, max(inner, elements.end - elements.end % row), elements.end)
    for first, end in pairwise(ends):
        if end > first:
            yield ElementRange(first, end - first)


def scaled(
    codes: Recipe,
    scale: Recipe,
    block: tuple[int, ...] = (),
    *,
    zero: Recipe | None = None,
    shift: int = 0,
    groups: Recipe | None = None,
    divided: bool = False,
) -> Scaled:
    """Codes and the scales that cover them.

    `block` are the sizes of a block along the scale's last dimensions, () where there is one scale for each
    index or for all. A scale that has fewer dimensions than the codes covers all of the last ones. Raises
    ValueError where the shapes do not fit, or where there are no codes.
    """
    held, blocks = _blocks(codes.shape, scale.shape, block, groups is not None)
    shape = codes.shape
    if zero is not None and zero.shape != scale.shape:
        raise ValueError(f"zeros of shape {list(zero.shape)} do not fit scales of shape {list(scale.shape)}")
    if groups is not None and (groups.shape != shape[-1:] or groups.dtype.name not in _INTEGERS):
        raise ValueError(
            f"{groups.dtype.name} of shape {list(groups.shape)} cannot number {shape[-1]} columns"
        )
    for part in (codes, scale, zero):
        if part is not None and part.dtype.block > 1:
            raise ValueError(f"{part.dtype.name} holds no plain numbers")
    zeros = None if zero is None else reshape(zero, held)
    return Scaled(codes, reshape(scale, held), blocks, zeros, shift, groups, divided)


@lru_cache(256)  # the experts of a model have few shapes, and there are tens of thousands of them
def _blocks(
    shape: tuple[int, ...], held: tuple[int, ...], block: tuple[int, ...], grouped: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of the scales in as many dimensions as the codes have, and how many elements share one."""
    wrong = ValueError(f"scales of shape {list(held)} do not fit a weight of shape {list(shape)}")
    rank, extra = len(held), len(held) - len(block)
    if not shape or not prod(shape) or rank > len(shape) or extra < 0 or min(block, default=1) < 1:
        raise wrong
    sizes = (1,) * extra + block
    held += (1,) * (len(shape) - rank)
    sizes += (1,) * (len(shape) - len(sizes))
    blocks = []
    for axis, (elements, scales, size) in enumerate(zip(shape, held, sizes, strict=True)):
        by_group = grouped and axis == len(shape) - 1
        if scales == 1 and not (extra <= axis < rank and size < elements):
            size = elements
        elif (not by_group and -(-elements // size) > scales) or (
            size == 1 and scales != elements and not by_group
        ):
            raise wrong
        blocks.append(size)
    return held, tuple(blocks)
