"""Shapes and types of datasets and attributes.

    space = dataspace(header.first(DATASPACE))
    kind = datatype(header.first(DATATYPE))

What HDF5 has a type for and safetensors too is a `DType`; a number in big-endian order is one whose words are
to be swapped. Texts, references, records and the like are no numbers (`dtype` None, `what` says which).
Knows nothing of where data lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from translators.dtypes import DTYPES, DType
from translators.sources.hdf5.region import Cursor

_MOST_DIMENSIONS = 32
_DEEPEST = 8
# Where HDF5 has the sign, the exponent (place, bits), the mantissa (place, bits) and the exponent's bias.
_FLOATS: dict[tuple[int, ...], str] = {
    (2, 15, 10, 5, 0, 10, 15): "F16",
    (4, 31, 23, 8, 0, 23, 127): "F32",
    (8, 63, 52, 11, 0, 52, 1023): "F64",
    (2, 15, 7, 8, 0, 7, 127): "BF16",
    (1, 7, 3, 4, 0, 3, 7): "F8_E4M3",
    (1, 7, 2, 5, 0, 2, 15): "F8_E5M2",
}
_OTHERS = {2: "times", 3: "text", 5: "opaque bytes", 6: "records", 7: "references", 9: "text or lists"}
_FIXED, _FLOAT, _TEXT, _BITS, _OPAQUE, _RECORD, _ENUM, _LIST, _ARRAY, _COMPLEX = (
    0,
    1,
    3,
    4,
    5,
    6,
    8,
    9,
    10,
    11,
)
_IMPLIED = 2 << 4  # how the mantissa is normalised: its first bit is not stored


@dataclass(frozen=True)
class Space:
    """A shape; `most` is what it may grow to, None where there is no bound. `null`: no data at all."""

    shape: tuple[int, ...]
    most: tuple[int | None, ...]
    null: bool = False


@dataclass(frozen=True)
class Kind:
    """An element type: `size` bytes.

    dtype: None where there is none for it; `what` says what it is.
    swap:  bytes of the words that are in big-endian order, 0 for none.
    inner: the shape of one element, where that is an array.
    text:  how a text is kept: "" (none), "fixed" or "listed".
    """

    size: int
    dtype: DType | None = None
    what: str = ""
    swap: int = 0
    inner: tuple[int, ...] = ()
    text: str = ""


def dataspace(body: Cursor) -> Space:
    """A dataspace message. Raises MalformedSource, Unsupported."""
    version, rank, flags = body.uint(1), body.uint(1), body.uint(1)
    null = False
    if version == 1:
        body.take(5)
    elif version == 2:
        null = body.uint(1) == 2
    else:
        raise body.file.unsupported(f"a shape of version {version}")
    if rank > _MOST_DIMENSIONS:
        raise body.malformed(f"{rank} dimensions")
    shape = tuple(body.length() for _ in range(rank))
    most: tuple[int | None, ...] = shape
    if flags & 1:
        unlimited = (1 << 8 * body.file.length_width) - 1
        most = tuple(None if size == unlimited else size for size in (body.length() for _ in range(rank)))
    count = 1
    for size in shape:
        count *= max(1, size)
    if count >= 1 << 60 or any(top is not None and top < size for size, top in zip(shape, most, strict=True)):
        raise body.malformed("a shape that is none")
    return Space(shape, most, null)


def datatype(body: Cursor, depth: int = 0) -> Kind:
    """A datatype message. Raises MalformedSource, Unsupported for numbers that no type here holds."""
    head, bits, size = body.uint(1), body.uint(3), body.uint(4)
    version, kind = head >> 4, head & 15
    if not 1 <= version <= 5 or depth > _DEEPEST or not size:
        raise body.malformed("a type that is none")
    if kind == _FIXED:
        return _whole(body, bits, size)
    if kind == _FLOAT:
        return _float(body, bits, size)
    if kind == _BITS and size in (1, 2, 4, 8) and (not bits & 1 or size == 1):
        return Kind(size, DTYPES[f"U{8 * size}"])
    if kind == _RECORD:
        return _record(body, version, bits & 0xFFFF, size, depth)
    if kind == _ENUM:
        return _enum(body, version, bits & 0xFFFF, depth)
    if kind == _ARRAY:
        return _array(body, version, size, depth)
    if kind == _OPAQUE and size <= 2:
        # What ml_dtypes calls bfloat16 is two bytes of nothing to HDF5; its many types of one byte are alike.
        if size == 1:
            remedy = "save it in another type, or as safetensors"
            raise body.file.unsupported("bytes of a type that the file does not name", remedy)
        return Kind(size, DTYPES["BF16"])
    if kind == _COMPLEX:
        part = datatype(body, depth + 1)
        return _complex(part, size)
    text = "fixed" if kind == _TEXT else "listed" if kind == _LIST and bits & 15 == 1 else ""
    return Kind(size, what=_OTHERS.get(kind, f"a type of class {kind}"), text=text)


def _whole(body: Cursor, bits: int, size: int) -> Kind:
    offset, precision = body.uint(2), body.uint(2)
    if size not in (1, 2, 4, 8) or offset or precision != 8 * size:
        raise body.file.unsupported(f"whole numbers of {precision} bits in {size} bytes")
    dtype = DTYPES[f"{'I' if bits & 8 else 'U'}{8 * size}"]
    return Kind(size, dtype, swap=size if bits & 1 and size > 1 else 0)


def _float(body: Cursor, bits: int, size: int) -> Kind:
    offset, precision = body.uint(2), body.uint(2)
    places = (size, bits >> 8 & 0xFF, *(body.uint(1) for _ in range(4)), body.uint(4))
    name = _FLOATS.get(places)
    if name is None or offset or precision != 8 * size or bits & 0x70 != _IMPLIED:
        raise body.file.unsupported(f"floating-point numbers of {precision} bits of a rare kind")
    return Kind(size, DTYPES[name], swap=size if bits & 1 and size > 1 else 0)


def _record(body: Cursor, version: int, members: int, size: int, depth: int) -> Kind:
    """Two floats r and i are a complex number, as h5py writes them; other records are none."""
    other = Kind(size, what=_OTHERS[_RECORD])
    if members != 2 or size not in (8, 16):
        return other
    parts: list[tuple[bytes, int]] = []
    kinds: list[Kind] = []
    for _ in range(members):
        name = _name(body, padded=version < 3)
        offset = body.uint(4 if version < 3 else 1)
        if version == 1:
            if body.uint(1):
                return other
            body.take(27)
        kinds.append(datatype(body, depth + 1))
        parts.append((name, offset))
    if parts != [(b"r", 0), (b"i", size // 2)] or kinds[0] != kinds[1]:
        return other
    return _complex(kinds[0], size)


def _complex(part: Kind, size: int) -> Kind:
    if part.dtype is DTYPES["F32"] and size == 8:
        return Kind(size, DTYPES["C64"], swap=part.swap)
    return Kind(size, what="complex numbers that are not of float32")


def _enum(body: Cursor, version: int, members: int, depth: int) -> Kind:
    """Numbers with names; FALSE and TRUE of one byte are h5py's truth values."""
    base = datatype(body, depth + 1)
    if members == 2 and base.size == 1:
        names = [_name(body, padded=version < 3) for _ in range(members)]
        if names == [b"FALSE", b"TRUE"] and body.take(2) == b"\0\1":
            return replace(base, dtype=DTYPES["BOOL"])
    return base


def _array(body: Cursor, version: int, size: int, depth: int) -> Kind:
    rank = body.uint(1)
    if rank > _MOST_DIMENSIONS:
        raise body.malformed(f"{rank} dimensions")
    body.take(3 if version < 3 else 0)
    shape = tuple(body.uint(4) for _ in range(rank))
    body.take(4 * rank if version < 3 else 0)
    base = datatype(body, depth + 1)
    count = 1
    for length in shape:
        count *= length
    if count * base.size != size:
        raise body.malformed("an array type whose size is not that of its elements")
    return replace(base, size=size, inner=(*shape, *base.inner))


def _name(body: Cursor, *, padded: bool) -> bytes:
    end = body.data.find(b"\0", body.at)
    if end < 0:
        raise body.malformed("a name that does not end")
    name = body.take(end - body.at + 1)
    body.take(-len(name) % 8 if padded else 0)
    return name[:-1]
