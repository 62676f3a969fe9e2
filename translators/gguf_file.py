"""A GGUF before it is a file: its key-values and the recipes of its tensors; and the bytes these make.

Layout: ggml's docs/gguf.md, version 3, little endian. Header, key-values, one info for each tensor
(name, dimensions innermost first, type, offset), then the data, each tensor padded to the alignment, the
last one too.
Knows nothing of where the tensors come from or why they have their types.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

from translators.dtypes import DType
from translators.errors import Unsupported
from translators.keyvalues import KeyValues
from translators.layout import Layout, LiteralBytes, Segment, TensorBytes, Zeros
from translators.model import FileIdentity
from translators.recipes import Recipe

MAGIC, VERSION = b"GGUF", 3
DEFAULT_ALIGNMENT = 32
ALIGNMENT_KEY = "general.alignment"
_TYPE_AND_OFFSET = struct.Struct("<IQ")


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor of the file: its name, its shape (row-major) there, and how it is made."""

    name: str
    shape: tuple[int, ...]
    recipe: Recipe


class Table(NamedTuple):
    """Where tensors lie: their entries in the header, and each one's length and the padding behind it."""

    entries: bytes
    lengths: list[int]
    paddings: list[int]

    @staticmethod
    def of(tensors: Iterable[tuple[str, tuple[int, ...], DType]], alignment: int) -> Table:
        """The table of tensors in the order of the file. Raises Unsupported for a type GGUF has not."""
        table, offset = Table(b"", [], []), 0
        entries: list[bytes] = []
        for name, shape, dtype in tensors:
            if dtype.gguf is None:
                raise Unsupported(f"a GGUF cannot hold {dtype.name}", place=f"tensor {name}")
            begin, elements = _begin_of_entry(name, shape)
            entries += begin, _TYPE_AND_OFFSET.pack(dtype.gguf, offset)
            length = dtype.nbytes(elements)
            table.lengths.append(length)
            table.paddings.append(-length % alignment)
            offset += length + table.paddings[-1]
        return table._replace(entries=b"".join(entries))


@lru_cache(4096)
def _begin_of_entry(name: str, shape: tuple[int, ...]) -> tuple[bytes, int]:
    """What a tensor's entry begins with, which files of all types have alike; and its number of elements."""
    data, rank = name.encode("utf-8", "surrogateescape"), len(shape)
    begin = struct.pack(f"<Q{len(data)}sI{rank}Q", len(data), data, rank, *reversed(shape))
    return begin, prod(shape)


@dataclass(frozen=True)
class GgufFile:
    """Key-values and tensors, both in the order of the file."""

    key_values: KeyValues
    tensors: tuple[GgufTensor, ...]

    @property
    def alignment(self) -> int:
        """What offsets are multiples of: `general.alignment`, or 32."""
        value = self.key_values.get(ALIGNMENT_KEY, DEFAULT_ALIGNMENT)
        return value if isinstance(value, int) and value > 0 else DEFAULT_ALIGNMENT

    def layout(self, files: tuple[FileIdentity, ...]) -> Layout:
        """The file, bound to the source files `files`. Raises Unsupported for a type GGUF has not."""
        alignment = self.alignment
        tensors = ((tensor.name, tensor.shape, tensor.recipe.dtype) for tensor in self.tensors)
        table = Table.of(tensors, alignment)
        common, last = self.key_values.pieces
        segments = header(len(self.tensors), len(self.key_values), common, last + table.entries, alignment)
        for tensor, padding in zip(self.tensors, table.paddings, strict=True):
            segments += TensorBytes(tensor.name, tensor.recipe), Zeros(padding)
        return Layout(files, tuple(segments))


def header(tensors: int, key_values: int, common: bytes, last: bytes, alignment: int) -> list[Segment]:
    """All before the data: the counts, the key-values that files have in `common`, what is last."""
    begin = MAGIC + struct.pack("<IQQ", VERSION, tensors, key_values)
    padding = -(len(begin) + len(common) + len(last)) % alignment
    return [LiteralBytes(begin), LiteralBytes(common), LiteralBytes(last), Zeros(padding)]


def without_unit_dimensions(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape as ggml counts dimensions: outermost ones of size 1 dropped, at least one kept."""
    if shape and shape[0] != 1:
        return shape
    kept = list(shape) or [1]
    while len(kept) > 1 and kept[0] == 1:
        kept.pop(0)
    return tuple(kept)
