"""A GGUF before it is a file: its key-values and the recipes of its tensors; and the bytes these make.

Layout: ggml's docs/gguf.md, version 3, little endian. Header, key-values, one info for each tensor
(name, dimensions innermost first, type, offset), then the data, each tensor padded to the alignment, the
last one too.
Knows nothing of where the tensors come from or why they have their types.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property, lru_cache

import msgspec

from translators.errors import Unsupported
from translators.keyvalues import KeyValues
from translators.layout import Layout, LiteralBytes, Piece, TensorBytes, Zeros
from translators.model import FileIdentity
from translators.recipes import Recipe

MAGIC, VERSION = b"GGUF", 3
DEFAULT_ALIGNMENT = 32
ALIGNMENT_KEY = "general.alignment"
_KIND, _OFFSET = struct.Struct("<I"), struct.Struct("<Q")


class GgufTensor(msgspec.Struct, frozen=True, dict=True):
    """A tensor of the file: its name, its shape (row-major) there, and how it is made.

    May be part of several files: what is the same in all of them is computed once.
    """

    name: str
    shape: tuple[int, ...]
    recipe: Recipe

    @cached_property
    def parts(self) -> tuple[bytes, Piece]:
        """Its entry in the header up to the offset, and its bytes. Raises Unsupported for a type GGUF has not."""
        kind = self.recipe.dtype.gguf
        if kind is None:
            reason = f"a GGUF cannot hold {self.recipe.dtype.name}"
            raise Unsupported(reason, place=f"tensor {self.name}")
        return _info(self.name, self.shape) + _KIND.pack(kind), Piece.of(TensorBytes(self.name, self.recipe))


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
        alignment, offset = self.alignment, 0
        common, last = self.key_values.pieces
        ending: list[bytes] = [last]
        data: list[Piece] = []
        for tensor in self.tensors:
            info, piece = tensor.parts
            ending += (info, _OFFSET.pack(offset))
            data.append(piece)
            padding = -piece.length % alignment
            if padding:
                data.append(_zeros(padding))
            offset += piece.length + padding
        counts = struct.pack("<IQQ", VERSION, len(self.tensors), len(self.key_values))
        opening = (LiteralBytes(MAGIC + counts), _literal(common))
        header = b"".join(ending)
        header += bytes(-(opening[0].length + len(common) + len(header)) % alignment)
        return Layout(files, (*opening, LiteralBytes(header), *data))


@lru_cache(1)
def _literal(data: bytes) -> Piece:
    """What many files of one model begin with."""
    return Piece.of(LiteralBytes(data))


@lru_cache(64)
def _zeros(count: int) -> Piece:
    return Piece.of(Zeros(count))


@lru_cache(1024)
def _info(name: str, shape: tuple[int, ...]) -> bytes:
    """The name and the dimensions of a tensor, as its entry begins."""
    data, rank = name.encode("utf-8", "surrogateescape"), len(shape)
    return struct.pack(f"<Q{len(data)}sI{rank}Q", len(data), data, rank, *reversed(shape))


def without_unit_dimensions(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape as ggml counts dimensions: outermost ones of size 1 dropped, at least one kept."""
    kept = list(shape) or [1]
    while len(kept) > 1 and kept[0] == 1:
        kept.pop(0)
    return tuple(kept)
