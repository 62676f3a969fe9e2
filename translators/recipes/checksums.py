"""Sealed: four bytes that make the checksum of what lies before them a number known beforehand.

Zip archives tell the CRC-32 of a member in a directory that is read before the member. Where it is to be
told without reading the data, the data get a tail: if the CRC of some bytes is c, that of these bytes and of
the complement of c behind them is `SEAL`, whatever they are.

What it costs: all of the tensor, in pieces of a few mebibytes, for four bytes; only who reads the tail pays.
"""

from __future__ import annotations

import zlib
from math import prod
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from translators.dtypes import DTYPES, DType
from translators.ranges import ElementRange
from translators.recipes.pieces import Bytes, Source, read_bytes

if TYPE_CHECKING:
    from translators.recipes import Recipe

# The CRC-32 of anything with its tail.
SEAL = 0xFFFFFFFF
TAIL = 4
_AT_ONCE = 4 << 20


class Sealed(msgspec.Struct, frozen=True, tag="sealed", tag_field="op", array_like=True, gc=False):
    """The tail of `of`, before which lie bytes of CRC-32 `before`."""

    of: Recipe
    before: int

    @property
    def dtype(self) -> DType:
        """Bytes."""
        return DTYPES["U8"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Four of them."""
        return (TAIL,)

    @property
    def unit(self) -> int:
        """All."""
        return TAIL

    @property
    def source_bytes(self) -> int:
        """All of the operand's."""
        return self.of.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The four bytes."""
        size, crc = self.of.dtype.nbytes(prod(self.of.shape)), self.before
        for at in range(0, size, _AT_ONCE):
            part = read_bytes(self.of, at, min(_AT_ONCE, size - at), source)
            crc = zlib.crc32(np.ascontiguousarray(part).data, crc)
        return np.frombuffer((crc ^ SEAL).to_bytes(TAIL, "little"), np.uint8)


def sealed(of: Recipe, before: bytes) -> Sealed:
    """What makes the CRC-32 of `before`, `of` and itself `SEAL`."""
    return Sealed(of, zlib.crc32(before))
