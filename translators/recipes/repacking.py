"""Blocks of four-bit floats as ggml stores them, from the two tensors that a checkpoint stores: bits only
move.

A checkpoint has elements 2i and 2i + 1 in the low and the high half of a byte, and the scales beside them.
ggml has a block's scales before its elements, and the first half of (sub-)block's elements in the low halves
of its bytes, the second in the high ones.

    MXFP4   blocks of 32: a scale of E8M0
    NVFP4   blocks of 64: four scales of E4M3 without a sign, one for each 16

Knows nothing of experts or of the factors that go with a whole NVFP4 tensor.
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from translators.dtypes import DTYPES, DType
from translators.ranges import ElementRange
from translators.recipes.pieces import Bytes, Source, piece

if TYPE_CHECKING:
    from translators.recipes import Recipe

# Elements that share a scale, by the type.
SHARED = {"MXFP4": 32, "NVFP4": 16}


class Repacked(msgspec.Struct, frozen=True, tag="repacked", tag_field="op", array_like=True):
    """Pairs of codes and scales as blocks of `type`, MXFP4 or NVFP4.

    pairs:  bytes of two codes each, in the order of the elements.
    scales: a byte for each `SHARED` elements.
    """

    pairs: Recipe
    scales: Recipe
    type: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> DType:
        """The type of the blocks."""
        return DTYPES[self.type]

    @property
    def unit(self) -> int:
        """A block."""
        return self.dtype.block

    @property
    def source_bytes(self) -> int:
        """All of the operands'."""
        return self.pairs.source_bytes + self.scales.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole blocks."""
        shared = SHARED[self.type]
        within = self.dtype.block // shared
        blocks, half = elements.count // self.dtype.block, shared // 2
        pairs = piece(self.pairs, ElementRange(elements.first // 2, elements.count // 2), source)
        scales = piece(self.scales, ElementRange(elements.first // shared, elements.count // shared), source)
        out = np.empty((blocks, self.dtype.size), np.uint8)
        scales = scales.reshape(blocks, within)
        out[:, :within] = scales & 0x7F if self.type == "NVFP4" else scales
        # Each code in a byte of its own; then half of them goes to the low bits, the other to the high.
        codes = np.take(_apart(), pairs, mode="clip").view(np.uint8).reshape(blocks, within, 2, half)
        made = out[:, within:].reshape(blocks, within, half)
        np.left_shift(codes[:, :, 1], 4, out=made)
        made |= codes[:, :, 0]
        out[:, within:] = made.reshape(blocks, -1)
        return out.reshape(-1)


@cache
def _apart() -> npt.NDArray[np.uint16]:
    """Of each of the 256 bytes the low half in the first of two bytes, the high half in the second."""
    values = np.arange(256, dtype=np.uint8)
    table = np.stack([values & 15, values >> 4], axis=1).view(np.uint16).reshape(256)
    table.flags.writeable = False
    return table


def repacked(pairs: Recipe, scales: Recipe, dtype: DType, shape: tuple[int, ...]) -> Repacked:
    """Blocks of `dtype`, MXFP4 or NVFP4. Raises ValueError where the operands do not hold such of `shape`."""
    elements = prod(shape)
    if not shape or not elements or shape[-1] % dtype.block:
        raise ValueError(
            f"rows of shape {list(shape)} cannot be divided into {dtype.name} blocks of {dtype.block}"
        )
    for part, wanted in ((pairs, elements // 2), (scales, elements // SHARED[dtype.name])):
        if part.dtype.size != 1 or part.dtype.block > 1 or prod(part.shape) != wanted:
            kind = f"{part.dtype.name} of shape {list(part.shape)}"
            raise ValueError(f"{kind} does not fit {dtype.name} of shape {list(shape)}")
    return Repacked(pairs, scales, dtype.name, shape)
