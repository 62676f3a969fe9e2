"""The index of a checkpoint: what TensorFlow calls a tensor bundle, as entries by their keys.

    bundle = bundle_of(file)          # of NAME.index
    bundle.shards                     # how many files of data there are
    bundle.entries[b"dense/kernel"]   # Entry(type, shape, shard, offset, size, slices)

A variable that was partitioned has an entry of its whole shape and its slices, and each slice's entry has a
key that is made of its place (`key_of_slice`).
Knows nothing of files of data. Layout: tensorflow/core/protobuf/tensor_bundle.proto; the keys of slices:
core/util/saved_tensor_slice_util.cc, core/lib/strings/ordered_code.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

from translators.errors import Unsupported
from translators.sources.protobuf import Field, Held, Message
from translators.sources.stored_file import StoredFile, clipped
from translators.sources.tensorflow.sstable import entries as table_entries
from translators.sources.tensorflow.types import shape_of

# (first, count) along each axis; a count of -1 is all of it.
Slice = tuple[tuple[int, int], ...]

ALL = -1
_HEADER_KEY = b""
_NEWEST = 1
_MOST_SHARDS = 100_000
_MOST_SLICES = 200_000
_ESCAPED = {0x00: b"\0\xff", 0xFF: b"\xff\0"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor, or a slice of one: `size` bytes from `offset` of a shard's file; `type` is a number."""

    type: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    slices: tuple[Slice, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """What an index says. `entries` are sorted by key, slices among them."""

    shards: int
    entries: dict[bytes, Entry]


def bundle_of(file: StoredFile) -> Bundle:
    """The index in a file, proved by its checksums. Raises MalformedSource, Unsupported (big-endian)."""
    table = table_entries(file)
    key, value = next(table, (None, b""))
    if key != _HEADER_KEY:
        raise file.malformed("an index without a header")
    shards = _shards(file, value)
    found: dict[bytes, Entry] = {}
    slices = 0
    for key, value in table:
        found[key] = _entry(file, key, value)
        slices += len(found[key].slices)
        if slices > _MOST_SLICES:
            raise file.malformed(f"more than {_MOST_SLICES:,} slices", f"entry {clipped(name_of(key))!r}")
    return Bundle(shards, found)


def is_slice(key: bytes) -> bool:
    """Whether a key is a slice's, not a name."""
    return key.startswith(b"\0")


def key_of_slice(name: bytes, place: Slice) -> bytes:
    """The key of a slice of the tensor `name`."""
    escaped = b"".join(_ESCAPED.get(byte, bytes((byte,))) for byte in name)
    numbers = b"".join(_signed(first) + _signed(count) for first, count in place)
    return b"\0" + escaped + b"\0\x01" + _unsigned(len(place)) + numbers


def _shards(file: StoredFile, value: bytes) -> int:
    message = Message(Held(value, file, "header"))
    shards = 0
    for field in message:
        if field.number == 1:
            shards = message.number(field)
        elif field.number == 2 and field.value:
            raise Unsupported(
                "a checkpoint in big-endian order", path=file.shown, place="header",
                remedy="save it on a machine of the other order",
            )  # fmt: skip
        elif field.number == 3:
            versions = message.inside(field)
            needed = max((versions.number(each) for each in versions if each.number == 2), default=0)
            if needed > _NEWEST:
                reason = f"a checkpoint that needs version {needed:,} of its format"
                raise Unsupported(reason, path=file.shown, place="header", remedy="save it in version 1")
    if not 0 < shards <= _MOST_SHARDS:
        raise file.malformed(f"{shards:,} files of data", "header")
    return shards


def _entry(file: StoredFile, key: bytes, value: bytes) -> Entry:
    message = Message(Held(value, file, f"entry {clipped(name_of(key))!r}"))
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    shape: tuple[int, ...] = ()
    slices: list[Slice] = []
    for field in message:
        if field.number in numbers:
            numbers[field.number] = message.number(field)
            if numbers[field.number] < 0:
                raise message.wrong(field, "a number below zero")
        elif field.number == 2:
            shape = shape_of(message, field)
        elif field.number == 7:
            slices.append(_slice(message, field))
    return Entry(numbers[1], shape, numbers[3], numbers[4], numbers[5], tuple(slices))


def _slice(message: Message, field: Field) -> Slice:
    """A TensorSliceProto."""
    place: list[tuple[int, int]] = []
    extents = message.inside(field)
    for extent in extents:
        if extent.number != 1:
            continue
        first, count = 0, ALL
        inner = extents.inside(extent)
        for part in inner:
            if part.number == 1:
                first = inner.number(part)
            elif part.number == 2:
                count = inner.number(part)
        if first < 0 or count < ALL or max(first, count) >= 1 << 62:
            raise message.wrong(field, "a slice of nothing")
        place.append((first, count))
    return tuple(place)


def name_of(key: bytes) -> str:
    """A key as a person can read it."""
    return key.decode("utf-8", "backslashreplace")


def _unsigned(number: int) -> bytes:
    """A count of bytes, and the bytes of the number, the highest first."""
    length = (number.bit_length() + 7) // 8
    return bytes((length,)) + number.to_bytes(length, "big")


def _signed(number: int) -> bytes:
    """As many bytes as seven bits each are needed for; how many is told by leading bits, as in UTF-8."""
    length = (number if number >= 0 else ~number).bit_length() // 7 + 1
    raw = int.from_bytes(number.to_bytes(10, "big", signed=True)[-length:], "big")
    head = (1 << length) - 1 << 8 * length - length
    return (raw ^ head).to_bytes(length, "big")
