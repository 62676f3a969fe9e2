"""Files written by hand for the tests of sources: well formed by default, wrong wherever a test wants it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

SAFETENSORS_BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
    "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip


def safetensors(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    """A safetensors file of this header (an object, or the bytes of one) and data."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(dtype: str, shape: Sequence[int], begin: int, end: int) -> dict[str, Any]:
    """One tensor's entry in a header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def shard(tensors: Mapping[str, bytes], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file of U8 vectors."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata is not None else {}
    at = 0
    for name, data in tensors.items():
        header[name] = entry("U8", [len(data)], at, at + len(data))
        at += len(data)
    return safetensors(header, b"".join(tensors.values()))


def write_index(root: Path, placed: Mapping[str, object], name: str = "model") -> None:
    """An index beside shards."""
    document = {"metadata": {"total_size": 0}, "weight_map": dict(placed)}
    (root / f"{name}.safetensors.index.json").write_text(json.dumps(document))


def text(value: str | bytes) -> bytes:
    """A GGUF string."""
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def pair(key: str | bytes, kind: int, value: bytes) -> bytes:
    """A GGUF key-value, its value already encoded."""
    return text(key) + struct.pack("<I", kind) + value


def u16(key: str, value: int) -> bytes:
    """A key with a 16-bit number."""
    return pair(key, 2, struct.pack("<H", value))


def u32(key: str, value: int) -> bytes:
    """A key with a 32-bit number."""
    return pair(key, 4, struct.pack("<I", value))


def string(key: str, value: str) -> bytes:
    """A key with a string."""
    return pair(key, 8, text(value))


def info(
    name: str | bytes, ne: Sequence[int], kind: int, offset: int, dimensions: int | None = None
) -> bytes:
    """A GGUF tensor's entry; `ne` has the innermost dimension first."""
    count = len(ne) if dimensions is None else dimensions
    return text(name) + struct.pack(f"<I{len(ne)}QIQ", count, *ne, kind, offset)


def gguf(
    pairs: Iterable[bytes] = (),
    infos: Iterable[bytes] = (),
    data: bytes = b"",
    *,
    version: int = 3,
    magic: bytes = b"GGUF",
    counts: tuple[int, int] | None = None,
    alignment: int = 32,
) -> bytes:
    """A GGUF file; `counts` (tensors, keys) may lie."""
    pairs, infos = list(pairs), list(infos)
    tensors, keys = counts or (len(infos), len(pairs))
    head = magic + struct.pack("<IQQ", version, tensors, keys) + b"".join(pairs) + b"".join(infos)
    return head + bytes(-len(head) % alignment) + data
