"""An archive as np.savez writes it, of any tensors, from recipes; np.load reads it and zip programs test it.

    layout = layout_of(files, [("w", recipe), ...])

Members are stored plainly, each an .npy file. The directory of a zip archive tells checksums, and is read
before the data: so each member has four bytes behind its array that make its checksum one number which is
known beforehand. NumPy reads arrays by their length and never hands these bytes out. Who reads a member's
last page pays for a second pass over that tensor (recipes/checksums.py). bfloat16, which NumPy lacks,
becomes float32, which is exact. Large archives are zip64.
Knows nothing of models. Layout: numpy/lib/format.py (2.x).
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
from translators.targets.zip_archive import Member, directory

_DESCR = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1", "C64": "<c8",
}  # fmt: skip
_SUFFIX = ".npy"
_ALIGNMENT = 64
_VERSION = 20
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
    members: list[Member] = []
    position = 0
    for name, given in tensors:
        recipe = cast(given, F32) if given.dtype.name == "BF16" else given
        array = _npy(recipe)
        size = len(array) + nbytes(recipe) + TAIL
        members.append(Member((name + _SUFFIX).encode(), size, SEAL, position, _VERSION))
        header = members[-1].header()
        tail = TensorBytes(f"{name}, its checksum", sealed(recipe, array))
        segments += (LiteralBytes(header + array), TensorBytes(name, recipe), tail)
        position += len(header) + size
    segments.append(LiteralBytes(directory(members, position)))
    return Layout(tuple(files), tuple(segments))


def _npy(recipe: Recipe) -> bytes:
    """The header of an .npy file, as NumPy writes it."""
    shape = tuple(recipe.shape)
    literal = f"{{'descr': '{_DESCR[recipe.dtype.name]}', 'fortran_order': False, 'shape': {shape}, }}"
    padding = -(10 + len(literal) + 1) % _ALIGNMENT
    text = literal.encode("ascii") + b" " * padding + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
