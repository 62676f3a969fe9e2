"""Protocol buffers by hand: the fields of a message, where each lies, without its schema or its data.

    for field in Message(file):                          # a StoredFile, or Held bytes
        if field.number == 1:
            for inner in message.inside(field): ...      # a message within
        elif field.number == 2:
            name = message.text(field)

Fields come in the order of the file; what repeats comes again. The payload of a field of bytes is only passed
over: its place is known, and who wants it asks. Every length is checked against what encloses it before it is
used; depth, the number of fields and of packed numbers, and the bytes of strings are bounded for all messages
within one.
Knows nothing of any message. Layout: the encoding's specification (protobuf.dev, "Encoding").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from translators.errors import MalformedSource
from translators.sources.stored_file import FETCH_AGAIN

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_DEPTH = 64
MOST_FIELDS = 4_000_000
MOST_STRING = 64 << 10
MOST_STRINGS = 64 << 20
# So much is read at once: what is short is read with its neighbours, what is long is passed over.
_WINDOW = 64 << 10
_LONGEST_VARINT = 10


class Readable(Protocol):
    """Bytes that a message lies in: a `StoredFile`, or `Held`."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`."""

    def malformed(self, reason: str, place: str = "", remedy: str = FETCH_AGAIN) -> MalformedSource:
        """The error that says what is wrong, and where."""


class Held:
    """Bytes that were read already, or had in another way, of what `whole` is."""

    def __init__(self, data: bytes, whole: Readable, place: str = "") -> None:
        self._data, self._whole, self._place = data, whole, place

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`, which must be there."""
        if offset + length > len(self._data):
            raise self.malformed(f"ends after {len(self._data):,} bytes, {offset + length:,} are needed")
        return self._data[offset : offset + length]

    def malformed(self, reason: str, place: str = "", remedy: str = FETCH_AGAIN) -> MalformedSource:
        """The error that says what is wrong with the whole, and where in it."""
        return self._whole.malformed(reason, ", ".join(filter(None, (self._place, place))), remedy)


class Field(NamedTuple):
    """A field of a message.

    number: as the schema has it.
    wire:   VARINT, FIXED64, BYTES or FIXED32.
    value:  the number, without a sign; of BYTES: 0.
    at:     where its payload begins in the file (or the held bytes).
    length: the bytes of its payload.
    """

    number: int
    wire: int
    value: int
    at: int
    length: int

    @property
    def signed(self) -> int:
        """The number of a field of type int32 or int64."""
        return self.value - (1 << 64) if self.value >> 63 else self.value


class Message:
    """The bytes from `at` to `end` as fields; iterate over it, more than once if need be."""

    def __init__(self, file: Readable, at: int = 0, end: int | None = None) -> None:
        self._walk = _Walk(file)
        self._at, self._end, self._depth = at, file.size if end is None else end, 0
        if not 0 <= at <= self._end <= file.size:
            raise file.malformed(f"a message from byte {at:,} to {self._end:,} of {file.size:,}")

    def __iter__(self) -> Iterator[Field]:
        """Its fields. Raises MalformedSource at the first one that is none."""
        walk, at = self._walk, self._at
        while at < self._end:
            field = walk.field(at, self._end)
            yield field
            at = field.at + field.length

    def inside(self, field: Field) -> Message:
        """The message that a field is."""
        self._check(field, BYTES)
        message = Message.__new__(Message)
        message._walk, message._depth = self._walk, self._depth + 1
        message._at, message._end = field.at, field.at + field.length
        if message._depth > MOST_DEPTH:
            raise self._walk.wrong(field.at, f"more than {MOST_DEPTH} messages in each other")
        return message

    def data(self, field: Field, most: int = MOST_STRING) -> bytes:
        """The payload of a field of bytes. Raises MalformedSource for more than `most`."""
        self._check(field, BYTES)
        return self._walk.data(field.at, field.length, most)

    def text(self, field: Field, most: int = MOST_STRING) -> str:
        """The string that a field is; what is no UTF-8 in it is escaped."""
        return self.data(field, most).decode("utf-8", "backslashreplace")

    def number(self, field: Field) -> int:
        """The number of a varint, as int64 and int32 have it."""
        self._check(field, VARINT)
        return field.signed

    def numbers(self, field: Field) -> Iterator[int]:
        """The numbers of a repeated integer, which is packed or not, as int64 and int32 have them."""
        if field.wire == VARINT:
            yield field.signed
            return
        self._check(field, BYTES)
        at, end = field.at, field.at + field.length
        while at < end:
            value, at = self._walk.varint(at, end)
            yield value - (1 << 64) if value >> 63 else value

    def wrong(self, field: Field, reason: str) -> MalformedSource:
        """The error that says what is wrong with a field."""
        return self._walk.wrong(field.at, reason)

    def _check(self, field: Field, wire: int) -> None:
        if field.wire != wire:
            raise self._walk.wrong(field.at, f"field {field.number} is of wire type {field.wire}, not {wire}")


class _Walk:
    """What is read of the file at present, and what may still be spent."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._window, self._start = b"", 0
        self._left, self._strings = MOST_FIELDS, MOST_STRINGS

    def field(self, at: int, end: int) -> Field:
        """The field at `at`, which ends by `end`."""
        key, at = self.varint(at, end)
        number, wire = key >> 3, key & 7
        if not 0 < number < 1 << 29:
            raise self.wrong(at, f"{number:,} is no number of a field")
        if wire == VARINT:
            value, after = self.varint(at, end)
            return Field(number, wire, value, at, after - at)
        if wire == BYTES:
            length, at = self.varint(at, end)
            if length > end - at:
                raise self.wrong(at, f"a field of {length:,} bytes, where {end - at:,} are left")
            return Field(number, wire, 0, at, length)
        size = {FIXED64: 8, FIXED32: 4}.get(wire)
        if size is None:
            raise self.wrong(at, f"{wire} is no wire type")
        if size > end - at:
            raise self.wrong(at, f"a field of {size} bytes, where {end - at} are left")
        return Field(number, wire, int.from_bytes(self._bytes(at, size), "little"), at, size)

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """The number at `at`, modulo 2 ** 64 as protobuf has it, and what follows it."""
        self._left -= 1
        if self._left < 0:
            raise self.wrong(at, "more fields than any model has")
        value = shift = 0
        for place in range(at, min(end, at + _LONGEST_VARINT)):
            inside = place - self._start
            if not 0 <= inside < len(self._window):
                self._fill(place)
                inside = 0
            byte = self._window[inside]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, place + 1
            shift += 7
        raise self.wrong(at, "a number without end")

    def data(self, at: int, length: int, most: int) -> bytes:
        """Bytes that are wanted."""
        self._strings -= length
        if length > most or self._strings < 0:
            raise self.wrong(at, f"a string of {length:,} bytes, or too many of them")
        return self._bytes(at, length)

    def wrong(self, at: int, reason: str) -> MalformedSource:
        return self._file.malformed(reason, f"byte {at:,}")

    def _bytes(self, at: int, length: int) -> bytes:
        if length > _WINDOW:
            return self._file.read(at, length)
        if not self._start <= at <= at + length <= self._start + len(self._window):
            self._fill(at)
        return self._window[at - self._start : at - self._start + length]

    def _fill(self, at: int) -> None:
        self._start = at
        self._window = self._file.read(at, min(_WINDOW, self._file.size - at))
