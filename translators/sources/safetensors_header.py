"""The header of one safetensors file, checked against the file.

Layout: eight bytes of length (little endian), that many bytes of JSON, then the tensors' data without a
hole to the last byte. The rules are those of the safetensors library's reader, and two more: a key that
appears twice is an error, and so is a field that the format does not have. Entries are decoded one by one
into their exact types, so that a header of 100 MB of nonsense costs neither minutes nor gigabytes.
Reads the header alone. Knows nothing of shards, indices or what the tensors mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NoReturn, TypeVar

import msgspec

from translators.dtypes import DTYPES, DType
from translators.model import Extent, Tensor
from translators.sources.stored_file import StoredFile

LENGTH_BYTES = 8
HEADER_LIMIT = 100_000_000
METADATA = "__metadata__"
# The library counts elements in 64 bits.
_MOST_ELEMENTS = 2**64 - 1

_T = TypeVar("_T")
_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A tensor as the header has it; offsets count from the first byte after the header."""

    dtype: str
    shape: tuple[_Count, ...]
    data_offsets: tuple[_Count, _Count]


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENTRY = msgspec.json.Decoder(_Entry)
_TEXTS = msgspec.json.Decoder(dict[str, str])
# The strings of an entry: the tensor's name, three keys, and the dtype.
_ENTRY_STRINGS = 5


@dataclass(frozen=True, slots=True)
class Header:
    """A file's tensors, sorted by name, and its `__metadata__` ({} where it has none)."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def read_header(file: StoredFile, number: int) -> Header:
    """The header of `file`, which is file `number` of the model. Raises MalformedSource, MissingSource."""
    if file.size < LENGTH_BYTES:
        raise file.malformed(f"{file.size} bytes are too few for a safetensors file")
    length = int.from_bytes(file.read(0, LENGTH_BYTES), "little")
    if length > HEADER_LIMIT:
        raise file.malformed(f"a header of {length:,} bytes; the format allows {HEADER_LIMIT:,}", "byte 0")
    start = LENGTH_BYTES + length
    if start > file.size:
        raise file.malformed(f"a header of {length:,} bytes in a file of {file.size:,}", "byte 0")
    data = file.read(LENGTH_BYTES, length)
    members = _decoded(file, _MEMBERS, data, "header")
    strings = _ENTRY_STRINGS * len(members)
    metadata: dict[str, str] = {}
    if METADATA in members:
        metadata = _decoded(file, _TEXTS, members.pop(METADATA), METADATA)
        strings += 1 + 2 * len(metadata) - _ENTRY_STRINGS
    tensors = [_tensor(file, name, entry, number, start) for name, entry in members.items()]
    if _strings_in(data) != strings:
        raise file.malformed("a key appears twice in one object", "header")
    _check_cover(file, tensors, start)
    return Header({tensor.name: tensor for tensor in sorted(tensors, key=lambda t: t.name)}, metadata)


def _decoded(
    file: StoredFile, decoder: msgspec.json.Decoder[_T], data: bytes | msgspec.Raw, place: str
) -> _T:
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as error:
        # msgspec's errors and UnicodeDecodeError are ValueErrors; their text says what and where.
        raise file.malformed(f"no valid header: {error}", place) from error


def _strings_in(data: bytes) -> int:
    """How many strings valid JSON holds: a parser keeps the last of equal keys, the text has them all."""
    escaped = data.replace(rb"\\", b"").count(rb"\"")
    return (data.count(b'"') - escaped) // 2


def _tensor(file: StoredFile, name: str, raw: msgspec.Raw, number: int, start: int) -> Tensor:
    """One entry as a Tensor; `start` is where the data begins in the file."""
    place = f"tensor {name!r}"

    def wrong(reason: str) -> NoReturn:
        raise file.malformed(reason, place)

    entry = _decoded(file, _ENTRY, raw, place)
    dtype = DTYPES.get(entry.dtype)
    if dtype is None or not dtype.safetensors:
        wrong(f"the format has no dtype {entry.dtype!r}")
    begin, end = entry.data_offsets
    if not begin <= end <= file.size - start:
        wrong(f"its bytes {begin:,} to {end:,} lie outside the {file.size - start:,} bytes of data")
    size = _nbytes(dtype, entry.shape)
    if size is None:
        wrong(f"its shape in {dtype.name} is no whole number of bytes, or beyond 64 bits")
    if size != end - begin:
        wrong(f"{end - begin:,} bytes are stored, its shape and dtype need {size:,}")
    return Tensor(name, dtype, entry.shape, Extent(number, start + begin, size))


def _nbytes(dtype: DType, shape: tuple[int, ...]) -> int | None:
    elements = 1
    for dimension in shape:
        elements *= dimension
        if elements > _MOST_ELEMENTS:
            return None
    return None if elements % dtype.block else dtype.nbytes(elements)


def _check_cover(file: StoredFile, tensors: list[Tensor], start: int) -> None:
    """Every byte of the data belongs to exactly one tensor."""
    at = start
    for tensor in sorted(tensors, key=lambda t: (t.extent.offset, t.extent.length)):
        if tensor.extent.offset != at:
            what = "overlaps the one before" if tensor.extent.offset < at else "leaves a hole before it"
            raise file.malformed(f"the tensor {what}", f"tensor {tensor.name!r}")
        at += tensor.extent.length
    if at != file.size:
        raise file.malformed(f"{file.size - at:,} bytes after the last tensor belong to none", f"byte {at:,}")
