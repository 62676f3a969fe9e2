"""NumPy's archives of arrays: what np.savez and np.savez_compressed wrote.

    model = npz.read(Path("net"), ["model.npz"], "net")

A member is an .npy file: a short header, which is a Python literal and parsed as nothing but that, then the
array. Members that are stored plainly are read where they lie, in Fortran's order as well; deflated ones of
at most 256 MiB are decompressed when they are read. Arrays of objects are pickles and refused; members that
are no arrays, and arrays of text, are no tensors and left out. Two bytes of no type NumPy knows are bfloat16,
as ml_dtypes saves it.
Knows nothing of architectures. Layout: numpy/lib/format.py (2.x).
"""

from __future__ import annotations

import ast
import re
import zipfile
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from translators.dtypes import DTYPES, DType
from translators.errors import Unsupported
from translators.model import Extent, Model, SourceTensor, Tensor
from translators.recipes import Derived, Recipe, Stored, inflated, permute
from translators.recipes.inflating import MOST_INFLATED
from translators.sources.indexed import joined
from translators.sources.recognise import NPZ
from translators.sources.stored_file import StoredFile, clipped
from translators.sources.zip_members import Member, is_zip, zip_members

_MAGIC = b"\x93NUMPY"
_TYPES = {
    "f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8", "u8": "U64",
    "u4": "U32", "u2": "U16", "u1": "U8", "b1": "BOOL", "c8": "C64", "V2": "BF16",
}  # fmt: skip
_DESCR = re.compile(r"([<>|=])([a-zA-Z]\d+)")
_TEXT = re.compile(r"[<>|=][SUa]\d+")
# NumPy's own bound of a header; and of what a header with such a length needs.
_MOST_HEADER = 10_000
_HEAD = 12 + _MOST_HEADER
# A compressed header is within so many bytes of its member, whatever follows.
_MOST_PACKED = 32 << 10
_MOST_DIMENSIONS = 64
_SAVE_AGAIN = "load it with NumPy and save it again with np.savez"


def read(root: Path, files: Sequence[str], name: str) -> Model:
    """The arrays that `files` of the directory `root` hold.

    Raises MalformedSource, MissingSource, or Unsupported (objects, big endian, large compressed arrays).
    """
    return joined(root, files, NPZ, _tensors, name=name, kind="npz")


def _tensors(file: StoredFile, number: int) -> dict[str, SourceTensor]:
    if not is_zip(file):
        raise file.malformed("is no archive that np.savez wrote", "byte 0", "name a file with weights")
    tensors: dict[str, SourceTensor] = {}
    for member in zip_members(file).values():
        head = _head(file, member)
        if not head.startswith(_MAGIC):
            continue
        name = member.name.removesuffix(".npy")
        if name in tensors:
            raise file.malformed("the array is there twice", _place(member))
        recipe = _array(file, number, member, head)
        if isinstance(recipe, Stored):
            tensors[name] = Tensor(name, recipe.dtype, recipe.shape, recipe.extent)
        elif recipe is not None:
            tensors[name] = Derived(name, recipe)
    return tensors


def _head(file: StoredFile, member: Member) -> bytes:
    """The first bytes of a member, which hold an .npy header if there is one."""
    if member.plain:
        return file.read(member.offset, min(member.length, _HEAD))
    if member.method != zipfile.ZIP_DEFLATED:
        method = f"compression method {member.method}"
        raise Unsupported(method, path=file.shown, place=_place(member), remedy=_SAVE_AGAIN)
    try:
        packed = file.read(member.offset, min(member.length, _MOST_PACKED))
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, _HEAD)
    except zlib.error as error:
        raise file.malformed(f"cannot be decompressed: {error}", _place(member)) from error


def _array(file: StoredFile, number: int, member: Member, head: bytes) -> Recipe | None:
    """The array of a member, None for one of text."""
    start, header = _header(file, member, head)
    shape, fortran = header["shape"], header["fortran_order"]
    dtype = _dtype(file, member, header["descr"])
    if dtype is None:
        return None
    size = dtype.nbytes(prod(shape))
    if start + size > member.size:
        raise file.malformed(f"{size:,} bytes of array are more than the member holds", _place(member))
    stored_shape = shape[::-1] if fortran else shape
    recipe: Recipe
    if member.plain:
        recipe = Stored(Extent(number, member.offset + start, size), dtype.name, stored_shape)
    elif start + size > MOST_INFLATED:
        raise Unsupported(
            f"a compressed array of {size:,} bytes, more than {MOST_INFLATED:,}",
            path=file.shown, place=_place(member), remedy=_SAVE_AGAIN,
        )  # fmt: skip
    else:
        recipe = inflated(Extent(number, member.offset, member.length), start, dtype, stored_shape)
    return permute(recipe, tuple(reversed(range(len(shape))))) if fortran and len(shape) > 1 else recipe


def _header(file: StoredFile, member: Member, head: bytes) -> tuple[int, dict[str, Any]]:
    """Where the array begins in the member, and what the header says, checked but for the type."""
    version = head[6] if len(head) > 12 else 0
    if version not in (1, 2, 3):
        raise file.malformed(f"an .npy header of version {version}", _place(member))
    fixed = 10 if version == 1 else 12
    length = int.from_bytes(head[8:fixed], "little")
    if length > _MOST_HEADER or fixed + length > len(head):
        raise file.malformed(f"a header of {length:,} bytes", _place(member))
    try:
        header = ast.literal_eval(head[fixed : fixed + length].decode("utf-8" if version == 3 else "latin-1"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise file.malformed("a header that is no literal", _place(member)) from error
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        raise file.malformed("a header without type, order and shape", _place(member))
    shape, fortran = header["shape"], header["fortran_order"]
    if (
        not isinstance(fortran, bool)
        or not isinstance(shape, tuple)
        or len(shape) > _MOST_DIMENSIONS
        or not all(type(size) is int and 0 <= size < 1 << 62 for size in shape)
    ):
        raise file.malformed("a shape or order that is none", _place(member))
    return fixed + length, header


def _dtype(file: StoredFile, member: Member, descr: object) -> DType | None:
    """The type that `descr` names, None for text."""
    if isinstance(descr, str) and _TEXT.fullmatch(descr):
        return None
    match = _DESCR.fullmatch(descr) if isinstance(descr, str) else None
    if match is not None and match[2] in _TYPES:
        dtype = DTYPES[_TYPES[match[2]]]
        if match[1] == ">" and dtype.size > 1:
            raise Unsupported(
                "an array in big-endian order", path=file.shown, place=_place(member),
                remedy="save it in little-endian order: array.astype(array.dtype.newbyteorder('<'))",
            )  # fmt: skip
        return dtype
    what = "an array of objects, which is a pickle" if descr == "|O" else "an array of type "
    kind = "" if descr == "|O" else clipped(repr(descr))
    raise Unsupported(what + kind, path=file.shown, place=_place(member), remedy="save numbers alone")


def _place(member: Member) -> str:
    return f"member {clipped(member.name)!r}"
