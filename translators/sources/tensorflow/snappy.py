"""Snappy's raw format, unpacked: what a block of an SSTable may be packed by.

No more memory is taken than the length that the data begins with, which the caller bounds, and no more time
than the data's own length and that one.
Layout: snappy's format_description.txt.
"""

from __future__ import annotations

_LITERAL = 0
# Of a copy: how many bytes its distance has.
_DISTANCE = {1: 1, 2: 2, 3: 4}


class NoSnappy(ValueError):
    """The data is no snappy."""


def unpacked_length(data: bytes) -> int:
    """How long the data is when it is unpacked, by its own word. Raises NoSnappy."""
    return _head(data)[0]


def unpacked(data: bytes) -> bytes:
    """What was packed. Raises NoSnappy."""
    size, at = _head(data)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == _LITERAL:
            length, at = _literal(data, at, tag >> 2)
            out += data[at : at + length]
            at += length
        else:
            wide = _DISTANCE[tag & 3]
            far = _number(data, at, wide)
            length = 1 + (tag >> 2)
            if wide == 1:
                length, far = 4 + (tag >> 2 & 7), far | tag >> 5 << 8
            at += wide
            _copy(out, far, length)
        if len(out) > size:
            raise NoSnappy(f"more than the {size:,} bytes that it begins with")
    if len(out) != size:
        raise NoSnappy(f"{len(out):,} bytes come of it, {size:,} are announced")
    return bytes(out)


def _head(data: bytes) -> tuple[int, int]:
    size = 0
    for number, byte in enumerate(data[:5]):
        size |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            return size, number + 1
    raise NoSnappy("a length without end")


def _literal(data: bytes, at: int, code: int) -> tuple[int, int]:
    """The length of a literal, and where it begins."""
    length = code + 1
    if code >= 60:
        length, at = _number(data, at, code - 59) + 1, at + code - 59
    if length > len(data) - at:
        raise NoSnappy("it ends within a literal")
    return length, at


def _copy(out: bytearray, far: int, length: int) -> None:
    """Repeat `length` bytes from so far behind, perhaps of those that are just being written."""
    if not 0 < far <= len(out):
        raise NoSnappy(f"a copy from {far:,} bytes back, where {len(out):,} are")
    start = len(out) - far
    pattern = bytes(out[start : start + length])
    out += (pattern * -(-length // len(pattern)))[:length]


def _number(data: bytes, at: int, wide: int) -> int:
    if wide > len(data) - at:
        raise NoSnappy("it ends within a length")
    return int.from_bytes(data[at : at + wide], "little")
