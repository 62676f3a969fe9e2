"""Varints: a tensor of integers that lie in as few bytes as each needs, as protobuf has them.

Where the n-th number lies is known when those before it were read. So the whole is decoded, and kept by a
source that keeps things; that takes as much memory as the tensor, for which there is a bound.
Knows nothing of formats.
"""

from __future__ import annotations

from functools import partial
from math import prod

import msgspec
import numpy as np
import numpy.typing as npt

from translators.dtypes import DTYPES, DType
from translators.errors import MalformedSource
from translators.model import Extent
from translators.ranges import ElementRange
from translators.recipes.inflating import MOST_INFLATED
from translators.recipes.pieces import Bytes, Source
from translators.recipes.unpacking import KeepingSource

_AT_ONCE, _LONGEST = 1 << 18, 10
_MORE = np.uint8(0x80)


class Varints(msgspec.Struct, frozen=True, tag="varints", tag_field="op", array_like=True, gc=False):
    """The numbers at `extent`, of each as many of the lowest bits as the type has."""

    extent: Extent
    type: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> DType:
        """The type that the bits are of."""
        return DTYPES[self.type]

    @property
    def unit(self) -> int:
        """One element: the whole is kept."""
        return 1

    @property
    def source_bytes(self) -> int:
        """All of them."""
        return self.extent.length

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`. They may be kept: nobody may write to them. Raises MalformedSource."""
        extent, make = self.extent, partial(self._whole, source)
        if isinstance(source, KeepingSource):
            whole = source.kept(extent.file, ("varints", extent.offset, self.dtype.size), make)
        else:
            whole = make()
        size = self.dtype.size
        return whole[elements.first * size : elements.end * size]

    def _whole(self, source: Source) -> Bytes:
        out = np.empty(prod(self.shape), f"<u{self.dtype.size}")
        filled, rest = 0, np.empty(0, np.uint8)
        for at in range(0, self.extent.length, _AT_ONCE):
            count = min(_AT_ONCE, self.extent.length - at)
            data = np.frombuffer(source.read(self.extent.file, self.extent.offset + at, count), np.uint8)
            numbers, rest = decoded(np.concatenate([rest, data]))
            if filled + len(numbers) > len(out):
                raise MalformedSource(f"more than {len(out):,} numbers")
            out[filled : filled + len(numbers)] = numbers
            filled += len(numbers)
        if filled != len(out) or rest.size:
            raise MalformedSource(f"{filled:,} numbers, {len(out):,} are needed")
        return out.view(np.uint8)


def decoded(data: Bytes) -> tuple[npt.NDArray[np.uint64], Bytes]:
    """The whole numbers in `data`, modulo 2^64, and what there is of one more. Raises MalformedSource."""
    ends = np.flatnonzero(data < _MORE) + 1
    used = int(ends[-1]) if len(ends) else 0
    rest = data[used:]
    starts = np.concatenate([np.zeros(min(1, len(ends)), np.int64), ends[:-1]])
    lengths = ends - starts
    if rest.size >= _LONGEST or (len(lengths) and int(lengths.max()) > _LONGEST):
        raise MalformedSource("a number does not end")
    if not len(ends):
        return np.empty(0, np.uint64), rest
    shifts = (np.arange(used) - np.repeat(starts, lengths)) * 7
    parts = (data[:used] & np.uint8(0x7F)).astype(np.uint64) << shifts.astype(np.uint64)
    return np.bitwise_or.reduceat(parts, starts), rest


def varints(extent: Extent, dtype: DType, shape: tuple[int, ...]) -> Varints:
    """`Varints`. Raises ValueError for more than can be kept: ask before."""
    if dtype.nbytes(prod(shape)) > MOST_INFLATED or dtype.block > 1 or dtype.size > 8:
        raise ValueError(f"a tensor of more than {MOST_INFLATED} bytes cannot be kept")
    return Varints(extent, dtype.name, shape)
