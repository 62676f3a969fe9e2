"""Tiny models: Hugging Face folders of a few megabytes, the same bytes on every machine.

    folder = build(MODELS["Tiny-Llama-3-8B-Instruct-v0.2"], directory)    # MODELS is in tests.tiny_variants

A model is described by data (its configuration and its side files); its weights follow from its name.
Only NumPy is used, and of it only what never changes: PCG64's raw stream and integer arithmetic. Upstream's
tools made the digests in tests/oracle/golden from these folders, so nothing here may change without
`make oracle`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# Types of llama-quantize by the names of virtual files: every common one, and others that need no
# importance matrix. A few models have the rare types too: slow ones, and those that upstream may refuse.
TYPES = (
    "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k_s", "q3_k_m", "q3_k_l",
    "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m", "q6_k", "iq4_nl", "iq4_xs", "tq1_0", "tq2_0", "mxfp4_moe",
)  # fmt: skip
RARE_TYPES = ("iq3_s", "iq3_m", "iq3_xs", "iq3_xxs", "q2_k_s", "iq2_s", "q2_0", "q1_0")

_WIDTH = {"F32": 4, "F16": 2, "BF16": 2, "U8": 1}


@dataclass(frozen=True)
class TinyModel:
    """A Hugging Face folder to be built.

    name:      of the directory: upstream derives `general.*` from it.
    config:    config.json.
    dtype:     of tensors of two or more dimensions; `dtypes` overrides it by the end of a name.
    vectors:   dtype of norms and biases; that of the matrices where empty.
    shards:    how many safetensors files.
    index:     whether shards have a model.safetensors.index.json.
    files:     side files by their path in the folder.
    shuffled:  tensors lie in checkpoint order rather than in that of the safetensors library.
    types:     the GGUF types that golden digests exist for.
    """

    name: str
    config: Mapping[str, Any]
    dtype: str = "BF16"
    dtypes: Mapping[str, str] = field(default_factory=dict)
    vectors: str = ""
    shards: int = 1
    index: bool = True
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    shuffled: bool = False
    metadata: Mapping[str, str] | None = field(default_factory=lambda: {"format": "pt"})
    types: tuple[str, ...] = TYPES

    @property
    def own(self) -> str:
        """The GGUF type of the source's own precision: the first matrix in upstream's order decides."""
        first = min(name for name, shape in shapes(self.config) if len(shape) > 1 and self._shard(name) == 0)
        return self.dtype_of(first, 2).lower()

    def dtype_of(self, name: str, dimensions: int) -> str:
        """The dtype that a tensor is stored in."""
        if dimensions == 1:
            return self.vectors or self.dtype
        return next((dtype for end, dtype in self.dtypes.items() if name.endswith(end)), self.dtype)

    def _shard(self, name: str) -> int:
        names = [each for each, _ in shapes(self.config)]
        return names.index(name) * self.shards // len(names)


def build(model: TinyModel, directory: Path) -> Path:
    """Write the model's folder into `directory` and return its path."""
    folder = directory / model.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(model.config, indent=2) + "\n")
    for path, content in model.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    shards: list[dict[str, tuple[str, tuple[int, ...]]]] = [{} for _ in range(model.shards)]
    for name, shape in shapes(model.config):
        shards[model._shard(name)][name] = (model.dtype_of(name, len(shape)), shape)
    weight_map = {}
    for number, tensors in enumerate(shards, 1):
        many = f"model-{number:05d}-of-{model.shards:05d}.safetensors"
        file = many if model.shards > 1 else "model.safetensors"
        write_safetensors(folder / file, model, tensors)
        weight_map.update(dict.fromkeys(tensors, file))
    if model.shards > 1 and model.index:
        total = sum(_WIDTH[dtype] * prod(shape) for shard in shards for dtype, shape in shard.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    return folder


def fingerprint(folder: Path) -> str:
    """A digest of a folder's files and their names: whether it is still what the goldens were made from."""
    digest = sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def shapes(config: Mapping[str, Any]) -> list[tuple[str, tuple[int, ...]]]:
    """Every tensor of a checkpoint of the Llama, Mistral, Qwen2 or Qwen3 family, in checkpoint order."""
    prefix = "" if config["architectures"][0].endswith("Model") else "model."
    hidden, vocab = config["hidden_size"], config["vocab_size"]
    tensors: list[tuple[str, tuple[int, ...]]] = [(f"{prefix}embed_tokens.weight", (vocab, hidden))]
    for layer in range(config["num_hidden_layers"]):
        tensors += [(f"{prefix}layers.{layer}.{name}", shape) for name, shape in _layer(config)]
    tensors.append((f"{prefix}norm.weight", (hidden,)))
    if prefix and not config.get("tie_word_embeddings", False):
        tensors.append(("lm_head.weight", (vocab, hidden)))
    return tensors


def _layer(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    kind = config["model_type"]
    hidden, ffn, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    head = config.get("head_dim") or hidden // heads
    q, kv = heads * head, config.get("num_key_value_heads", heads) * head
    yield "input_layernorm.weight", (hidden,)
    biased = kind == "qwen2" or config.get("attention_bias", False)
    for name, rows, columns in (("q", q, hidden), ("k", kv, hidden), ("v", kv, hidden), ("o", hidden, q)):
        yield f"self_attn.{name}_proj.weight", (rows, columns)
        if biased and (name != "o" or kind != "qwen2"):
            yield f"self_attn.{name}_proj.bias", (rows,)
    if kind == "qwen3":
        yield "self_attn.q_norm.weight", (head,)
        yield "self_attn.k_norm.weight", (head,)
    yield "post_attention_layernorm.weight", (hidden,)
    for name, rows, columns in (("gate", ffn, hidden), ("up", ffn, hidden), ("down", hidden, ffn)):
        yield f"mlp.{name}_proj.weight", (rows, columns)
        if config.get("mlp_bias", False):
            yield f"mlp.{name}_proj.bias", (rows,)


def values(model: str, tensor: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """The weights of a tensor: near normal with deviation 0.02 and some outliers; norms near 1.

    The sum of four 16-bit integers, scaled: exact, hence equal everywhere.
    """
    seed = int.from_bytes(sha256(f"{model}/{tensor}".encode()).digest()[:8], "little")
    raw = np.random.PCG64(seed).random_raw(prod(shape))
    words = raw.astype("<u8").view("<u2").reshape(-1, 4).astype(np.int64)
    centred = words.sum(axis=1) - 2 * 65535  # deviation: 2 / sqrt(12) * 65536 = 37837
    numbers: npt.NDArray[np.float32] = (centred * np.float64(0.02 / 37837)).astype(np.float32)
    numbers[(raw >> np.uint64(20)) % np.uint64(997) == 0] *= np.float32(9)
    numbers[(raw >> np.uint64(17)) % np.uint64(2003) == 0] = 0
    if tensor.endswith("norm.weight"):
        numbers += np.float32(1)
    return numbers.reshape(shape)


def stored(numbers: npt.NDArray[np.float32], dtype: str) -> bytes:
    """The numbers in a stored dtype, rounded to nearest even."""
    if dtype == "F32":
        return numbers.astype("<f4").tobytes()
    if dtype == "F16":
        return numbers.astype("<f2").tobytes()
    bits = numbers.astype("<f4").view("<u4").astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)
    return rounded.astype("<u2").tobytes()


def quantised(numbers: npt.NDArray[np.float32], name: str) -> bytes:
    """Bytes that follow from the numbers, as codes, or as exponents of scales about 2 ** -8 by the name."""
    mixed = (numbers.view("<u4") * np.uint32(2654435761) >> np.uint32(24)).astype(np.uint8)
    return (mixed % 16 + 112 if name.endswith("_scales") else mixed).tobytes()


def write_safetensors(path: Path, model: TinyModel, tensors: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    """The format is a length (u64), a JSON header padded with spaces to 8, and the tensors' bytes."""
    names = list(tensors)
    if not model.shuffled:  # the library sorts by alignment, widest first, then by name
        names.sort(key=lambda name: (-_WIDTH[tensors[name][0]], name))
    header: dict[str, Any] = {"__metadata__": dict(model.metadata)} if model.metadata else {}
    offset = 0
    for name in names:
        dtype, shape = tensors[name]
        end = offset + _WIDTH[dtype] * prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            dtype, shape = tensors[name]
            numbers = values(model.name, name, shape)
            file.write(quantised(numbers, name) if dtype == "U8" else stored(numbers, dtype))
