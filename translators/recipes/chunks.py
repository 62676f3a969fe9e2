"""Chunks: a tensor that lies in blocks of equal shape, each in a place of its own, perhaps compressed.

What a chunk went through when it was written is undone when it is read: one chunk at a time, and only those
that a range touches. A source that keeps things keeps decoded ones, as the rows beside a range are in the
same chunks. Chunks at the edges are whole ones, which reach beyond the tensor; one that was never written
holds what was to be there instead. Checksums of chunks are not verified.
Knows nothing of the files that have chunks. Filters: HDF5's, by its numbers.
"""

from __future__ import annotations

import struct
import zlib
from functools import partial
from math import prod
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from translators.dtypes import DTYPES, DType
from translators.errors import MalformedSource
from translators.ranges import ElementRange
from translators.recipes.permuting import permute
from translators.recipes.pieces import Bytes, Source
from translators.recipes.shapes import reshape, slice_
from translators.recipes.unpacking import KeepingSource

if TYPE_CHECKING:
    from translators.recipes import Recipe

DEFLATE, SHUFFLE, CHECKSUM = 1, 2, 3
# A chunk's place: offset, stored bytes, a bit for each filter that it did not go through.
PLACE = struct.Struct("<QII")
NOWHERE = PLACE.pack((1 << 64) - 1, 0, 0)
# What deflate makes of data that cannot be compressed is a little longer.
_SLACK = 64 << 10


class Chunks(msgspec.Struct, frozen=True, tag="chunks", tag_field="op", array_like=True, gc=False):
    """Chunks of `elements` elements, one a row.

    places:  of each chunk, a `PLACE`; `NOWHERE` for one that holds nothing but `fill`, one element's bytes.
    filters: what chunks went through, in that order: a number, and for SHUFFLE an element's bytes.
    swap:    bytes of the words that are in big-endian order; 0 for none.
    """

    file: int
    places: bytes
    type: str
    elements: int
    filters: tuple[tuple[int, int], ...]
    fill: bytes
    swap: int

    @property
    def dtype(self) -> DType:
        """The type of the decoded elements."""
        return DTYPES[self.type]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many chunks, and how many elements each has."""
        return (len(self.places) // PLACE.size, self.elements)

    @property
    def unit(self) -> int:
        """A chunk, if it has to be decoded."""
        return self.elements if self.filters else 1

    @property
    def source_bytes(self) -> int:
        """The stored bytes of all chunks that there are."""
        whole = self.dtype.nbytes(self.elements)
        return sum(
            length if self.filters else whole for _, length, _ in PLACE.iter_unpack(self.places) if length
        )

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole units. Raises MalformedSource."""
        out = np.empty(self.dtype.nbytes(elements.count), np.uint8)
        filled, at = 0, elements.first
        keeping = source if self.filters and isinstance(source, KeepingSource) else None
        while at < elements.end:
            number, skip = divmod(at, self.elements)
            count = min(self.elements - skip, elements.end - at)
            part = out[filled : filled + self.dtype.nbytes(count)]
            self._fill(number, self.dtype.nbytes(skip), part, source, keeping)
            filled += part.size
            at += count
        if self.swap:
            words = out.reshape(-1, self.swap)
            return np.ascontiguousarray(words[:, ::-1]).reshape(-1)
        return out

    def _fill(
        self, number: int, skip: int, part: Bytes, source: Source, keeping: KeepingSource | None
    ) -> None:
        offset, length, mask = PLACE.unpack_from(self.places, number * PLACE.size)
        if offset == (1 << 64) - 1:
            part.reshape(-1, len(self.fill))[:] = np.frombuffer(self.fill, np.uint8)
        elif not self.filters:
            part[:] = np.frombuffer(source.read(self.file, offset + skip, part.size), np.uint8)
        elif keeping is not None:
            make = partial(self._decoded, offset, length, mask, source)
            part[:] = keeping.kept(self.file, ("chunk", offset, length), make)
        else:
            part[:] = self._decoded(offset, length, mask, source)

    def _decoded(self, offset: int, length: int, mask: int, source: Source) -> Bytes:
        size = self.dtype.nbytes(self.elements)
        data = bytes(source.read(self.file, offset, length))
        for place, (filter, width) in reversed([*enumerate(self.filters)]):
            if mask >> place & 1:
                continue
            if filter == DEFLATE:
                data = _inflated(data, size + _SLACK)
            elif filter == SHUFFLE:
                data = _unshuffled(data, width)
            else:
                data = data[:-4]
        if len(data) != size:
            raise MalformedSource(f"a chunk is decoded to {len(data):,} bytes, {size:,} are needed")
        return np.frombuffer(data, np.uint8).copy()


def chunked(chunks: Chunks, shape: tuple[int, ...], chunk: tuple[int, ...]) -> Recipe:
    """The tensor of `shape` that these chunks of shape `chunk` make up, in row-major order of them.

    Raises ValueError for another number of chunks, or of elements in one.
    """
    rank = len(shape)
    grid = tuple(-(-size // step) for size, step in zip(shape, chunk, strict=True))
    if chunks.shape != (prod(grid), prod(chunk)):
        raise ValueError(f"{chunks.shape} chunks and elements do not make shape {shape}")
    apart = reshape(chunks, (*grid, *chunk))
    together = permute(apart, tuple(axis for each in range(rank) for axis in (each, rank + each)))
    whole = reshape(together, tuple(count * step for count, step in zip(grid, chunk, strict=True)))
    for axis, size in enumerate(shape):
        whole = slice_(whole, axis, 0, size)
    return whole


def _inflated(data: bytes, limit: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, limit)
    except zlib.error as error:
        raise MalformedSource(f"a chunk cannot be decompressed: {error}") from error


def _unshuffled(data: bytes, width: int) -> bytes:
    """Bytes that were sorted by their place in an element, each in its element again."""
    count = len(data) // width
    sorted_ = np.frombuffer(data, np.uint8, count * width).reshape(width, count)
    return sorted_.T.tobytes() + data[count * width :]
