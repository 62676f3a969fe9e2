"""Protocol buffers by hand: the fields of a message, where each lies, without its schema or its data.

    for field in Message(file):                          # a StoredFile, or Held bytes
        if field.number == 1:
            for inner in message.inside(field): ...      # a message within
        elif field.number == 2:
            name = message.text(field)

Fields come in the order of the file; what repeats comes again. What a field of bytes holds is passed over:
its place is known, and who wants it asks. Every length is checked against what encloses it before it is used;
how deep messages lie in each other, how many fields there are and how long all strings are is bounded.
`Protobuf` is the same by places alone, for who counts depth himself.
Knows nothing of any message. Layout: the encoding's specification (protobuf.dev, "Encoding").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from translators.errors import MalformedSource
from translators.sources.stored_file import FETCH_AGAIN

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
# No model has as many: a graph of a hundred thousand nodes has a million.
MOST_FIELDS = 4_000_000
MOST_DEPTH = 64
MOST_TEXT, MOST_TEXTS = 4096, 64 << 20
# So much is read at once: what is short is read with its neighbours, what is long is passed over.
_WINDOW = 64 << 10
_LONGEST = 10
_SIZES = {FIXED64: 8, FIXED32: 4}
_WORD = (1 << 64) - 1


class Readable(Protocol):
    """Bytes that a message lies in: a `StoredFile`, or `Held`."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    @property
    def shown(self) -> str:
        """The file's path, as a person can read it."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`."""

    def malformed(self, reason: str, place: str = "", remedy: str = FETCH_AGAIN) -> MalformedSource:
        """The error that says what is wrong, and where."""


class Held:
    """Bytes of the file `whole` that were read already; `place` says what they are in it."""

    def __init__(self, data: bytes, whole: Readable, place: str = "") -> None:
        self._data, self._whole, self._place = data, whole, place
        self.size, self.shown = len(data), whole.shown

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`, which must be there."""
        if offset + length > self.size:
            raise self.malformed(f"ends after {self.size:,} bytes, {offset + length:,} are needed")
        return self._data[offset : offset + length]

    def malformed(self, reason: str, place: str = "", remedy: str = FETCH_AGAIN) -> MalformedSource:
        """The error that says what is wrong with the whole, and where in it."""
        return self._whole.malformed(reason, ", ".join(filter(None, (self._place, place))), remedy)


class Field(NamedTuple):
    """A field of a message: its number, its kind on the wire, and its content.

    Content is `value` of a varint, without a sign, else the bytes from `start` to before `end`.
    """

    number: int
    wire: int
    start: int
    end: int
    value: int

    @property
    def length(self) -> int:
        """How many bytes the content has; of a varint none."""
        return self.end - self.start


class Protobuf:
    """The messages of one file. Every method raises MalformedSource for what is none."""

    def __init__(self, file: Readable) -> None:
        self.file = file
        self._window, self._first = b"", 0
        self._left, self._texts = MOST_FIELDS, MOST_TEXTS

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
                raise self.malformed(f"field {number:,} of kind {wire}, which there is not", begin)
            if length > end - at:
                raise self.malformed(f"{length:,} bytes announced, {end - at:,} are left", begin)
            yield Field(number, wire, at, at + length, 0)
            at += length

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """The number at `at`, modulo 2^64 as protobuf has it, and where what follows begins."""
        value = shift = 0
        for place in range(at, min(end, at + _LONGEST)):
            inside = place - self._first
            if not 0 <= inside < len(self._window):
                self._look(place)
                inside = 0
            byte = self._window[inside]
            if byte < 0x80:
                return (value | byte << shift) & _WORD, place + 1
            value |= (byte & 0x7F) << shift
            shift += 7
        raise self.malformed("a number does not end", at)

    def data(self, field: Field, most: int = MOST_TEXT) -> bytes:
        """What a field of bytes holds, at most so many."""
        self._texts -= field.length
        if field.wire != BYTES or field.length > most or self._texts < 0:
            raise self.malformed(f"{field.length:,} bytes of kind {field.wire} are no name", field.start)
        if not self._first <= field.start <= field.end <= self._first + len(self._window):
            if field.length > _WINDOW:
                return self.file.read(field.start, field.length)
            self._look(field.start)
        return self._window[field.start - self._first : field.end - self._first]

    def text(self, field: Field) -> str:
        """A field's bytes as text, which a name is."""
        try:
            return self.data(field).decode()
        except UnicodeDecodeError as error:
            raise self.malformed("a name that is no UTF-8", field.start) from error

    def malformed(self, reason: str, at: int) -> MalformedSource:
        """The error that says what is wrong, and where in the file."""
        return self.file.malformed(reason, f"byte {at:,}")

    def _look(self, at: int) -> None:
        self._first = at
        self._window = self.file.read(at, min(_WINDOW, self.file.size - at))


class Message:
    """A message; iterate over its fields, more than once if need be."""

    def __init__(
        self, file: Readable | Protobuf, start: int = 0, end: int | None = None, depth: int = 0
    ) -> None:
        self._walk = file if isinstance(file, Protobuf) else Protobuf(file)
        self._start, self._depth = start, depth
        self._end = self._walk.file.size if end is None else end
        if depth > MOST_DEPTH:
            raise self._walk.malformed(f"more than {MOST_DEPTH} messages in each other", start)

    def __iter__(self) -> Iterator[Field]:
        """Its fields. Raises MalformedSource at the first one that is none."""
        return self._walk.fields(self._start, self._end)

    def inside(self, field: Field) -> Message:
        """The message that a field is."""
        self._check(field, BYTES)
        return Message(self._walk, field.start, field.end, self._depth + 1)

    def data(self, field: Field, most: int = MOST_TEXT) -> bytes:
        """What a field of bytes holds, at most so many."""
        return self._walk.data(field, most)

    def text(self, field: Field) -> str:
        """A field's bytes as text, which a name is."""
        return self._walk.text(field)

    def number(self, field: Field) -> int:
        """The number of a varint, as int64 and int32 have it."""
        self._check(field, VARINT)
        return _signed(field.value)

    def numbers(self, field: Field) -> Iterator[int]:
        """The numbers of a repeated integer, which is packed or not, as int64 and int32 have them."""
        if field.wire == VARINT:
            yield _signed(field.value)
            return
        self._check(field, BYTES)
        at = field.start
        while at < field.end:
            value, at = self._walk.varint(at, field.end)
            yield _signed(value)

    def wrong(self, field: Field, reason: str) -> MalformedSource:
        """The error that says what is wrong with a field."""
        return self._walk.malformed(reason, field.start)

    def _check(self, field: Field, wire: int) -> None:
        if field.wire != wire:
            raise self.wrong(field, f"field {field.number} is of kind {field.wire}, not {wire}")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
