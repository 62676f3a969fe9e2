"""Tiny importance matrices in both formats, and a tiny model of experts: the same bytes on every machine.

    write(MATRICES["llama-mha.imatrix.gguf"], columns, directory)     # columns: tensor -> (columns, slices)

Random weights from nothing to far more than a model has, all by exact arithmetic. Each matrix lacks a tensor,
holds one that no model has, and one for the token embedding that is of another size, which llama-quantize
takes no notice of; the GGUF has counts that must be rounded, and a slice that nothing was observed of.
Upstream's llama-quantize made the digests in tests/oracle/golden from these files.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.tiny_models import stored, values

EMBEDDING = "token_embd.weight"
MOE = "experts-4x"
Columns = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class TinyMatrix:
    """An importance matrix: for which model, what the file is called, and the tensor that it lacks.

    types: what golden digests exist for; of `slow` ones too, which only `make imatrix-check` compares.
    """

    model: str
    file: str
    lacks: str
    types: tuple[str, ...]
    slow: tuple[str, ...] = ()


_MANY = (
    "bf16", "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0", "q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_nl",
    "iq4_xs", "q3_k_l", "q3_k_m", "q3_k_s", "iq3_m", "iq3_s", "iq3_xs", "q2_k", "q2_k_s", "tq2_0",
    "mxfp4_moe",
)  # fmt: skip
# The grids that libggml makes before the first of them take it up to ten seconds each.
_SLOW = ("iq3_xxs", "iq2_m", "iq2_s", "iq2_xs", "iq1_s")
_SOME = ("f32", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "q5_1", "iq4_xs", "q3_k_m", "q2_k_s", "iq2_xxs")

# By the name of their golden file.
MATRICES = {
    "llama-mha.imatrix.gguf": TinyMatrix("llama-mha", "imatrix.gguf", "output.weight", _MANY),
    "llama-mha.imatrix.dat": TinyMatrix("llama-mha", "Any-name.imatrix", "blk.1.attn_k.weight", _SOME),
    "fallback-288.imatrix.dat": TinyMatrix("fallback-288", "imatrix_unsloth.dat", "output.weight", _SOME),
    "Qwen2.5-0.5B-Instruct.imatrix.gguf": TinyMatrix(
        "Qwen2.5-0.5B-Instruct", "imatrix.gguf", "output.weight", ("q4_k_m", "q4_0", "iq3_xs", "iq4_nl")
    ),
    f"{MOE}.imatrix.gguf": TinyMatrix(MOE, f"{MOE}.imatrix.gguf", "output.weight", _SOME, _SLOW),
    f"{MOE}.imatrix.dat": TinyMatrix(MOE, "imatrix.dat", "output.weight", _SOME),
}


def write(matrix: TinyMatrix, columns: Columns, directory: Path) -> Path:
    """Write the matrix for a model with these weight tensors, and return its path."""
    given = {name: sums(name, count * slices) for name, (count, slices) in columns.items()}
    given.pop(matrix.lacks, None)
    given[EMBEDDING] = sums(EMBEDDING, 17)
    given["blk.0.no_such.weight"] = sums("no such", 5)
    path = directory / matrix.file
    is_gguf = matrix.file.endswith("gguf")
    path.write_bytes(as_gguf(given, {n: s for n, (_, s) in columns.items()}) if is_gguf else as_dat(given))
    return path


def sums(name: str, count: int) -> npt.NDArray[np.float32]:
    """Sums of squares: of some twenty magnitudes, one in fifty nothing at all."""
    seed = int.from_bytes(sha256(f"imatrix/{name}".encode()).digest()[:8], "little")
    raw = np.random.PCG64(seed).random_raw(count)
    fraction = (raw >> np.uint64(40)).astype(np.float64) / 2**24 + 0.5
    numbers = np.ldexp(fraction, (raw % np.uint64(21)).astype(np.int64) - 8)
    numbers[(raw >> np.uint64(8)) % np.uint64(50) == 0] = 0
    return numbers.astype(np.float32)


def as_gguf(given: Mapping[str, npt.NDArray[np.float32]], slices: Mapping[str, int]) -> bytes:
    """As llama-imatrix writes it, sums and counts of each tensor."""
    infos, data = b"", b""
    for name, numbers in sorted(given.items()):
        of = slices.get(name, 1) if name != EMBEDDING else 1
        counts = np.array([511.5 + 100 * number for number in range(of)], np.float32)
        if of > 1:
            counts[1] = 0
        for end, array in ((".in_sum2", numbers.reshape(of, -1)), (".counts", counts.reshape(of, 1))):
            shape = array.shape[::-1]
            infos += _text(name + end) + struct.pack("<I2QIQ", 2, *shape, 0, len(data))
            data += array.tobytes() + bytes(-array.nbytes % 32)
    datasets = struct.pack("<IQ", 8, 2) + _text("calibration " + "and more " * 20) + _text("wiki.train.raw")
    head = struct.pack("<4sIQQ", b"GGUF", 3, 2 * len(given), 4)
    head += _text("general.type") + struct.pack("<I", 8) + _text("imatrix")
    head += _text("imatrix.datasets") + struct.pack("<I", 9) + datasets
    head += _text("imatrix.chunk_count") + struct.pack("<II", 4, 77)
    head += _text("imatrix.chunk_size") + struct.pack("<II", 4, 512)
    head += infos
    return head + bytes(-len(head) % 32) + data


def as_dat(given: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    """The older format; one entry has averages already, and its number of calls is 0."""
    parts = [struct.pack("<i", len(given))]
    for number, (name, numbers) in enumerate(given.items()):
        calls = number * 37 % 100
        parts.append(struct.pack("<i", len(name)) + name.encode())
        parts.append(struct.pack("<ii", calls, numbers.size) + numbers.tobytes())
    parts.append(struct.pack("<ii", 123, 9) + b"groups_me")
    return b"".join(parts)


def write_experts(directory: Path) -> Path:
    """A GGUF with stacked experts, in BF16: names and shapes as llama.cpp has them; nobody could run it."""
    tensors: list[tuple[str, tuple[int, ...], str]] = [
        ("token_embd.weight", (32, 256), "BF16"),
        ("output.weight", (32, 256), "BF16"),
    ]
    for layer in range(4):
        names = ("attn_q", "attn_k", "attn_v", "attn_output")
        tensors += [(f"blk.{layer}.{name}.weight", (32, 256), "BF16") for name in names]
        tensors.append((f"blk.{layer}.ffn_gate_inp.weight", (4, 256), "F32"))
        tensors += [(f"blk.{layer}.ffn_{part}_exps.weight", (4, 24, 256), "BF16") for part in ("up", "gate")]
        tensors.append((f"blk.{layer}.ffn_down_exps.weight", (4, 16, 288), "BF16"))
    keys = {
        "block_count": 4, "context_length": 128, "embedding_length": 256, "feed_forward_length": 288,
        "attention.head_count": 4, "attention.head_count_kv": 2, "expert_count": 4, "expert_used_count": 2,
    }  # fmt: skip
    infos, data = b"", b""
    for name, shape, kind in tensors:
        raw = stored(values(MOE, name, shape), kind)
        number = {"F32": 0, "BF16": 30}[kind]
        infos += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape[::-1], number, len(data))
        data += raw + bytes(-len(raw) % 32)
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys) + 3)
    head += _text("general.architecture") + struct.pack("<I", 8) + _text("qwen3moe")
    head += _text("general.file_type") + struct.pack("<II", 4, 32)
    head += b"".join(_text(f"qwen3moe.{key}") + struct.pack("<II", 4, value) for key, value in keys.items())
    head += _text("qwen3moe.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-6)
    head += infos
    path = directory / f"{MOE}.gguf"
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()
