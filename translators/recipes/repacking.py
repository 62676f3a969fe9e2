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


class Repacked(msgspec.Struct, frozen=True, tag="repacked", tag_field="op", array_like=True, gc=False):
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
        blocks = elements.count // self.dtype.block
        pairs = piece(self.pairs, ElementRange(elements.first // 2, elements.count // 2), source)
        scales = piece(self.scales, ElementRange(elements.first // shared, elements.count // shared), source)
        out = np.empty((blocks, self.dtype.size), np.uint8)
        scales = scales.reshape(blocks, within)
        out[:, :within] = scales & 0x7F if self.type == "NVFP4" else scales
        out[:, within:] = _halves(pairs, shared).reshape(blocks, -1)
        return out.reshape(-1)


def _halves(pairs: Bytes, shared: int) -> Bytes:
    """Of each `shared` codes the first half in the low bits of as many bytes, the second in the high ones.

    As many bytes at a time as a word has: byte n of a word has codes 2n and 2n + 1, and goes to bytes 2n and
    2n + 1 of the result, its low half as it is or moved up, the other moved down or as it is.
    """
    words = np.ascontiguousarray(pairs).view(_WORDS[shared]).reshape(-1, 2)
    first, second = words[:, 0], words[:, 1]
    low, four = words.dtype.type(_LOW >> 64 - 8 * words.itemsize), words.dtype.type(4)
    out = np.empty((len(words), words.itemsize, 2), np.uint8)
    even = (first & low) | (second & low) << four
    odd = (first >> four) & low | second & ~low
    out[:, :, 0] = even[:, None].view(np.uint8)
    out[:, :, 1] = odd[:, None].view(np.uint8)
    return out.reshape(-1)


_WORDS: dict[int, npt.DTypeLike] = {32: np.uint64, 16: np.uint32}
_LOW = 0x0F0F0F0F0F0F0F0F


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
