"""A GGUF file taken apart, to say where two files differ. Reads version 3, little endian.

Independent of `translators` on purpose: a mistake there must not hide itself here.
The layout is that of ggml's docs/gguf.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha256
from math import prod

# id -> (name, elements of a block, bytes of a block), for the types that upstream's tools make.
TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18), 42: ("Q2_0", 64, 18),
}  # fmt: skip

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class Part:
    """One tensor: where it lies in the file, and the digest of its bytes."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    digest: str


@dataclass(frozen=True)
class Parts:
    """A file's key-values (key -> "type value", long values as a digest), and its tensors in order."""

    key_values: dict[str, str]
    tensors: tuple[Part, ...]


def take_apart(data: bytes) -> Parts:
    """The parts of a whole file. Raises ValueError if it is no GGUF of version 3."""
    magic, version, tensors, count = struct.unpack_from("<4sIQQ", data)
    if (magic, version) != (b"GGUF", 3):
        raise ValueError(f"not a GGUF of version 3: {magic!r}, {version}")
    at = 24
    key_values = {}
    for _ in range(count):
        key, at = _string(data, at)
        (kind,) = struct.unpack_from("<I", data, at)
        end = _value_end(data, at + 4, kind)
        key_values[key] = f"{kind} {_shown(data[at + 4 : end], kind)}"
        at = end
    found = []
    for _ in range(tensors):
        name, at = _string(data, at)
        (dimensions,) = struct.unpack_from("<I", data, at)
        shape = struct.unpack_from(f"<{dimensions}Q", data, at + 4)
        kind, offset = struct.unpack_from("<IQ", data, at + 4 + 8 * dimensions)
        found.append((name, TYPES[kind], shape, offset))
        at += 16 + 8 * dimensions
    start = at + -at % 32
    parts = []
    for name, (type_name, block, size), shape, offset in found:
        first = start + offset
        content = data[first : first + prod(shape) // block * size]
        parts.append(Part(name, type_name, shape, first, sha256(content).hexdigest()[:12]))
    return Parts(key_values, tuple(parts))


def _string(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    return data[at + 8 : at + 8 + length].decode(), at + 8 + length


def _value_end(data: bytes, at: int, kind: int) -> int:
    if kind == _STRING:
        return at + 8 + int(struct.unpack_from("<Q", data, at)[0])
    if kind != _ARRAY:
        return at + struct.calcsize("<" + _SCALARS[kind])
    member, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if member in _SCALARS:
        return at + int(count) * struct.calcsize("<" + _SCALARS[member])
    for _ in range(count):
        at = _value_end(data, at, member)
    return at


def _shown(raw: bytes, kind: int) -> str:
    if kind in _SCALARS:
        return repr(struct.unpack("<" + _SCALARS[kind], raw)[0])
    if kind == _STRING and len(raw) < 60:
        return repr(raw[8:].decode())
    return f"{len(raw)} bytes, sha256 {sha256(raw).hexdigest()[:12]}"
