"""Pieces: what every operation is asked for, and how one operation asks another.

An operation has `dtype`, `shape`, `unit` (elements that can only be had together, counted from the tensor's
first) and `source_bytes`, and answers `read` for ranges of whole units. Whoever needs another range asks for
a `piece`: the units around it are computed and the piece is cut out of them.
Knows nothing of what operations there are.
"""

from __future__ import annotations

from math import prod
from typing import Protocol

import numpy as np
import numpy.typing as npt

from translators.dtypes import DType
from translators.ranges import ElementRange

Bytes = npt.NDArray[np.uint8]


class Source(Protocol):
    """Where extents are read from: `translators.reading.SourceFiles`, or a test's own."""

    def read(self, file: int, offset: int, length: int) -> memoryview | bytearray:
        """`length` bytes from `offset` of file number `file`."""


class Operation(Protocol):
    """What a recipe's struct has. `Recipe` is the union of those that there are."""

    @property
    def dtype(self) -> DType:
        """The type of the elements it yields."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape, outermost dimension first."""

    @property
    def unit(self) -> int:
        """Elements that can only be had together, in row-major order: a multiple of the type's block.

        An operation that is dear in small ranges has a large one: each unit that a read touches
        is computed once.
        """

    @property
    def source_bytes(self) -> int:
        """How many bytes of a source all of the tensor is made of."""

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole units (the last one may be shorter), and not empty."""


def piece(of: Operation, elements: ElementRange, source: Source) -> Bytes:
    """The bytes of any `elements` that are whole blocks of `of`'s type, and at least one."""
    if of.unit == 1:
        return of.read(elements, source)
    wide = elements.widened(of.unit, prod(of.shape))
    raw = of.read(wide, source)
    if wide == elements:
        return raw
    skip = of.dtype.nbytes(elements.first - wide.first)
    return raw[skip : skip + of.dtype.nbytes(elements.count)]


def nbytes(recipe: Operation) -> int:
    """The size of the tensor that a recipe makes."""
    return recipe.dtype.nbytes(prod(recipe.shape))


def stored_bytes(recipe: Operation) -> int:
    """How many bytes of a source all of a recipe's tensor is made of."""
    return recipe.source_bytes


def read_bytes(recipe: Operation, offset: int, length: int, source: Source) -> Bytes:
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
