"""Heaps: where HDF5 keeps names, links and texts of any length.

    LocalHeap       the names of a group of the older kind
    FractalHeap     links and attributes of the newer kind, where there are many
    global_object   texts of attributes

Knows nothing of what is kept there.
"""

from __future__ import annotations

from collections.abc import Iterator

from translators.sources.hdf5.region import Cursor, Hdf5File
from translators.sources.hdf5.trees import wide

# Longer names are no names; their bytes count as read, since many may share them.
LONGEST_NAME = 4096
# What a link that is kept takes of memory.
COST = 256
_MANAGED, _TINY = 0, 2


class LocalHeap:
    """Texts that end in a zero byte, by where they begin."""

    def __init__(self, file: Hdf5File, address: int) -> None:
        head = file.block(address, 8 + 2 * file.length_width + file.address_width, b"HEAP")
        head.take(4)
        length, _ = head.length(), head.length()
        self._names = file.block(head.there(), length)

    def name(self, offset: int) -> bytes:
        """The text at an offset. Raises MalformedSource for one without an end."""
        end = self._names.data.find(b"\0", offset, offset + LONGEST_NAME + 1)
        if end < 0:
            raise self._names.malformed("a name that does not end")
        self._names.file.charge(max(end - offset, COST))
        return self._names.data[offset:end]


class FractalHeap:
    """Objects in blocks that double in size, by their ids."""

    def __init__(self, file: Hdf5File, address: int) -> None:
        lengths, addresses = file.length_width, file.address_width
        head = file.block(address, 26 + 12 * lengths + 3 * addresses, b"FRHP")
        head.take(1)
        self.id_length = head.uint(2)
        filters, flags = head.uint(2), head.uint(1)
        largest_object = head.uint(4)
        head.take(2 * addresses + 10 * lengths)
        self._width, self._start = head.uint(2), head.length()
        self._largest = head.length()
        bits = head.uint(2)
        head.take(2)
        self._root, self._rows = head.address(), head.uint(2)
        if filters:
            raise file.unsupported("links or attributes that are compressed")
        if not self._width or not self._start or self._largest < self._start or bits > 64:
            raise head.malformed("a heap without blocks")
        self._file, self._address = file, address
        self._offset = -(-bits // 8)
        self._length = min((self._largest.bit_length() + 6) // 8, wide(largest_object))
        self._header = 5 + addresses + self._offset + (4 if flags & 2 else 0)
        self._kept: dict[int, Cursor] = {}

    def object(self, id: Cursor) -> Cursor:
        """The object of an id. Raises MalformedSource, Unsupported for one in a block of its own."""
        first = id.uint(1)
        kind = first >> 4 & 3
        if kind == _TINY:
            length = (first & 15) + 1 if self.id_length <= 17 else ((first & 15) << 8 | id.uint(1)) + 1
            return id.part(length)
        if kind != _MANAGED:
            raise self._file.unsupported("a link or an attribute of more than 4,000 bytes")
        offset, length = id.uint(self._offset), id.uint(self._length)
        block, begin = self._block(offset, self._root, self._rows)
        data = self._kept.get(block)
        if data is None:
            size = begin[1]
            data = self._kept[block] = self._file.block(block, size, b"FHDB")
        at = offset - begin[0]
        self._file.charge(max(length, COST))
        if at < self._header or at + length > len(data.data):
            raise data.malformed("an object that does not lie in its block")
        return Cursor(self._file, data.data[at : at + length], data.place + at)

    def _block(self, offset: int, root: int | None, rows: int) -> tuple[int, tuple[int, int]]:
        """The block that an offset is in: its address, and (where it begins in the heap, its size)."""
        base, address = 0, root
        while address is not None:
            if not rows:
                return address, (base, self._start)
            row, size, first = self._row(offset - base)
            if row >= rows:
                break
            column = (offset - base - first) // size
            child = self._child(address, rows, row * self._width + column)
            base += first + column * size
            if size <= self._largest:
                if child is None:
                    break
                return child, (base, size)
            # A block of blocks: as many rows as make up its size.
            address, rows = child, (size // (self._start * self._width)).bit_length()
        raise self._file.malformed("a heap has no such object", self._file.base + self._address)

    def _row(self, offset: int) -> tuple[int, int, int]:
        """The row of a block of blocks that an offset is in, its blocks' size, and where it begins."""
        whole = self._start * self._width
        if offset < whole:
            return 0, self._start, 0
        row = (offset // whole).bit_length()
        return row, self._start << row - 1, whole << row - 1

    def _child(self, address: int, rows: int, number: int) -> int | None:
        width = self._file.address_width
        if rows > 64:
            raise self._file.malformed("a heap of too many rows", self._file.base + self._address)
        block = self._kept.get(address)
        if block is None:
            size = 5 + width + self._offset + rows * self._width * width
            block = self._kept[address] = self._file.block(address, size, b"FHIB")
        entry = Cursor(self._file, block.data, block.place)
        entry.take(5 + width + self._offset + number * width)
        return entry.address()


def global_object(file: Hdf5File, address: int, number: int) -> bytes:
    """An object of a collection of the global heap. Raises MalformedSource."""
    if address not in file.texts:
        file.texts[address] = dict(_collection(file, address))
    if number not in file.texts[address]:
        raise file.malformed("there is no such text", file.base + address)
    return file.texts[address][number]


def _collection(file: Hdf5File, address: int) -> Iterator[tuple[int, bytes]]:
    head = file.block(address, 8 + file.length_width, b"GCOL")
    head.take(4)
    collection = file.block(address, head.length())
    collection.take(8 + file.length_width)
    while collection.left >= 8 + file.length_width:
        index, _ = collection.uint(2), collection.take(6)
        length = collection.length()
        if not index:
            return
        file.charge(COST)
        yield index, collection.take(length)
        collection.take(min(-length % 8, collection.left))
