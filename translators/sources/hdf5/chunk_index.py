"""Which chunk of a dataset lies where: the indices of both versions of the format.

    grid = Grid(shape, most, chunk, bytes)
    for place in old_index(file, address, grid): ...     # a B-tree of version 1
    for place in new_index(layout, grid, flags, ...): ...  # one chunk, in order, arrays, a B-tree

Places are not checked against the file here. Knows nothing of what chunks went through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from translators.sources.hdf5.growing_index import Run, entry_size, runs
from translators.sources.hdf5.region import Cursor, Hdf5File
from translators.sources.hdf5.trees import CHUNKS, new_tree, old_tree

_SINGLE, _IMPLICIT, _FIXED, _EXTENSIBLE, _TREE = 1, 2, 3, 4, 5
_PLAIN, _FILTERED = 10, 11


class ChunkPlace(NamedTuple):
    """A chunk by its number in the grid: where it is stored, in how many bytes, and filters it was spared."""

    number: int
    address: int
    length: int
    mask: int


@dataclass(frozen=True)
class Grid:
    """Chunks of shape `chunk` and so many `bytes` that cover `shape`, which may grow to `most`."""

    shape: tuple[int, ...]
    most: tuple[int | None, ...]
    chunk: tuple[int, ...]
    bytes: int

    @property
    def counts(self) -> tuple[int, ...]:
        """How many chunks there are along each axis."""
        return tuple(-(-size // step) for size, step in zip(self.shape, self.chunk, strict=True))

    @property
    def count(self) -> int:
        """How many chunks there are."""
        return prod(self.counts)

    def number(self, cell: Sequence[int]) -> int | None:
        """A chunk's number, None for one beyond the shape."""
        number = 0
        for at, count in zip(cell, self.counts, strict=True):
            if at >= count:
                return None
            number = number * count + at
        return number

    def is_partial(self, number: int) -> bool:
        """Whether a chunk reaches beyond the shape."""
        for count, size, step in reversed([*zip(self.counts, self.shape, self.chunk, strict=True)]):
            number, at = divmod(number, count)
            if (at + 1) * step > size:
                return True
        return False

    def place(self, number: int) -> int:
        """A chunk's place in an array that has all chunks that there may ever be: an axis that grows without
        bound is the outermost one.
        """
        cell: list[int] = []
        for count in reversed(self.counts):
            number, at = divmod(number, count)
            cell.append(at)
        cell.reverse()
        place = 0
        for axis in sorted(range(len(cell)), key=lambda axis: self.most[axis] is not None):
            place = place * -(-(self.most[axis] or self.shape[axis]) // self.chunk[axis]) + cell[axis]
        return place


def old_index(file: Hdf5File, address: int | None, grid: Grid) -> list[ChunkPlace]:
    """By a B-tree of version 1. Raises MalformedSource, Unsupported."""
    rank, found = len(grid.shape), []
    if address is not None:
        for key, chunk in old_tree(file, address, CHUNKS, 8 + 8 * (rank + 1)):
            length, mask = key.uint(4), key.uint(4)
            at = [key.uint(8) for _ in range(rank)]
            if any(start % step for start, step in zip(at, grid.chunk, strict=True)):
                raise key.malformed("a chunk between others")
            number = grid.number([start // step for start, step in zip(at, grid.chunk, strict=True)])
            if number is not None:
                found.append(ChunkPlace(number, chunk, length, mask))
            if len(found) > grid.count:
                raise key.malformed("a chunk that is there twice")
    return found


def new_index(layout: Cursor, grid: Grid, flags: int, *, filtered: bool, width: int) -> list[ChunkPlace]:
    """By the index that a layout message of version 4 or later names at the cursor.

    `width`: bytes of a compressed chunk's length, 0 where they follow from a chunk's size.
    Raises MalformedSource, Unsupported.
    """
    kind = layout.uint(1)
    width = width or min(8, 1 + (grid.bytes.bit_length() - 1 + 8) // 8)
    if kind == _SINGLE:
        length, mask = (layout.length(), layout.uint(4)) if flags & 2 else (grid.bytes, 0)
        address = layout.address()
        return [] if address is None else [ChunkPlace(0, address, length, mask)]
    if kind == _IMPLICIT:
        address = layout.address()
        return [] if address is None else [*_implicit(address, grid)]
    if kind == _FIXED:
        layout.take(1)
        address = layout.address()
        return [] if address is None else [*_fixed(layout.file, address, grid, filtered)]
    if kind == _TREE:
        layout.take(6)
        address = layout.address()
        return [] if address is None else [*_tree(layout.file, address, grid, filtered, width)]
    if kind == _EXTENSIBLE:
        layout.take(5)
        address = layout.address()
        return [] if address is None else [*_growing(layout.file, address, grid, filtered)]
    raise layout.malformed("chunks that are found in no way there is")


def _implicit(address: int, grid: Grid) -> Iterator[ChunkPlace]:
    for number in range(grid.count):
        yield ChunkPlace(number, address + grid.place(number) * grid.bytes, grid.bytes, 0)


def _fixed(file: Hdf5File, address: int, grid: Grid, filtered: bool) -> Iterator[ChunkPlace]:
    """A fixed array: an entry a chunk, in pages where there are many."""
    head = file.block(address, 8 + file.length_width + file.address_width, b"FAHD")
    head.take(2)
    width, bits = head.uint(1), head.uint(1)
    count, data = head.length(), head.address()
    if data is not None:
        file.charge(count * width)
        yield from _numbered(_runs(file, data, count, width, bits), grid, width, filtered)


def _growing(file: Hdf5File, address: int, grid: Grid, filtered: bool) -> Iterator[ChunkPlace]:
    """An extensible array, for datasets that were made to grow along one axis."""
    return _numbered(runs(file, address), grid, entry_size(file, address), filtered)


def _numbered(found: Iterable[Run], grid: Grid, width: int, filtered: bool) -> Iterator[ChunkPlace]:
    """The chunks of an array's entries, of `width` bytes each, by their numbers in the grid."""
    numbers = {grid.place(number): number for number in range(grid.count)}
    for first, count, block in found:
        addresses = block.file.address_width
        length = width - addresses - 4 if filtered else 0
        if not 0 <= length <= 8 or (not filtered and width != addresses):
            raise block.malformed(f"entries of {width} bytes")
        for place in range(first, first + count):
            entry = block.part(width)
            number, chunk = numbers.get(place), entry.address()
            if number is not None and chunk is not None:
                size, mask = (entry.uint(length), entry.uint(4)) if filtered else (grid.bytes, 0)
                yield ChunkPlace(number, chunk, size, mask)


def _runs(file: Hdf5File, address: int, count: int, width: int, bits: int) -> Iterator[Run]:
    """The entries of a fixed array's block, without those of pages that were never written."""
    page = 1 << bits
    fixed = 6 + file.address_width
    pages = -(-count // page) if count > page else 0
    used = file.block(address, fixed + -(-pages // 8), b"FADB").data[fixed:]
    start = address + fixed + -(-pages // 8)
    if not pages:
        yield 0, count, file.block(start, count * width)
        return
    start += 4  # of a checksum, as behind each page
    for number in range(pages):
        here = min(page, count - number * page)
        if used[number // 8] & 0x80 >> number % 8:
            yield number * page, here, file.block(start, here * width)
        start += page * width + 4


def _tree(file: Hdf5File, address: int, grid: Grid, filtered: bool, width: int) -> Iterator[ChunkPlace]:
    """A B-tree of version 2, for datasets that were made to grow along several axes."""
    for record in new_tree(file, address, _FILTERED if filtered else _PLAIN):
        file.charge(0)
        chunk = record.there()
        length, mask = (record.uint(width), record.uint(4)) if filtered else (grid.bytes, 0)
        number = grid.number([record.uint(8) for _ in grid.shape])
        if number is not None:
            yield ChunkPlace(number, chunk, length, mask)
