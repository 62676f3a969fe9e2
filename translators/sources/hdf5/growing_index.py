"""Extensible arrays: entries, in blocks that double in number and size, of datasets that grow along one axis.

    for first, count, block in runs(file, address): ...     # `count` entries from number `first` on

Blocks that were never written are left out. Knows nothing of what entries are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from translators.sources.hdf5.region import Cursor, Hdf5File

_PREFIX = 6  # signature, version and kind of every block
_CHECKSUM = 4
_MOST_BITS = 64

Run = tuple[int, int, Cursor]


@dataclass(frozen=True)
class _Array:
    """What the header says: sizes of an entry, of a block's offset; how blocks are cut; how many are set."""

    file: Hdf5File
    entry: int
    offset: int
    bits: int
    inline: int
    least: int
    pointers: int
    page: int
    used: int

    def rows(self) -> Iterator[tuple[int, int]]:
        """Of each super block: how many blocks it has, and how many entries they have."""
        for row in range(1 + self.bits - (self.least.bit_length() - 1)):
            yield 1 << row // 2, self.least << (row + 1) // 2


def entry_size(file: Hdf5File, address: int) -> int:
    """Bytes of an entry."""
    return file.block(address, 7, b"EAHD").data[6]


def runs(file: Hdf5File, address: int) -> Iterator[Run]:
    """The entries of the array whose header is at `address`. Raises MalformedSource, Unsupported."""
    width = file.address_width
    head = file.block(address, 12 + 6 * file.length_width + width, b"EAHD")
    head.take(2)
    entry, bits, inline, least, pointers, page = (head.uint(1) for _ in range(6))
    head.take(4 * file.length_width)
    used = head.length()
    head.length()
    index = head.address()
    powers = all(number and not number & number - 1 for number in (least, pointers))
    if not entry or bits > _MOST_BITS or page > _MOST_BITS or not powers or least.bit_length() > bits:
        raise head.malformed("an array whose blocks have no size")
    array = _Array(file, entry, -(-bits // 8), bits, inline, least, pointers, 1 << page, used)
    file.charge(used * entry)
    if index is not None:
        yield from _blocks(array, index)


def _blocks(array: _Array, address: int) -> Iterator[Run]:
    """What the index block has itself, then what it leads to."""
    file, width, rows = array.file, array.file.address_width, [*array.rows()]
    # So many super blocks have no block of their own: their blocks' addresses are here.
    here = min(2 * (array.pointers.bit_length() - 1), len(rows))
    direct = sum(count for count, _ in rows[:here])
    size = _PREFIX + width + array.inline * array.entry + (direct + len(rows) - here) * width
    block = file.block(address, size, b"EAIB")
    block.take(2 + width)
    yield 0, array.inline, block.part(array.inline * array.entry)
    first = array.inline
    for number, (count, entries) in enumerate(rows):
        if first >= array.used:
            return
        if number < here:
            for _ in range(count):
                yield from _data(array, block.address(), first, entries)
                first += entries
        else:
            above = block.address()
            if above is not None:
                yield from _super(array, above, first, count, entries)
            first += count * entries


def _super(array: _Array, address: int, first: int, count: int, entries: int) -> Iterator[Run]:
    """A super block: which pages of its blocks are written, and where the blocks are."""
    file, width = array.file, array.file.address_width
    pages = entries // array.page if entries > array.page else 0
    bitmap = count * -(-pages // 8)
    fixed = _PREFIX + width + array.offset
    block = file.block(address, fixed + bitmap + count * width, b"EASB")
    block.take(fixed - 4)
    # The bits of all blocks follow on each other, although there is room for whole bytes of each.
    written = block.take(bitmap)
    for number in range(count):
        if first + number * entries >= array.used:
            return
        at = first + number * entries
        yield from _data(array, block.address(), at, entries, written=written, before=number * pages)


def _data(
    array: _Array, address: int | None, first: int, entries: int, *, written: bytes = b"", before: int = 0
) -> Iterator[Run]:
    """A block of entries, in pages where there are many: those whose bit is set, `before` bits further on."""
    if address is None or first >= array.used:
        return
    file, fixed = array.file, _PREFIX + array.file.address_width + array.offset
    file.block(address, 4, b"EADB")
    if entries <= array.page:
        yield first, entries, file.block(address + fixed, entries * array.entry)
        return
    at = address + fixed + _CHECKSUM
    for page in range(entries // array.page):
        if first + page * array.page >= array.used:
            return
        bit = before + page
        if not written or written[bit // 8] & 0x80 >> bit % 8:
            yield first + page * array.page, array.page, file.block(at, array.page * array.entry)
        at += array.page * array.entry + _CHECKSUM
