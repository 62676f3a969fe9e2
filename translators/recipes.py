"""Recipes: how one output tensor is computed, and which source bytes a part of it needs.

A recipe is a small expression over stored tensors. Asked for a range of its elements it pushes the range
down to the extents that these elements come from, so that a read of 128 KiB touches about as much of the
source, never a whole tensor. Every operation is element-wise, row-wise or block-wise, on units counted
from the tensor's first element: a byte does not depend on the range it was asked for in (invariant I2).

A recipe yields bytes in its own dtype; `Cast` is the only place where values are computed. Recipes are
data (msgspec structs), so a layout can cross a process boundary or lie on disk.
Knows nothing of names, formats or files beyond extents.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from translators.dtypes import DTYPES, DType
from translators.importance import Importance
from translators.model import Extent, Tensor
from translators.quants import convert, needs_rows
from translators.ranges import ElementRange

Bytes = npt.NDArray[np.uint8]


class Source(Protocol):
    """Where extents are read from: `translators.reading.SourceFiles`, or a test's own."""

    def read(self, file: int, offset: int, length: int) -> memoryview | bytearray:
        """`length` bytes from `offset` of file number `file`."""


class Stored(msgspec.Struct, frozen=True, tag="stored", tag_field="op", array_like=True):
    """The bytes of a source tensor, as they are."""

    extent: Extent
    type: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> DType:
        """The stored element type."""
        return DTYPES[self.type]

    @property
    def unit(self) -> int:
        """Elements that can only be had together."""
        return self.dtype.block

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole units."""
        start = self.dtype.nbytes(elements.first)
        length = self.dtype.nbytes(elements.count)
        return np.frombuffer(source.read(self.extent.file, self.extent.offset + start, length), np.uint8)


class Literal(msgspec.Struct, frozen=True, tag="literal", tag_field="op", array_like=True):
    """A tensor that no source holds, computed while planning (rope_freqs and the like): small."""

    data: bytes
    type: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> DType:
        """The element type of `data`."""
        return DTYPES[self.type]

    @property
    def unit(self) -> int:
        """Elements that can only be had together."""
        return self.dtype.block

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`; nothing is read."""
        start = self.dtype.nbytes(elements.first)
        return np.frombuffer(self.data, np.uint8, self.dtype.nbytes(elements.count), start)


class SwapRows(msgspec.Struct, frozen=True, tag="swap_rows", tag_field="op", array_like=True):
    """Rows of each of `groups` groups, viewed as (outer, inner), swapped to (inner, outer).

    With groups = heads, outer = 2 and inner = head_dim / 2 this undoes Hugging Face's rotary order of
    q and k rows, as llama.cpp's llama graph wants them; with outer and inner exchanged it is the inverse.
    A tensor of one dimension counts as rows of one element.
    """

    of: Recipe
    groups: int
    outer: int
    inner: int

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
        """One row."""
        return prod(self.shape) // (self.groups * self.outer * self.inner)

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole rows.

        The rows wanted from one group come from at most `outer` runs of source rows, each read at once.
        """
        row = self.unit
        group_rows = self.outer * self.inner
        wanted = np.arange(elements.first // row, elements.end // row)
        group, within = wanted // group_rows, wanted % group_rows
        origin = group * group_rows + within % self.outer * self.inner + within // self.outer
        row_bytes = self.dtype.nbytes(row)
        out = np.empty((len(wanted), row_bytes), np.uint8)
        order = np.argsort(origin)
        # A run is a stretch of source rows without a gap: one read each.
        breaks = np.flatnonzero(np.diff(origin[order]) != 1) + 1
        for run in np.split(order, breaks):
            piece = ElementRange(int(origin[run[0]]) * row, len(run) * row)
            out[run] = self.of.read(piece, source).reshape(len(run), row_bytes)
        return out.reshape(-1)


class TakeRows(msgspec.Struct, frozen=True, tag="take_rows", tag_field="op", array_like=True):
    """Some rows of a tensor, each by its number, in the order given."""

    of: Recipe
    rows: tuple[int, ...]

    @property
    def dtype(self) -> DType:
        """The operand's element type: bytes only move."""
        return self.of.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """As many rows as are taken."""
        return (len(self.rows), *self.of.shape[1:])

    @property
    def unit(self) -> int:
        """One row."""
        return prod(self.of.shape[1:])

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole rows: one read for each."""
        wanted = self.rows[elements.first // self.unit : elements.end // self.unit]
        pieces = [self.of.read(ElementRange(row * self.unit, self.unit), source) for row in wanted]
        return np.concatenate(pieces)


class Cast(msgspec.Struct, frozen=True, tag="cast", tag_field="op", array_like=True):
    """The same values in another type, by way of float32: widening, rounding, quantising, dequantising.

    `checked` refuses NaN and infinity in source and result, as llama-quantize does.
    `importance` weighs the columns: a slice of them for each matrix of a stack.
    """

    of: Recipe
    type: str
    checked: bool = False
    importance: Importance | None = None

    @property
    def dtype(self) -> DType:
        """The type that the values are cast to."""
        return DTYPES[self.type]

    @property
    def shape(self) -> tuple[int, ...]:
        """The operand's shape."""
        return self.of.shape

    @property
    def unit(self) -> int:
        """Elements that can only be had together: one block, for some types a row if columns are weighed."""
        return self.shape[-1] if self.importance and needs_rows(self.dtype) else self.dtype.block

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole units. Raises BadValues (see `checked`)."""
        wide = elements.widened(self.of.unit, prod(self.shape))
        raw = self.of.read(wide, source)
        if wide != elements:
            size, block = self.of.dtype.size, self.of.dtype.block
            if (elements.first - wide.first) % block == 0 and elements.count % block == 0:
                first = (elements.first - wide.first) // block * size
                raw = raw[first : first + elements.count // block * size]
                wide = elements
        if self.importance is None:
            result = convert(self.of.dtype, self.dtype, raw, first=wide.first, checked=self.checked)
        else:
            result = self._weighted(self.importance, raw, wide, source)
        if wide == elements:
            return result
        skip = self.dtype.nbytes(elements.first - wide.first)
        return result[skip : skip + self.dtype.nbytes(elements.count)]

    def _weighted(self, importance: Importance, raw: Bytes, elements: ElementRange, source: Source) -> Bytes:
        """`raw`, which holds `elements`, converted with each column's weight."""
        row, of = self.shape[-1], self.of.dtype
        made = []
        for piece in _pieces(elements, row, row * self.shape[-2]):
            start = of.nbytes(piece.first - elements.first)
            part = raw[start : start + of.nbytes(piece.count)]
            column = piece.first // (row * self.shape[-2]) * row + piece.first % row
            columns = importance.read(column, min(row, piece.count), source)
            made.append(
                convert(of, self.dtype, part, first=piece.first, checked=self.checked, columns=columns)
            )
        return made[0] if len(made) == 1 else np.concatenate(made)


def _pieces(elements: ElementRange, row: int, matrix: int) -> Iterator[ElementRange]:
    """`elements` as parts of one row, and runs of whole rows of one matrix (both counted in elements)."""
    at = elements.first
    while at < elements.end:
        left = elements.end - at
        if at % row or left < row:
            count = min(row - at % row, left)
        else:
            count = min(left - left % row, matrix - at % matrix)
        yield ElementRange(at, count)
        at += count


Recipe = Stored | Literal | SwapRows | TakeRows | Cast


def stored(tensor: Tensor) -> Stored:
    """The recipe of a source tensor as it is."""
    return Stored(tensor.extent, tensor.dtype.name, tensor.shape)


def cast(of: Recipe, dtype: DType, *, checked: bool = False) -> Recipe:
    """`of` in `dtype`; the recipe itself where it already has that type."""
    return of if of.dtype is dtype else Cast(of, dtype.name, checked)


def nbytes(recipe: Recipe) -> int:
    """The size of the tensor that a recipe makes."""
    return recipe.dtype.nbytes(prod(recipe.shape))


def stored_bytes(recipe: Recipe) -> int:
    """How many bytes of a source all of a recipe's tensor is made of."""
    while isinstance(recipe, Cast | SwapRows):
        recipe = recipe.of
    if isinstance(recipe, Stored):
        return recipe.extent.length
    if isinstance(recipe, Literal):
        return 0
    return stored_bytes(recipe.of) * len(recipe.rows) // max(1, recipe.of.shape[0])


def recipe_print(recipe: Recipe) -> bytes:
    """What stands for a recipe in an identity; a cast's begins with its operand's."""
    if isinstance(recipe, Cast):
        return recipe_print(recipe.of) + cast_print(recipe)
    return msgspec.msgpack.encode(recipe)


def cast_print(recipe: Cast) -> bytes:
    """What a cast adds to its operand's print: all of its fields but the operand."""
    fields = recipe.__struct_fields__
    return msgspec.msgpack.encode([getattr(recipe, field) for field in fields if field != "of"])


def read_bytes(recipe: Recipe, offset: int, length: int, source: Source) -> Bytes:
    """`length` bytes from `offset` of the tensor that `recipe` makes; any range within it.

    Computes the whole units that the range touches and cuts it out of them.
    """
    if not length:
        return np.empty(0, np.uint8)
    dtype, total = recipe.dtype, prod(recipe.shape)
    first = offset // dtype.size * dtype.block
    end = -(-(offset + length) // dtype.size) * dtype.block
    elements = ElementRange(first, end - first).widened(recipe.unit, total)
    skip = offset - dtype.nbytes(elements.first)
    return recipe.read(elements, source)[skip : skip + length]
