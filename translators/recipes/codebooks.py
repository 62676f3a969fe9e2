"""Numbers of a table times the scale of their block: bitsandbytes' weights of four bits, and its scales of
eight.

    value = table[code] * scale[element // block] (+ offset)

in float32, counted over the whole tensor in row-major order, whatever its shape: blocks may begin within a
row. Where the scales are quantised themselves, they are another `Codebook`. Knows nothing of which tables
there are.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from translators.dtypes import F32, DType
from translators.ranges import ElementRange
from translators.recipes.pieces import Bytes, Source, piece

if TYPE_CHECKING:
    from translators.recipes import Recipe

Floats = npt.NDArray[np.float32]


class Codebook(msgspec.Struct, frozen=True, tag="codebook", tag_field="op", array_like=True, gc=False):
    """Numbers of a table, scaled by the block, as F32.

    codes:  bytes: a code each, or two of which the first is in the high bits.
    table:  16 or 256 numbers of F32; 16 mean that a byte holds two codes.
    scale:  F32, one number a block.
    offset: added in the end, if not None.
    """

    codes: Recipe
    table: Recipe
    scale: Recipe
    block: int
    shape: tuple[int, ...]
    offset: float | None = None

    @property
    def dtype(self) -> DType:
        """Float32."""
        return F32

    @property
    def unit(self) -> int:
        """A block."""
        return self.block

    @property
    def source_bytes(self) -> int:
        """All of the operands'."""
        return self.codes.source_bytes + self.table.source_bytes + self.scale.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole blocks."""
        entries = prod(self.table.shape)
        table = piece(self.table, ElementRange(0, entries), source).view(np.float32)
        values = np.empty(-(-elements.count // 2) * 2, np.float32)
        if entries == 256:
            codes = piece(self.codes, elements, source)
            np.take(table, codes, out=values[: elements.count], mode="clip")
        else:
            pairs = np.stack([np.repeat(table, 16), np.tile(table, 16)], axis=1).view(np.float64).reshape(256)
            codes = piece(self.codes, ElementRange(elements.first // 2, values.size // 2), source)
            np.take(pairs, codes, out=values.view(np.float64), mode="clip")
        values = values[: elements.count]
        first, count = elements.first // self.block, -(-elements.count // self.block)
        scale = piece(self.scale, ElementRange(first, count), source).view(np.float32)
        whole = elements.count // self.block
        with np.errstate(all="ignore"):
            inner = values[: whole * self.block].reshape(whole, self.block)
            inner *= scale[:whole, None]
            values[whole * self.block :] *= scale[whole:]
            if self.offset is not None:
                values += np.float32(self.offset)
        return values.view(np.uint8)


def codebook(
    codes: Recipe,
    table: Recipe,
    scale: Recipe,
    block: int,
    shape: tuple[int, ...],
    *,
    offset: float | None = None,
) -> Codebook:
    """`Codebook`, where everything fits together. Raises ValueError where it does not."""
    elements, entries = prod(shape), prod(table.shape)
    if table.dtype is not F32 or entries not in (16, 256):
        raise ValueError(f"{table.dtype.name} of shape {list(table.shape)} is no table of 16 or 256 numbers")
    if block < 2 or block % 2 or not elements:
        raise ValueError(f"no blocks of {block} in shape {list(shape)}")
    stored = elements if entries == 256 else -(-elements // 2)
    if codes.dtype.size != 1 or codes.dtype.block > 1 or prod(codes.shape) != stored:
        raise ValueError(
            f"{codes.dtype.name} of shape {list(codes.shape)} are no codes of shape {list(shape)}"
        )
    if scale.dtype is not F32 or prod(scale.shape) < -(-elements // block):
        raise ValueError(
            f"{prod(scale.shape)} scales of {scale.dtype.name} for {elements} elements of {block}"
        )
    return Codebook(codes, table, scale, block, shape, offset)
