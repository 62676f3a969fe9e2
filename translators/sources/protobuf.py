"""Protobuf messages in a file, walked without reading what they hold.

    walk = Protobuf(file)
    for field in walk.fields(0, file.size): ...
    walk.text(field)

A field of bytes is told by where it lies; nothing but keys, lengths and numbers is read, by a window of the
file. Every length is checked against the message that it is in; a number has at most ten bytes; how many
fields there may be is bounded. Knows nothing of what any message means.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from translators.errors import MalformedSource
from translators.sources.stored_file import StoredFile

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
# No model has as many: a graph of a hundred thousand nodes has a million.
MOST_FIELDS = 2_000_000
MOST_TEXT = 4096
_WINDOW = 1 << 16
_LONGEST = 10
_SIZES = {FIXED64: 8, FIXED32: 4}


class Field(NamedTuple):
    """A field of a message: its number, its kind on the wire, and its content.

    Content is `value` of a varint, else the bytes from `start` to before `end` of the file.
    """

    number: int
    wire: int
    start: int
    end: int
    value: int

    @property
    def length(self) -> int:
        """How many bytes the content has."""
        return self.end - self.start


class Protobuf:
    """The messages of one file. Every method raises MalformedSource for what is none."""

    def __init__(self, file: StoredFile) -> None:
        self.file = file
        self._window, self._first = b"", 0
        self._left = MOST_FIELDS

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message from `start` to before `end`, one after the other."""
        at = start
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise self.malformed(f"more than {MOST_FIELDS:,} fields", at)
            begin = at
            key, at = self.varint(at, end)
            number, wire = key >> 3, key & 7
            if wire == VARINT and number:
                value, at = self.varint(at, end)
                yield Field(number, wire, at, at, value)
                continue
            if wire == BYTES and number:
                length, at = self.varint(at, end)
            elif wire in _SIZES and number:
                length = _SIZES[wire]
            else:
                raise self.malformed(f"field {number} of kind {wire}, which there is not", begin)
            if length > end - at:
                raise self.malformed(f"{length:,} bytes announced, {end - at:,} are left", begin)
            yield Field(number, wire, at, at + length, 0)
            at += length

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """The number at `at`, below 2^64, and where what follows begins."""
        begin, value = at, 0
        for shift in range(0, 7 * _LONGEST, 7):
            if at >= end:
                break
            place = at - self._first
            if not 0 <= place < len(self._window):
                self._look(at)
                place = 0
            byte = self._window[place]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & (1 << 64) - 1, at
        raise self.malformed("a number does not end", begin)

    def text(self, field: Field) -> str:
        """A field's bytes as text, which a name is."""
        if field.wire != BYTES or field.length > MOST_TEXT:
            raise self.malformed("no name", field.start)
        try:
            return self.file.read(field.start, field.length).decode()
        except UnicodeDecodeError as error:
            raise self.malformed("a name that is no UTF-8", field.start) from error

    def malformed(self, reason: str, at: int) -> MalformedSource:
        """The error that says what is wrong, and where in the file."""
        return self.file.malformed(reason, f"byte {at:,}")

    def _look(self, at: int) -> None:
        self._first = at
        self._window = self.file.read(at, min(_WINDOW, self.file.size - at))
