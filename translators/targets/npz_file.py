"""An archive as np.savez writes it, of any tensors, from recipes; np.load reads it and zip programs test it.

    layout = layout_of(files, [("w", recipe), ...])

Members are stored plainly, each an .npy file. The directory of a zip archive tells checksums, and is read
before the data: so each member has four bytes behind its array that make its checksum one number which is
known beforehand. NumPy reads arrays by their length and never hands these bytes out. Who reads a member's
last page pays for a second pass over that tensor (recipes/checksums.py). bfloat16, which NumPy lacks,
becomes float32, which is exact. Large archives are zip64.
Knows nothing of models. Layout: numpy/lib/format.py (2.x); APPNOTE.TXT of PKWARE for zip.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from translators.dtypes import F32
from translators.layout import Layout, LiteralBytes, Segment, TensorBytes
from translators.model import FileIdentity
from translators.recipes import Recipe, cast, nbytes, sealed
from translators.recipes.checksums import SEAL, TAIL
from translators.sources.stored_file import clipped

_DESCR = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1", "C64": "<c8",
}  # fmt: skip
_SUFFIX = ".npy"
_ALIGNMENT = 64
# Sizes, offsets, counts from here on are in the zip64 fields. Times are of 1 January 1980; names are UTF-8.
_WIDE, _WIDE_COUNT = 0xFFFFFFFF, 0xFFFF
_UTF8, _DATE, _PLAIN, _VERSION, _VERSION_ZIP64 = 0x0800, 0x21, 0, 20, 45
_LONGEST_NAME = 0xFFFF


def refused(tensors: Mapping[str, Recipe]) -> str:
    """Why these tensors cannot be in such an archive; "" where they can."""
    for name, recipe in tensors.items():
        if recipe.dtype.name not in _DESCR and recipe.dtype.name != "BF16":
            return f"NumPy has no type for {recipe.dtype.name} (tensor {clipped(name)!r})"
        if name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX) in tensors:
            return f"NumPy takes the names of two tensors for one (tensor {clipped(name)!r})"
        if not name.isprintable() or len(name.encode("utf-8", "replace")) + len(_SUFFIX) > _LONGEST_NAME:
            return f"the name of a tensor cannot be a file's ({clipped(ascii(name))})"
    return ""


def layout_of(files: Sequence[FileIdentity], tensors: Iterable[tuple[str, Recipe]]) -> Layout:
    """The archive of these tensors, in this order, which lie in `files` and are not `refused`."""
    segments: list[Segment] = []
    entries: list[bytes] = []
    position = 0
    for name, given in tensors:
        recipe = cast(given, F32) if given.dtype.name == "BF16" else given
        array, member = _npy(recipe), (name + _SUFFIX).encode()
        size = len(array) + nbytes(recipe) + TAIL
        header = _header(member, size)
        entries.append(_entry(member, size, position))
        tail = TensorBytes(f"{name}, its checksum", sealed(recipe, array))
        segments += (LiteralBytes(header + array), TensorBytes(name, recipe), tail)
        position += len(header) + size
    segments.append(LiteralBytes(_directory(entries, position)))
    return Layout(tuple(files), tuple(segments))


def _npy(recipe: Recipe) -> bytes:
    """The header of an .npy file, as NumPy writes it."""
    shape = tuple(recipe.shape)
    literal = f"{{'descr': '{_DESCR[recipe.dtype.name]}', 'fortran_order': False, 'shape': {shape}, }}"
    padding = -(10 + len(literal) + 1) % _ALIGNMENT
    text = literal.encode("ascii") + b" " * padding + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def _header(name: bytes, size: int) -> bytes:
    """The local header of a member."""
    wide = struct.pack("<HHQQ", 1, 16, size, size) if size >= _WIDE else b""
    told = min(size, _WIDE)
    version = _VERSION_ZIP64 if wide else _VERSION
    fields = (version, _UTF8, _PLAIN, 0, _DATE, SEAL, told, told, len(name), len(wide))
    return struct.pack("<4s5H3I2H", b"PK\x03\x04", *fields) + name + wide


def _entry(name: bytes, size: int, position: int) -> bytes:
    """The member's entry in the directory."""
    wide = struct.pack("<QQ", size, size) if size >= _WIDE else b""
    wide += struct.pack("<Q", position) if position >= _WIDE else b""
    extra = struct.pack("<HH", 1, len(wide)) + wide if wide else b""
    told, version = min(size, _WIDE), _VERSION_ZIP64 if wide else _VERSION
    fields = (
        version, version, _UTF8, _PLAIN, 0, _DATE, SEAL, told, told, len(name), len(extra), 0, 0, 0, 0,
        min(position, _WIDE),
    )  # fmt: skip
    return struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *fields) + name + extra


def _directory(entries: Sequence[bytes], position: int) -> bytes:
    """The directory and its end; as zip64 where a number needs it."""
    data, count = b"".join(entries), len(entries)
    wide = b""
    if count >= _WIDE_COUNT or len(data) >= _WIDE or position >= _WIDE:
        fields = (44, _VERSION_ZIP64, _VERSION_ZIP64, 0, 0, count, count, len(data), position)
        wide = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", *fields)
        wide += struct.pack("<4sIQI", b"PK\x06\x07", 0, position + len(data), 1)
    few, size, start = min(count, _WIDE_COUNT), min(len(data), _WIDE), min(position, _WIDE)
    return data + wide + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, few, few, size, start, 0)
