"""FlatBuffers by hand: tables and vectors of a file, by the places of fields in their schema.

    root = root_of(file, b"TFL3")
    for each in root.tables(2):               # field 2 is a vector of tables
        each.number(1, "B"), each.text(3)     # its fields 1 (a byte) and 3 (a string)

Nothing is read but what is asked for, in pages of which the last few are kept. Every offset is checked
against the file before it is used; no reference is followed but those that are asked for, and how many tables
and bytes of strings are had is bounded: tables may lie in each other, or be the same one a million times.
Knows nothing of any schema. Layout: FlatBuffers' "Internals" (flatbuffers.dev).
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from translators.errors import MalformedSource
from translators.sources.stored_file import StoredFile

MOST_TABLES = 2_000_000
MOST_STRING = 64 << 10
MOST_STRINGS = 64 << 20
_PAGE = 64 << 10
_PAGES = 64
_REFERENCE = 4


class Vector(NamedTuple):
    """So many `items` from byte `at` of the file."""

    at: int
    items: int


class Table:
    """A table: fields by their numbers, each there or not."""

    def __init__(self, walk: _Walk, at: int) -> None:
        self._walk, self.at = walk, at
        walk.spend_table(at)
        self._fields = at - walk.number(at, "i")
        self._count = (walk.number(self._fields, "H") - 4) // 2
        self._size = walk.number(self._fields + 2, "H")

    def number(self, field: int, form: str, default: int = 0) -> int:
        """The integer of a field, of struct's `form`; `default` if it is not there."""
        at = self._field(field)
        return default if at is None else self._walk.number(at, form)

    def table(self, field: int) -> Table | None:
        """The table that a field is."""
        at = self._field(field)
        return None if at is None else Table(self._walk, self._walk.target(at))

    def vector(self, field: int, size: int) -> Vector:
        """The vector that a field is, of things of `size` bytes; an empty one if it is not there."""
        at = self._field(field)
        return Vector(0, 0) if at is None else self._walk.vector(at, size)

    def tables(self, field: int) -> Iterator[Table]:
        """The tables of the vector that a field is."""
        at, count = self.vector(field, _REFERENCE)
        for number in range(count):
            yield Table(self._walk, self._walk.target(at + number * _REFERENCE))

    def table_at(self, field: int, number: int) -> Table:
        """The table of this number of the vector that a field is. Raises MalformedSource if there is none."""
        at, count = self.vector(field, _REFERENCE)
        if not number < count:
            raise self.wrong(f"table {number:,} of a vector of {count:,}")
        return Table(self._walk, self._walk.target(at + number * _REFERENCE))

    def numbers(self, field: int, form: str, most: int) -> tuple[int, ...]:
        """The integers of the vector that a field is. Raises MalformedSource for more than `most`."""
        size = struct.calcsize("<" + form)
        at, count = self.vector(field, size)
        if count > most:
            raise self.wrong(f"{count:,} numbers, where {most:,} are the most")
        return struct.unpack(f"<{count}{form}", self._walk.read(at, count * size))

    def text(self, field: int) -> str:
        """The string that a field is; what is no UTF-8 in it is escaped."""
        at, length = self.vector(field, 1)
        self._walk.spend_string(at, length)
        return self._walk.read(at, length).decode("utf-8", "backslashreplace")

    def wrong(self, reason: str) -> MalformedSource:
        """The error that says what is wrong with this table."""
        return self._walk.wrong(self.at, reason)

    def _field(self, field: int) -> int | None:
        """Where a field is."""
        if field >= self._count:
            return None
        offset = self._walk.number(self._fields + 4 + 2 * field, "H")
        if offset >= self._size:
            raise self.wrong(f"field {field} begins at byte {offset} of a table of {self._size}")
        return self.at + offset if offset else None


def root_of(file: StoredFile, identifier: bytes) -> Table:
    """The root table of a file that bears `identifier`. Raises MalformedSource for another file."""
    if file.size < 8 or file.read(4, 4) != identifier:
        raise file.malformed(f"has not the mark {identifier.decode()}", "byte 4", "name a file with weights")
    walk = _Walk(file)
    return Table(walk, walk.target(0))


class _Walk:
    """The pages of a file that were read last, and what may still be spent."""

    def __init__(self, file: StoredFile) -> None:
        self._file = file
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self._tables, self._strings = MOST_TABLES, MOST_STRINGS

    def spend_table(self, at: int) -> None:
        """Note a table. Raises MalformedSource for too many."""
        self._tables -= 1
        if self._tables < 0:
            raise self.wrong(at, "more tables than any model has")

    def spend_string(self, at: int, length: int) -> None:
        """Note a string. Raises MalformedSource for one too long, or too many."""
        self._strings -= length
        if length > MOST_STRING or self._strings < 0:
            raise self.wrong(at, f"a string of {length:,} bytes, or too many of them")

    def number(self, at: int, form: str) -> int:
        """The integer at a place."""
        form = "<" + form
        value: int = struct.unpack(form, self.read(at, struct.calcsize(form)))[0]
        return value

    def target(self, at: int) -> int:
        """What the reference at a place leads to: always forward."""
        return at + self.number(at, "I")

    def vector(self, at: int, size: int) -> Vector:
        """The vector that the reference at a place leads to, which must fit into the file."""
        start = self.target(at)
        count = self.number(start, "I")
        if count * size > self._file.size - start - 4:
            raise self.wrong(start, f"a vector of {count:,} times {size} bytes, beyond the end of the file")
        return Vector(start + 4, count)

    def read(self, at: int, length: int) -> bytes:
        """Some bytes, few of them."""
        if not 0 <= at <= at + length <= self._file.size:
            raise self.wrong(at, f"{length:,} bytes are needed, beyond the file of {self._file.size:,}")
        page, skip = divmod(at, _PAGE)
        if skip + length > _PAGE:
            return self._file.read(at, length)
        return self._page(page)[skip : skip + length]

    def wrong(self, at: int, reason: str) -> MalformedSource:
        """The error that says what is wrong with the file, and where."""
        return self._file.malformed(reason, f"byte {at:,}")

    def _page(self, page: int) -> bytes:
        if page in self._pages:
            self._pages.move_to_end(page)
            return self._pages[page]
        if len(self._pages) == _PAGES:
            self._pages.popitem(last=False)
        start = page * _PAGE
        self._pages[page] = self._file.read(start, min(_PAGE, self._file.size - start))
        return self._pages[page]
