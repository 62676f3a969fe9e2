"""The tree in a msgpack file that flax wrote: maps down to arrays, of which only the places are read.

    tree = tree_of(file)      # {"params": {"dense": {"kernel": Array("float32", (3, 4), 120, 48)}}}

An array is an extension of type 1 that holds its shape, its type's name and its bytes; a NumPy scalar, of
type 3, is the same without dimensions. Every length is checked against what encloses it before it is used;
depth, the number of values and the bytes of strings are bounded; data are passed over, not read.
Knows nothing of names or types. Layout: the msgpack specification, flax/serialization.py (0.12).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from translators.errors import MalformedSource
from translators.sources.stored_file import StoredFile

_MOST_DEPTH = 64
_MOST_VALUES = 500_000
_MOST_STRING = 64 << 10
_MOST_STRINGS = 32 << 20
_MOST_DIMENSIONS = 64
_NDARRAY, _SCALAR = 1, 3
# So much of the file is read at once: maps lie between arrays, some hundred bytes each.
_WINDOW = 4096
# First bytes: of numbers, how they are packed; of the rest, how long their length is.
_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h",
    0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_BINARY = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_EXTENSION = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_FIXED_EXTENSION = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_STRING = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_ARRAY = {0xDC: 2, 0xDD: 4}
_MAP = {0xDE: 2, 0xDF: 4}


@dataclass(frozen=True, slots=True)
class Array:
    """`length` bytes at `offset` of the file, of a type that NumPy calls `type`."""

    type: str
    shape: tuple[int, ...]
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that are no array."""

    offset: int
    length: int


Tree = dict[str, object]


def tree_of(file: StoredFile) -> Tree:
    """The tree that the file is. Raises MalformedSource for anything else."""
    walk = _Walk(file)
    tree = walk.value(file.size, 0)
    if not isinstance(tree, dict):
        raise file.malformed("is no tree that flax wrote", "byte 0", "name a file with weights")
    if walk.at != file.size:
        raise file.malformed("something follows the tree", f"byte {walk.at:,}")
    return tree


class _Walk:
    """A place in the file, and what may still be spent."""

    def __init__(self, file: StoredFile) -> None:
        self._file = file
        self._window, self._start = b"", 0
        self.at = 0
        self._values, self._strings = 0, 0

    def value(self, end: int, depth: int) -> object:
        """The value here, which must end by `end`."""
        self._values += 1
        if depth > _MOST_DEPTH or self._values > _MOST_VALUES:
            raise self._wrong("deeper or of more values than any model")
        first = self._taken(1, end)[0]
        if first < 0x80 or first >= 0xE0:
            return first if first < 0x80 else first - 0x100
        if first < 0xA0:
            return (
                self._items(first & 0x0F, end, depth) if first >= 0x90 else self._map(first & 15, end, depth)
            )
        if first < 0xC0:
            return self._string(first & 0x1F, end)
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        if first in _NUMBERS:
            form = _NUMBERS[first]
            return struct.unpack(form, self._taken(struct.calcsize(form), end))[0]
        return self._long(first, end, depth)

    def _long(self, first: int, end: int, depth: int) -> object:
        """A value whose length follows its first byte."""
        if first in _STRING:
            return self._string(self._length(_STRING[first], end), end)
        if first in _BINARY:
            return self._blob(self._length(_BINARY[first], end), end)
        if first in _ARRAY:
            return self._items(self._length(_ARRAY[first], end), end, depth)
        if first in _MAP:
            return self._map(self._length(_MAP[first], end), end, depth)
        if first in _FIXED_EXTENSION:
            return self._extension(_FIXED_EXTENSION[first], end, depth)
        if first in _EXTENSION:
            return self._extension(self._length(_EXTENSION[first], end), end, depth)
        raise self._wrong("a byte that begins no value")

    def _map(self, count: int, end: int, depth: int) -> Tree:
        if 2 * count > end - self.at:
            raise self._wrong(f"a map of {count:,} entries, more than there are bytes")
        tree: Tree = {}
        for _ in range(count):
            key = self.value(end, depth + 1)
            if not isinstance(key, str | int) or str(key) in tree:
                raise self._wrong("a key that is there twice, or no string")
            tree[str(key)] = self.value(end, depth + 1)
        return tree

    def _items(self, count: int, end: int, depth: int) -> list[object]:
        if count > end - self.at:
            raise self._wrong(f"an array of {count:,} values, more than there are bytes")
        return [self.value(end, depth + 1) for _ in range(count)]

    def _string(self, length: int, end: int) -> str:
        self._strings += length
        if length > _MOST_STRING or self._strings > _MOST_STRINGS:
            raise self._wrong(f"a string of {length:,} bytes, or too many of them")
        try:
            return self._taken(length, end).decode()
        except UnicodeDecodeError as error:
            raise self._wrong("a string that is no UTF-8") from error

    def _blob(self, length: int, end: int) -> Blob:
        return Blob(self._passed(length, end), length)

    def _extension(self, length: int, end: int, depth: int) -> object:
        kind = self._taken(1, end)[0]
        if kind not in (_NDARRAY, _SCALAR):
            return self._blob(length, end)
        if length > end - self.at:
            raise self._wrong(f"{length:,} bytes reach beyond what encloses them")
        inner = self.at + length
        parts = self.value(inner, depth + 1)
        if self.at != inner or not isinstance(parts, list) or len(parts) != 3:
            raise self._wrong("an array without shape, type and bytes")
        shape, name, data = parts
        if isinstance(name, Blob) and name.length <= 64:
            name = self._file.read(name.offset, name.length).decode("ascii", "replace")
        if not isinstance(name, str) or not isinstance(data, Blob) or not _is_shape(shape):
            raise self._wrong("an array without shape, type and bytes")
        return Array(name, tuple(shape), data.offset, data.length)

    def _length(self, size: int, end: int) -> int:
        return int.from_bytes(self._taken(size, end), "big")

    def _passed(self, length: int, end: int) -> int:
        """Where we are; then go on by `length` bytes."""
        if length > end - self.at:
            raise self._wrong(f"{length:,} bytes reach beyond what encloses them")
        start, self.at = self.at, self.at + length
        return start

    def _taken(self, length: int, end: int) -> bytes:
        """The next `length` bytes, few."""
        start = self._passed(length, end) - self._start
        if start < 0 or start + length > len(self._window):
            self._start += start
            rest = self._file.size - self._start
            self._window, start = self._file.read(self._start, min(max(_WINDOW, length), rest)), 0
        return self._window[start : start + length]

    def _wrong(self, reason: str) -> MalformedSource:
        return self._file.malformed(reason, f"byte {self.at:,}")


def _is_shape(shape: object) -> bool:
    return (
        isinstance(shape, list)
        and len(shape) <= _MOST_DIMENSIONS
        and all(type(size) is int and 0 <= size < 1 << 62 for size in shape)
    )
