"""Casts: the same values in another element type, and what stands for a recipe in an identity.

A cast's print begins with its operand's, so that the files of one model, which differ in their casts alone,
share the prints of what they are made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from translators.copying import copy
from translators.dtypes import DTYPES, DType
from translators.importance import Importance
from translators.quants import convert, needs_rows
from translators.ranges import ElementRange
from translators.recipes.pieces import Bytes, Source, piece, read_bytes

if TYPE_CHECKING:
    from translators.recipes import Recipe

# The kernels' results are written to memory that is aligned like that, as a tensor of a GGUF is.
_ALIGNED = 32


class Cast(msgspec.Struct, frozen=True, tag="cast", tag_field="op", array_like=True, gc=False):
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

    @property
    def source_bytes(self) -> int:
        """The operand's."""
        return self.of.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole units. Raises BadValues (see `checked`)."""
        return self._read(elements, source, None)

    def read_into(self, elements: ElementRange, source: Source, out: Bytes) -> None:
        """Fill `out`, which is as long, with the bytes of `elements`, as `read`."""
        result = self._read(elements, source, out)
        if result is not out:
            np.copyto(out, result)

    def _read(self, elements: ElementRange, source: Source, out: Bytes | None) -> Bytes:
        """The bytes of `elements`: in `out`, if there is one and just these are made at once."""
        # Of blocks that are wider than one's own, whole ones are converted.
        wide = elements.widened(self.of.dtype.block, prod(self.shape))
        raw = piece(self.of, wide, source)
        if self.importance is None:
            into = out if wide == elements else None
            of = self.of.dtype
            result = convert(of, self.dtype, raw, first=wide.first, checked=self.checked, out=into)
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
        for run in _pieces(elements, row, row * self.shape[-2]):
            start = of.nbytes(run.first - elements.first)
            part = raw[start : start + of.nbytes(run.count)]
            column = run.first // (row * self.shape[-2]) * row + run.first % row
            columns = importance.read(column, min(row, run.count), source)
            made.append(convert(of, self.dtype, part, first=run.first, checked=self.checked, columns=columns))
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


def fill_bytes(recipe: Recipe, offset: int, buffer: memoryview, source: Source) -> None:
    """Fill `buffer` with the bytes from `offset` of the tensor that `recipe` makes; any range within it.

    Spares a copy where a cast is asked for whole units.
    """
    out = np.frombuffer(buffer, np.uint8)
    size = recipe.dtype.size
    if (
        isinstance(recipe, Cast)
        and out.ctypes.data % _ALIGNED == 0
        and not (offset % size or out.size % size)
    ):
        block = recipe.dtype.block
        elements = ElementRange(offset // size * block, out.size // size * block)
        if elements == elements.widened(recipe.unit, prod(recipe.shape)):
            recipe.read_into(elements, source, out)
            return
    copy(buffer, read_bytes(recipe, offset, len(buffer), source).data)


def cast(of: Recipe, dtype: DType, *, checked: bool = False) -> Recipe:
    """`of` in `dtype`; the recipe itself where it already has that type."""
    return of if of.dtype is dtype else Cast(of, dtype.name, checked)


def recipe_print(recipe: Recipe) -> bytes:
    """What stands for a recipe in an identity; a cast's begins with its operand's."""
    if isinstance(recipe, Cast):
        return recipe_print(recipe.of) + cast_print(recipe)
    return _ENCODER.encode(recipe)


def cast_print(recipe: Cast) -> bytes:
    """What a cast adds to its operand's print: all of its fields but the operand."""
    fields = recipe.__struct_fields__
    return _ENCODER.encode([getattr(recipe, field) for field in fields if field != "of"])


_ENCODER = msgspec.msgpack.Encoder()
