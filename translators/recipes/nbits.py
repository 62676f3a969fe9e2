"""Four bits as ONNX Runtime's MatMulNBits has them: codes and scales of a matrix.

    codes, scales = nbits(weight)

A row of the matrix, which is what one output of a linear layer is made of, is blocks of 32; what its last
block lacks is as ONNX Runtime's own quantiser leaves it. Every block stands alone, so any range costs as much
of the source as it has blocks.
Knows nothing of names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from translators.dtypes import DTYPES, F32, DType
from translators.quants import convert
from translators.quants import nbits as arithmetic
from translators.quants.nbits import BLOCK, BLOCK_BYTES
from translators.ranges import ElementRange
from translators.recipes.joining import pad
from translators.recipes.pieces import Bytes, Source, piece

if TYPE_CHECKING:
    from translators.recipes import Recipe

Part = Literal["codes", "scales"]

# Elements read at once, and elements computed at once: these stay in a core's own cache.
_STRETCH, _SLAB = 1 << 21, 1 << 15


class NBits(msgspec.Struct, frozen=True, tag="nbits", tag_field="op", array_like=True):
    """One of the two tensors that a matrix becomes. Rows of `of` are whole blocks; `columns` are real."""

    of: Recipe
    columns: int
    part: Part

    @property
    def dtype(self) -> DType:
        """Bytes for the codes, float32 for the scales."""
        return DTYPES["U8"] if self.part == "codes" else F32

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows of blocks; of the codes the bytes of a block."""
        rows, columns = self.of.shape
        blocks = columns // BLOCK
        return (rows, blocks, BLOCK_BYTES) if self.part == "codes" else (rows, blocks)

    @property
    def unit(self) -> int:
        """What one block gives."""
        return BLOCK_BYTES if self.part == "codes" else 1

    @property
    def source_bytes(self) -> int:
        """The operand's."""
        return self.of.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole units. Raises BadValues (NaN and infinity)."""
        size, unit = self.dtype.size, self.unit
        first, end = elements.first // unit, elements.end // unit
        made = np.empty(elements.count * size, np.uint8)
        at = first
        while at < end:
            stop = min(at + _STRETCH // BLOCK, end)
            raw = piece(self.of, ElementRange(at * BLOCK, (stop - at) * BLOCK), source)
            for start in range(at, stop, _SLAB // BLOCK):
                part = self._slab(raw, start, min(start + _SLAB // BLOCK, stop), at)
                to = (start - first) * unit * size
                made[to : to + part.size] = part
            at = stop
        return made

    def _slab(self, raw: Bytes, first: int, end: int, base: int) -> Bytes:
        """Blocks from `first` to before `end`, of `raw`, which begins with block `base`."""
        width = self.of.dtype.size * BLOCK
        data = raw[(first - base) * width : (end - base) * width]
        numbers = convert(self.of.dtype, F32, data, first=first * BLOCK, checked=False).view(np.float32)
        values = arithmetic.columns(numbers)
        if self.part == "scales":
            return arithmetic.scales(values).view(np.uint8)
        codes = arithmetic.codes(values)
        if self.columns % BLOCK:
            blocks = self.of.shape[1] // BLOCK
            arithmetic.cut(codes[:, blocks - 1 - first % blocks :: blocks], self.columns % BLOCK)
        return arithmetic.packed(codes)


def nbits(of: Recipe) -> tuple[NBits, NBits]:
    """Codes and scales of a matrix of floats. Raises ValueError for anything else."""
    if not of.dtype.is_float or len(of.shape) != 2 or not min(of.shape):
        raise ValueError(f"{of.dtype.name} of shape {list(of.shape)} is no matrix of floats")
    columns = of.shape[1]
    whole = pad(of, 1, 0, -columns % BLOCK) if columns % BLOCK else of
    return NBits(whole, columns, "codes"), NBits(whole, columns, "scales")
