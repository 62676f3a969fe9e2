"""Fields of a protobuf message, as bytes: what an ONNX file is made of.

    message(1, number(2, 7) + data(3, "text"))

The same content is the same bytes: fields are written in the order in which they are put together, numbers in
as few bytes as they need. Knows nothing of what any message means.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_FLOAT = struct.Struct("<f")
_64_BITS = (1 << 64) - 1


def varint(value: int) -> bytes:
    """A number from 0, seven bits a byte, the lowest first."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def number(field: int, value: int) -> bytes:
    """An integer; a negative one as the 64 bits that it has."""
    return varint(field << 3 | _VARINT) + varint(value & _64_BITS)


def real(field: int, value: float) -> bytes:
    """A number of 32 bits."""
    return varint(field << 3 | _FIXED32) + _FLOAT.pack(value)


def data(field: int, content: str | bytes) -> bytes:
    """Text, bytes, or a message that was put together."""
    raw = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | _BYTES) + varint(len(raw)) + raw


def numbers(field: int, values: Iterable[int]) -> bytes:
    """A list of integers, one after the other in one field."""
    return data(field, b"".join(varint(value & _64_BITS) for value in values))
