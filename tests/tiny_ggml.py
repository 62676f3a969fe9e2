"""Tiny LLaMA models in the files that llama.cpp had before GGUF; weights follow from names.

    path = write(FILES["ggjt3-q4_0.bin"], directory)

The same bytes on every machine: NumPy's generator and ggml's own quantisers.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from translators.dtypes import DTYPES, F32
from translators.quants import convert

WORDS = (b"", b"", b"", *(bytes((each,)) for each in range(256)), b" the", b" a b", "é".encode(), b"")


@dataclass(frozen=True)
class Legacy:
    """A file: its form's mark, its version (0: none is told), the number of its type and that type."""

    name: str
    mark: bytes
    version: int
    number: int
    dtype: str
    heads: int = 4
    key_heads: int = 4
    wide: int = 64


FILES = {
    each.name: each
    for each in (
        Legacy("ggml-f32.bin", b"lmgg", 0, 0, "F32"),
        Legacy("ggmf-f16.bin", b"fmgg", 1, 1, "F16"),
        Legacy("ggjt1-f16.bin", b"tjgg", 1, 1, "F16"),
        Legacy("ggjt2-q5_1.bin", b"tjgg", 2, 9, "Q5_1"),
        Legacy("ggjt3-q4_0.bin", b"tjgg", 3, 2, "Q4_0"),
        Legacy("ggjt3-grouped-q8_0.bin", b"tjgg", 3, 7, "Q8_0", key_heads=2),
        Legacy("ggjt3-q4_k.bin", b"tjgg", 3, 15, "Q4_K", wide=256),
    )
}
# What ggjt 3 laid out anew, and files of that age.
REFUSED = (
    Legacy("ggjt2-q4_0.bin", b"tjgg", 2, 2, "Q4_0"),
    Legacy("ggjt1-q5_1.bin", b"tjgg", 1, 9, "Q5_1"),
    Legacy("ggml-q4_0.bin", b"lmgg", 0, 2, "Q4_0"),
)


def shapes(of: Legacy) -> dict[str, tuple[int, ...]]:
    """The tensors by name, in the order of the file, and their shapes, rows first."""
    wide, keys, inner = of.wide, of.wide // of.heads * of.key_heads, of.wide * 2
    made: dict[str, tuple[int, ...]] = {
        "tok_embeddings": (len(WORDS), wide), "norm": (wide,), "output": (len(WORDS), wide),
    }  # fmt: skip
    for layer in range(2):
        for name, shape in (
            ("attention.wq", (wide, wide)), ("attention.wk", (keys, wide)), ("attention.wv", (keys, wide)),
            ("attention.wo", (wide, wide)), ("attention_norm", (wide,)), ("feed_forward.w1", (inner, wide)),
            ("feed_forward.w2", (wide, inner)), ("feed_forward.w3", (inner, wide)), ("ffn_norm", (wide,)),
        ):  # fmt: skip
            made[f"layers.{layer}.{name}"] = shape
    return {f"{name}.weight": shape for name, shape in made.items()}


def written(of: Legacy) -> bytes:
    """The file."""
    head = of.mark + (struct.pack("<I", of.version) if of.version else b"")
    out = bytearray(head)
    out += struct.pack(
        "<7I", len(WORDS), of.wide, 256, of.heads, 2, of.wide // of.heads, of.number
    )  # fmt: skip
    for number, word in enumerate(WORDS):
        out += struct.pack("<I", len(word)) + word + (struct.pack("<f", -number) if of.version else b"")
    for name, shape in shapes(of).items():
        dtype = DTYPES[of.dtype] if len(shape) > 1 else F32
        values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype("<f4")
        raw = convert(F32, dtype, values.reshape(-1).view(np.uint8), first=0, checked=False)
        out += struct.pack("<3I", len(shape), len(name), dtype.gguf or 0)
        out += struct.pack(f"<{len(shape)}I", *shape[::-1]) + name.encode()
        out += bytes(-len(out) % 32) if of.mark == b"tjgg" else b""
        out += raw.tobytes()
    return bytes(out)


def write(of: Legacy, directory: Path) -> Path:
    """Write it, under a name that is recognised."""
    path = directory / f"ggml-model-{of.name}"
    path.write_bytes(written(of))
    return path
