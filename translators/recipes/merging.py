"""Low rank: a weight with an adapter's update merged into it.

    merged = weight + scale * (left @ right)                                     LoRA
    merged = magnitude[row] / norm(row) * (weight + scale * (left @ right))      DoRA, norm along each row

in float32, rounded once to the weight's own type. A product of matrices that a library computes may depend on
the shape of what is asked for; so here each element is a chain of fused multiply-adds in the order of the
ranks, which is also what the libraries do for an adapter's few ranks, and squares for a norm are added up in
float64 in a fixed tree. Any range then has the same bits, on any machine. Rows are computed on a grid counted
from the first, so that the right factor, which every row needs all of, is read once for many rows.
Knows nothing of adapters' files.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from translators.dtypes import F32, DType
from translators.errors import MalformedSource, Unsupported
from translators.quants import convert, kernels
from translators.ranges import ElementRange
from translators.recipes.casting import cast
from translators.recipes.pieces import Bytes, Source, piece

if TYPE_CHECKING:
    from translators.recipes import Recipe

Floats = npt.NDArray[np.float32]

# Elements of the rows that are had together, and of those computed at once (in a core's own cache).
_GRID, _SLAB = 1 << 18, 1 << 16
# The right factor is held in memory while rows are computed.
_LARGEST_FACTOR = 256 << 20


class LowRank(msgspec.Struct, frozen=True, tag="low_rank", tag_field="op", array_like=True):
    """`of` [rows, columns] plus `scale` times `left` [rows, rank] @ `right` [rank, columns], both F32.

    magnitude: F32 [rows], for DoRA. rounded: the update is rounded to the weight's type before it is added,
    as PEFT does for embeddings.
    """

    of: Recipe
    left: Recipe
    right: Recipe
    scale: float
    magnitude: Recipe | None = None
    rounded: bool = False

    @property
    def dtype(self) -> DType:
        """The weight's."""
        return self.of.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The weight's."""
        return self.of.shape

    @property
    def unit(self) -> int:
        """Some whole rows."""
        columns = max(1, self.shape[1])
        return max(1, _GRID // columns) * columns

    @property
    def source_bytes(self) -> int:
        """Of all operands."""
        parts = (self.of, self.left, self.right, self.magnitude)
        return sum(part.source_bytes for part in parts if part is not None)

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole units."""
        columns, rank = self.right.shape[1], self.right.shape[0]
        first, count = elements.first // columns, elements.count // columns
        weight = self._weight(piece(self.of, elements, source), elements.first).reshape(count, columns)
        left = _floats(self.left, first * rank, count * rank, source).reshape(count, rank)
        right = _floats(self.right, 0, rank * columns, source).reshape(rank, columns)
        magnitude = None if self.magnitude is None else _floats(self.magnitude, first, count, source)
        merged = np.empty((count, columns), np.float32)
        step = max(1, _SLAB // columns)
        with np.errstate(all="ignore"):
            for start in range(0, count, step):
                rows = slice(start, start + step)
                self._merge(weight[rows], left[rows], right, merged[rows])
                if magnitude is not None:
                    merged[rows] *= (magnitude[rows] / _norms(merged[rows]))[:, None]
        return convert(F32, self.dtype, _bytes(merged), first=elements.first, checked=False)

    def _merge(self, weight: Floats, left: Floats, right: Floats, merged: Floats) -> None:
        """Fill `merged`, some rows."""
        if kernels.multiplies():
            kernels.product(left, right, self.scale, merged)
        else:
            merged[:] = 0
            for rank in range(len(right)):
                merged[:] = _fused(left[:, rank, None], right[rank], merged)
            merged *= np.float32(self.scale)
        if self.rounded and self.dtype is not F32:
            near = convert(F32, self.dtype, _bytes(merged), first=0, checked=False)
            merged[:] = self._weight(near, 0).reshape(merged.shape)
        merged += weight

    def _weight(self, raw: Bytes, first: int) -> Floats:
        return convert(self.dtype, F32, raw, first=first, checked=False).view(np.float32)


def low_rank(
    of: Recipe,
    left: Recipe,
    right: Recipe,
    scale: float,
    *,
    magnitude: Recipe | None = None,
    rounded: bool = False,
) -> LowRank:
    """`of` with an update merged into it. Raises MalformedSource (shapes that do not fit), Unsupported."""
    if not of.dtype.is_float or len(of.shape) != 2:
        raise Unsupported(f"an adapter for a tensor of {of.dtype.name} and {len(of.shape)} dimensions")
    rows, columns = of.shape
    fits = len(left.shape) == len(right.shape) == 2 and left.shape[1] == right.shape[0]
    if not fits or (left.shape[0], right.shape[1]) != (rows, columns) or not prod(right.shape):
        raise MalformedSource(
            f"factors of shape {left.shape} and {right.shape} are no update of {rows} x {columns}",
            remedy="check that this is the model that the adapter was trained on",
        )
    if magnitude is not None and magnitude.shape != (rows,):
        raise MalformedSource(
            f"{magnitude.shape} magnitudes for {rows} rows", remedy="fetch the adapter again"
        )
    if prod(right.shape) * 4 > _LARGEST_FACTOR:
        raise Unsupported(f"an adapter of rank {right.shape[0]:,} takes more memory than it may")
    magnitude = None if magnitude is None else cast(magnitude, F32)
    return LowRank(of, cast(left, F32), cast(right, F32), scale, magnitude, rounded)


def _floats(of: Recipe, first: int, count: int, source: Source) -> Floats:
    return piece(of, ElementRange(first, count), source).view(np.float32)


def _bytes(values: Floats) -> Bytes:
    return values.reshape(-1).view(np.uint8)


def _fused(left: Floats, right: Floats, added: Floats) -> Floats:
    """`left * right + added`, rounded once, where no kernel does it.

    The product is exact in float64. The sum is rounded to odd there: what was lost stays visible in the last
    bit, so that rounding to float32 is that of the exact sum.
    """
    product = left.astype(np.float64) * right
    total = product + added
    back = total - product
    lost = (product - (total - back)) + (added - back)
    words = total.view(np.int64)
    even = (np.abs(lost) > 0) & (words & 1 == 0)
    words[even] += np.where((lost > 0) == (total > 0), 1, -1)[even]
    return total.astype(np.float32)


def _norms(rows: Floats) -> Floats:
    """The Euclidean norm of each row, its squares added half to half: no library decides their order."""
    squares = rows.astype(np.float64)
    squares *= squares
    while squares.shape[1] > 1:
        half = squares.shape[1] // 2
        rest = squares[:, 2 * half :]
        squares = squares[:, :half] + squares[:, half : 2 * half]
        if rest.size:
            squares[:, :1] += rest
    return np.sqrt(squares[:, 0]).astype(np.float32)
