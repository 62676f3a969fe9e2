"""Narrow: integers of two or four bits, packed one behind another, each as a byte.

TensorFlow Lite and ONNX keep them so: the first of a byte is its lowest bits, rows begin within bytes.
Knows nothing of scales.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from translators.dtypes import DTYPES, DType
from translators.ranges import ElementRange
from translators.recipes.pieces import Bytes, Source, piece

if TYPE_CHECKING:
    from translators.recipes import Recipe


class Narrow(msgspec.Struct, frozen=True, tag="narrow", tag_field="op", array_like=True, gc=False):
    """The integers of so many `bits` in the bytes of `of`, which are in a row.

    signed: two's complement, so that they are I8; else U8.
    form:   the shape of the integers; bits behind the last are none.
    """

    of: Recipe
    bits: int
    signed: bool
    form: tuple[int, ...]

    @property
    def dtype(self) -> DType:
        """A byte for each integer."""
        return DTYPES["I8" if self.signed else "U8"]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the integers."""
        return self.form

    @property
    def unit(self) -> int:
        """The integers of a byte."""
        return 8 // self.bits

    @property
    def source_bytes(self) -> int:
        """All of the operand's."""
        return self.of.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole units but for the last."""
        first = elements.first // self.unit
        count = -(-elements.end // self.unit) - first
        packed = piece(self.of, ElementRange(first, count), source)
        made = np.empty((count, self.unit), np.uint8)
        for number in range(self.unit):
            # The integer goes to the byte's upper end, and back with its sign.
            np.left_shift(packed, 8 - self.bits * (number + 1), out=made[:, number])
        values = made.view(np.int8) if self.signed else made
        values >>= 8 - self.bits
        return made.reshape(-1)[: elements.count]


def narrow(of: Recipe, bits: int, *, signed: bool, shape: tuple[int, ...]) -> Narrow:
    """`Narrow`. Raises ValueError for what is no row of bytes that hold so many integers."""
    if bits not in (2, 4) or of.dtype.size * of.dtype.block != 1 or len(of.shape) != 1:
        raise ValueError(f"{of.dtype.name} of shape {list(of.shape)} holds no integers of {bits} bits")
    if of.shape[0] != -(-prod(shape) * bits // 8):
        raise ValueError(f"{of.shape[0]} bytes are not {prod(shape)} integers of {bits} bits")
    return Narrow(of, bits, signed, shape)
