"""The recipes that are made of no other: a source's bytes, bytes computed while planning, one number."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from translators.dtypes import DTYPES, F32, DType
from translators.model import Extent, SourceTensor, Tensor
from translators.quants import convert
from translators.ranges import ElementRange
from translators.recipes.pieces import Bytes, Source

if TYPE_CHECKING:
    from translators.recipes import Recipe


class Stored(msgspec.Struct, frozen=True, tag="stored", tag_field="op", array_like=True, gc=False):
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
        """One block."""
        return self.dtype.block

    @property
    def source_bytes(self) -> int:
        """All of the extent."""
        return self.extent.length

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole units."""
        start = self.dtype.nbytes(elements.first)
        length = self.dtype.nbytes(elements.count)
        return np.frombuffer(source.read(self.extent.file, self.extent.offset + start, length), np.uint8)


class Literal(msgspec.Struct, frozen=True, tag="literal", tag_field="op", array_like=True, gc=False):
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
        """One block."""
        return self.dtype.block

    @property
    def source_bytes(self) -> int:
        """None."""
        return 0

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`; nothing is read."""
        start = self.dtype.nbytes(elements.first)
        return np.frombuffer(self.data, np.uint8, self.dtype.nbytes(elements.count), start)


class Fill(msgspec.Struct, frozen=True, tag="fill", tag_field="op", array_like=True, gc=False):
    """The same number everywhere, rounded to the type by way of float32."""

    shape: tuple[int, ...]
    type: str
    value: float

    @property
    def dtype(self) -> DType:
        """The element type: a plain one."""
        return DTYPES[self.type]

    @property
    def unit(self) -> int:
        """One element."""
        return 1

    @property
    def source_bytes(self) -> int:
        """None."""
        return 0

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`; nothing is read."""
        if not self.value:
            return np.zeros(self.dtype.nbytes(elements.count), np.uint8)
        one = convert(F32, self.dtype, np.array([self.value], "<f4").view(np.uint8), first=0, checked=False)
        return np.tile(one, elements.count)


@dataclass(frozen=True, slots=True)
class Derived:
    """A tensor that a source holds in another way than as one run of bytes: strided, compressed, in parts
    that are joined, or merged from several. `recipe` says how it is had.
    """

    name: str
    recipe: Recipe

    @property
    def dtype(self) -> DType:
        """The type of its elements."""
        return self.recipe.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Outermost dimension first."""
        return self.recipe.shape

    @property
    def elements(self) -> int:
        """The number of elements."""
        return prod(self.shape)


def stored(tensor: SourceTensor) -> Recipe:
    """The recipe of a source tensor as it is."""
    if isinstance(tensor, Derived):
        return tensor.recipe
    assert isinstance(tensor, Tensor)
    return Stored(tensor.extent, tensor.dtype.name, tensor.shape)


def fill(shape: tuple[int, ...], dtype: DType, value: float = 0.0) -> Fill:
    """`value` everywhere. Raises ValueError for a type of blocks; only zero may be no float."""
    if dtype.block > 1 or (value and not dtype.is_float):
        raise ValueError(f"no tensor of {dtype.name} is filled with {value}")
    if min(shape, default=0) < 0 or prod(shape) >= 1 << 62:
        raise ValueError(f"{shape} is no shape")
    return Fill(shape, dtype.name, value)
