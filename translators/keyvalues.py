"""A GGUF's key-values: typed, ordered, and kept as the bytes that the file holds.

Values stay encoded: a key copied from one GGUF to another is copied bit for bit, and a vocabulary of
250,000 tokens is encoded once for twenty targets. Setting a key that exists keeps its place, as
upstream's writer does; `moved_to_end` is what llama-quantize does.
Layout: ggml's docs/gguf.md, version 3, little endian.
Knows nothing of which keys a model needs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import islice
from typing import Any

from translators.joined import Joined


class ValueType(IntEnum):
    """GGUF's value types, by their ids in the file."""

    U8 = 0
    I8 = 1
    U16 = 2
    I16 = 3
    U32 = 4
    I32 = 5
    F32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    U64 = 10
    I64 = 11
    F64 = 12


FORMATS = {
    ValueType.U8: "B", ValueType.I8: "b", ValueType.U16: "H", ValueType.I16: "h", ValueType.U32: "I",
    ValueType.I32: "i", ValueType.F32: "f", ValueType.BOOL: "?", ValueType.U64: "Q", ValueType.I64: "q",
    ValueType.F64: "d",
}  # fmt: skip
_LENGTH, _TYPE = struct.Struct("<Q"), struct.Struct("<I")
_ARRAY = struct.Struct("<IQ")


@dataclass(frozen=True, slots=True)
class Value:
    """One value: its type and its bytes as in the file, without the type's own four bytes.

    `no_nul`: an array of strings of which it is known that none holds a NUL.
    """

    type: ValueType
    raw: bytes
    no_nul: bool = field(default=False, compare=False)

    @property
    def decoded(self) -> Any:
        """The value as int, float, bool, str, or a list of these. Strings decode with `surrogateescape`."""
        if self.type is ValueType.STRING:
            return self.raw[8:].decode("utf-8", "surrogateescape")
        if self.type is not ValueType.ARRAY:
            return struct.unpack("<" + FORMATS[self.type], self.raw)[0]
        element, count = _ARRAY.unpack_from(self.raw)
        if element == ValueType.STRING:
            return [text.decode("utf-8", "surrogateescape") for text in self.strings]
        return list(struct.unpack_from(f"<{count}{FORMATS[ValueType(element)]}", self.raw, _ARRAY.size))

    @property
    def strings(self) -> list[bytes]:
        """The members of an array of strings, as bytes."""
        _, count = _ARRAY.unpack_from(self.raw)
        texts, at = [], _ARRAY.size
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(self.raw, at)
            at += _LENGTH.size
            texts.append(self.raw[at : at + length])
            at += length
        return texts

    @property
    def element(self) -> ValueType | None:
        """The type of an array's members; None for a scalar."""
        return ValueType(_ARRAY.unpack_from(self.raw)[0]) if self.type is ValueType.ARRAY else None


def scalar(kind: ValueType, value: float | bool) -> Value:
    """A number or truth value of type `kind`."""
    return Value(kind, struct.pack("<" + FORMATS[kind], value))


def string(text: str | bytes) -> Value:
    """A string; text is encoded as UTF-8."""
    return Value(ValueType.STRING, _packed_string(text))


def array(kind: ValueType, values: Sequence[Any] | Joined) -> Value:
    """An array of numbers, truth values or strings of type `kind`."""
    head = _ARRAY.pack(kind, len(values))
    if isinstance(values, Joined):
        return Value(ValueType.ARRAY, values.packed(head), no_nul=True)
    if kind is not ValueType.STRING:
        return Value(ValueType.ARRAY, head + struct.pack(f"<{len(values)}{FORMATS[kind]}", *values))
    try:
        joined = Joined.of(values, "surrogateescape")
    except TypeError:  # some text, some bytes
        joined = None
    if joined is None:
        return Value(ValueType.ARRAY, head + b"".join(map(_packed_string, values)))
    return Value(ValueType.ARRAY, joined.packed(head), no_nul=True)


def _encoded(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _packed_string(text: str | bytes) -> bytes:
    data = _encoded(text)
    return _LENGTH.pack(len(data)) + data


class KeyValues:
    """An ordered mapping of keys to values, and the bytes that it is in a file."""

    def __init__(self, items: Iterable[tuple[str, Value]] = ()) -> None:
        self._values: dict[str, Value] = dict(items)
        # The first pairs, how many and their bytes, which copies share with what they are copies of.
        self._common = (0, b"")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def items(self) -> Iterable[tuple[str, Value]]:
        """Keys with their values, in order."""
        return self._values.items()

    def get(self, key: str, default: Any = None) -> Any:
        """The decoded value of `key`, or `default`."""
        value = self._values.get(key)
        return default if value is None else value.decoded

    def copy(self) -> KeyValues:
        """A copy that can be changed alone; values and bytes are shared."""
        if self._common[0] < len(self._values):
            self._common = len(self._values), self.encoded()
        copied = KeyValues(self._values.items())
        copied._common = self._common
        return copied

    def set(self, key: str, value: Value) -> None:
        """Set `key`, in its old place if it has one, else at the end."""
        if key in self._values:
            self._common = (0, b"")
        self._values[key] = value

    def remove(self, key: str) -> None:
        """Remove `key` if it is there."""
        if self._values.pop(key, None) is not None:
            self._common = (0, b"")

    def moved_to_end(self, key: str, value: Value) -> None:
        """Set `key` at the end, wherever it was."""
        self.remove(key)
        self._values[key] = value

    def u32(self, key: str, value: int) -> None:
        """Set an unsigned 32-bit integer."""
        self.set(key, scalar(ValueType.U32, value))

    def f32(self, key: str, value: float) -> None:
        """Set a 32-bit float."""
        self.set(key, scalar(ValueType.F32, value))

    def bool(self, key: str, value: bool) -> None:
        """Set a truth value."""
        self.set(key, scalar(ValueType.BOOL, value))

    def string(self, key: str, text: str | bytes) -> None:
        """Set a string."""
        self.set(key, string(text))

    def array(self, key: str, kind: ValueType, values: Sequence[Any] | Joined) -> None:
        """Set an array of members of type `kind`."""
        self.set(key, array(kind, values))

    def encoded(self) -> bytes:
        """All pairs as they follow one another in a file."""
        common, rest = self.pieces
        return common + rest if common else rest

    @property
    def pieces(self) -> tuple[bytes, bytes]:
        """The same in two pieces: what is shared with copies (the very same object in each), and the rest."""
        count, common = self._common
        parts: list[bytes] = []
        for key, value in islice(self._values.items(), count, None):
            parts += (_packed_string(key), _TYPE.pack(value.type), value.raw)
        return common, b"".join(parts)
