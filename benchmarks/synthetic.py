"""Models of any size: a Llama-shaped Hugging Face folder of bf16 weights in shards, with a tiny tokenizer.

    folder = build(Path("models"), 1 << 30)               # normal weights, other ones each time it is called
    folder = build(Path("models"), 20 << 30, zeros=True)  # every weight is zero, and takes no disk

The shapes are those of a Llama whose depth follows from the size. Knows nothing of what is measured.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.tiny_models import shapes, stored
from tests.tiny_variants import MODELS

_PATTERN = MODELS["Tiny-Llama-3-8B-Instruct-v0.2"]
_WIDTH = 2
_PIECE = 1 << 24  # elements written at once


def build(models: Path, size: int, *, shards: int = 3, zeros: bool = False) -> Path:
    """A folder in `models` with about `size` bytes of weights (at least 100 MB, never below `size`)."""
    config = _config(size)
    folder = models / f"Synthetic-{size >> 20}M"
    fill(folder, config, _PATTERN.files, shards=shards, zeros=zeros)
    return folder


def fill(
    folder: Path,
    config: Mapping[str, Any],
    files: Mapping[str, str | bytes],
    *,
    shards: int,
    zeros: bool = False,
) -> None:
    """Write a model of that configuration: random weights in shards, and `files` beside them."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    tensors = shapes(config)
    weight_map: dict[str, str] = {}
    for number in range(shards):
        part = tensors[len(tensors) * number // shards : len(tensors) * (number + 1) // shards]
        name = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        _write(folder / name, dict(part), zeros)
        weight_map |= {tensor: name for tensor, _ in part}
    index = {"metadata": {"total_size": _bytes(config)}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index) + "\n")


def _config(size: int) -> dict[str, Any]:
    """The shallowest model of `size` bytes or more; wider where there are gigabytes."""
    wide = size >= 8 << 30
    hidden, ffn, heads = (4096, 14336, 32) if wide else (2048, 5632, 16)
    shape = {"hidden_size": hidden, "intermediate_size": ffn, "num_attention_heads": heads}
    config = {**_PATTERN.config, **shape, "num_key_value_heads": heads // 4, "num_hidden_layers": 1}
    while _bytes(config) < size:
        config["num_hidden_layers"] += 1
    return config


def _bytes(config: Mapping[str, Any]) -> int:
    return sum(_WIDTH * prod(shape) for _, shape in shapes(config))


def _write(path: Path, tensors: dict[str, tuple[int, ...]], zeros: bool) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in sorted(tensors):
        end = offset + _WIDTH * prod(tensors[name])
        header[name] = {"dtype": "BF16", "shape": list(tensors[name]), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        if zeros:
            file.truncate(file.tell() + offset)
            return
        random = np.random.Generator(np.random.SFC64())
        for start in range(0, offset // _WIDTH, _PIECE):
            count = min(_PIECE, offset // _WIDTH - start)
            file.write(_NORMAL[random.integers(0, 1 << 16, count, np.uint16)].tobytes())


def _normal() -> npt.NDArray[np.uint16]:
    """The 65,536 quantiles of a normal distribution of deviation 0.02, as bf16."""
    inverse = NormalDist(0, 0.02).inv_cdf
    values = np.array([inverse((code + 0.5) / 65536) for code in range(65536)], np.float32)
    return np.frombuffer(stored(values, "BF16"), np.uint16)


_NORMAL = _normal()
