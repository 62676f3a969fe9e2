"""Inflated: a tensor that lies in a deflated stream, as np.savez_compressed and zip archives have them.

A stream can only be had from its beginning. What was had of it is kept by a source that keeps things, so
that a reader of all of it pays once; that takes as much memory as the tensor, for which there is a bound.
Knows nothing of archives.
"""

from __future__ import annotations

import zlib
from functools import partial
from math import prod

import msgspec
import numpy as np

from translators.dtypes import DTYPES, DType
from translators.errors import MalformedSource
from translators.model import Extent
from translators.ranges import ElementRange
from translators.recipes.pieces import Bytes, Source
from translators.recipes.unpacking import KeepingSource

# The most bytes of a tensor that is kept in memory whole.
MOST_INFLATED = 256 << 20
_AT_ONCE = 1 << 20


class Inflated(msgspec.Struct, frozen=True, tag="inflated", tag_field="op", array_like=True, gc=False):
    """What a raw deflate stream at `extent` holds behind its first `skip` bytes."""

    extent: Extent
    skip: int
    type: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> DType:
        """The type that the stream's bytes are of."""
        return DTYPES[self.type]

    @property
    def unit(self) -> int:
        """One block: the whole is kept."""
        return self.dtype.block

    @property
    def source_bytes(self) -> int:
        """All of the stream."""
        return self.extent.length

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`. They may be kept: nobody may write to them. Raises MalformedSource."""
        extent, make = self.extent, partial(self._whole, source)
        if isinstance(source, KeepingSource):
            whole = source.kept(extent.file, ("inflated", extent.offset, self.skip), make)
        else:
            whole = make()
        start = self.dtype.nbytes(elements.first)
        return whole[start : start + self.dtype.nbytes(elements.count)]

    def _whole(self, source: Source) -> Bytes:
        size = self.dtype.nbytes(prod(self.shape))
        out = np.empty(self.skip + size, np.uint8)
        stream, filled = zlib.decompressobj(-zlib.MAX_WBITS), 0
        for at in range(0, self.extent.length, _AT_ONCE):
            count = min(_AT_ONCE, self.extent.length - at)
            data = bytes(source.read(self.extent.file, self.extent.offset + at, count))
            try:
                plain = stream.decompress(data, out.size - filled) if filled < out.size else b""
            except zlib.error as error:
                raise MalformedSource(f"the tensor cannot be decompressed: {error}") from error
            out[filled : filled + len(plain)] = np.frombuffer(plain, np.uint8)
            filled += len(plain)
            if filled == out.size:
                return out[self.skip :]
        raise MalformedSource(f"the tensor is decompressed to {filled:,} bytes, {out.size:,} are needed")


def inflated(extent: Extent, skip: int, dtype: DType, shape: tuple[int, ...]) -> Inflated:
    """`Inflated`. Raises ValueError for more than `MOST_INFLATED` bytes: ask before."""
    if skip < 0 or skip + dtype.nbytes(prod(shape)) > MOST_INFLATED:
        raise ValueError(f"a stream of more than {MOST_INFLATED} bytes cannot be kept")
    return Inflated(extent, skip, dtype.name, shape)
