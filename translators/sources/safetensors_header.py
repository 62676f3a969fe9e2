"""The header of one safetensors file, checked against the file.

Layout: eight bytes of length (little endian), that many bytes of JSON, then the tensors' data without a
hole to the last byte. The rules are those of the safetensors library's reader, and two more: a repeated
key is an error, and so is a name that is no text.
Reads the header alone. Knows nothing of shards, indices or what the tensors mean.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn, TypeGuard

from translators.dtypes import DTYPES, DType
from translators.model import Extent, Tensor
from translators.sources.stored_file import StoredFile

LENGTH_BYTES = 8
HEADER_LIMIT = 100_000_000
METADATA = "__metadata__"
# The library counts elements in 64 bits.
_MOST_ELEMENTS = 2**64 - 1


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
    entries = _parsed(file, file.read(LENGTH_BYTES, length))
    metadata = _metadata(file, entries.pop(METADATA, None))
    tensors = [_tensor(file, name, entry, number, start) for name, entry in entries.items()]
    _check_cover(file, tensors, start)
    return Header({tensor.name: tensor for tensor in sorted(tensors, key=lambda t: t.name)}, metadata)


class _Refused(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        ordered = sorted(key for key, _ in pairs)
        twice = next(key for key, after in pairwise(ordered) if key == after)
        raise _Refused(f"the key {twice!r} appears twice")
    return members


def _no_number(text: str) -> NoReturn:
    raise _Refused(f"{text} is no JSON number")


def _parsed(file: StoredFile, data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise file.malformed("the header is no UTF-8", f"byte {LENGTH_BYTES + error.start:,}") from error
    except json.JSONDecodeError as error:
        raise file.malformed(
            f"the header is no JSON: {error.msg}", f"header, character {error.pos:,}"
        ) from error
    except _Refused as error:
        raise file.malformed(str(error), "header") from error
    except (ValueError, RecursionError) as error:
        raise file.malformed("a number or the nesting is beyond all measure", "header") from error
    if not isinstance(header, dict):
        raise file.malformed("the header is no JSON object", "header")
    return header


def _metadata(file: StoredFile, value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise file.malformed("the metadata is not an object of strings", METADATA)
    if not all(map(_is_text, [*value, *value.values()])):
        raise file.malformed("the metadata holds half a surrogate pair", METADATA)
    return value


def _tensor(file: StoredFile, name: str, entry: object, number: int, start: int) -> Tensor:
    """One entry as a Tensor; `start` is where the data begins in the file."""

    def wrong(reason: str) -> NoReturn:
        raise file.malformed(reason, f"tensor {name!r}")

    if not _is_text(name):
        wrong("the name holds half a surrogate pair")
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        wrong("the entry is no object with dtype, shape and data_offsets")
    dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None or not dtype.safetensors:
        wrong(f"the format has no dtype {entry['dtype']!r}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        wrong("shape and data_offsets must be lists of whole numbers from 0, the offsets two")
    begin, end = offsets
    if not begin <= end <= file.size - start:
        wrong(f"its bytes {begin:,} to {end:,} lie outside the {file.size - start:,} bytes of data")
    size = _nbytes(dtype, shape)
    if size is None:
        wrong(f"the shape {shape} of {dtype.name} is no whole number of bytes in 64 bits")
    if size != end - begin:
        wrong(f"{end - begin:,} bytes are stored, its shape and dtype need {size:,}")
    return Tensor(name, dtype, tuple(shape), Extent(number, start + begin, size))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _are_counts(values: object) -> TypeGuard[list[int]]:
    # bool is an int in Python, and true is no number in JSON.
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _nbytes(dtype: DType, shape: list[int]) -> int | None:
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
