"""Tiny models in Mistral's own form: params.json, consolidated*.safetensors, and a tokenizer of Mistral's.

    folder = build(NATIVES["Mistral-7B-v0.3-native"], directory)

The same bytes on every machine, as those of `tests.tiny_models`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.tiny_models import TinyModel, write_safetensors
from tests.tiny_tokenizers import SIZE, sentencepiece
from tests.translators.golden_vocab.kinds import SPECIAL, tekken

DIM, HEADS, KV, HEAD, HIDDEN, LAYERS = 64, 4, 2, 32, 128, 2
TOKENS = tekken("v7", SPECIAL)["config"]["default_vocab_size"]

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Native:
    """A model to be built. shards: how many files; eyes: what it sees with."""

    name: str
    params: Mapping[str, Any]
    files: Mapping[str, str | bytes]
    shards: int = 1
    tied: bool = False
    eyes: Mapping[str, Any] = field(default_factory=dict)


def _params(tokens: int, **others: Any) -> dict[str, Any]:
    return {
        "dim": DIM, "n_layers": LAYERS, "head_dim": HEAD, "hidden_dim": HIDDEN, "n_heads": HEADS,
        "n_kv_heads": KV, "norm_eps": 1e-5, "vocab_size": tokens, "rope_theta": 1000000.0, **others,
    }  # fmt: skip


def _tekken(version: str, **files: str) -> dict[str, str | bytes]:
    return {"tekken.json": json.dumps(tekken(version, SPECIAL)), **files}


EYES: dict[str, Any] = {
    "hidden_size": 32, "num_channels": 3, "max_image_size": 56, "image_size": 56, "patch_size": 14,
    "rope_theta": 10000.0, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_token_id": 21, "image_break_token_id": 22, "image_end_token_id": 23, "adapter_bias": True,
}  # fmt: skip
MERGING = {
    **EYES, "mm_projector_id": "patch_merge", "spatial_merge_size": 2,
    "add_pre_mm_projector_layer_norm": True, "adapter_bias": False,
}  # fmt: skip
_YARN = {
    "original_max_position_embeddings": 16384, "factor": 16.0, "apply_scale": False, "beta": 32.0,
    "alpha": 1.0,
}  # fmt: skip

NATIVES = {
    each.name: each
    for each in (
        Native("Mistral-7B-v0.3-native", _params(SIZE), {"tokenizer.model.v3": sentencepiece()}),
        Native(
            "Mistral-Nemo-2407-native", _params(TOKENS, max_position_embeddings=131072),
            _tekken("v3"), shards=2,
        ),
        Native(
            "Mistral-Small-24B-2501-native", _params(TOKENS, rope_theta=1e8, max_position_embeddings=32768),
            _tekken("v7"),
        ),
        Native(
            "Ministral-3-3B-2512-native",
            _params(
                TOKENS, max_position_embeddings=262144, yarn=_YARN, tied_embeddings=True,
                llama_4_scaling={"original_max_position_embeddings": 16384, "beta": 0.1},
            ),
            _tekken("v13", **{"chat_template.jinja": "{{ messages }}"}), tied=True,
        ),
        Native(
            "Pixtral-12B-2409-native",
            _params(TOKENS, max_position_embeddings=131072, vision_encoder=EYES), _tekken("v3"), eyes=EYES,
        ),
        Native(
            "Mistral-Small-3.1-24B-2503-native",
            _params(TOKENS, max_position_embeddings=131072, vision_encoder=MERGING),
            _tekken("v7"), eyes=MERGING,
        ),
    )
}  # fmt: skip


def build(native: Native, directory: Path) -> Path:
    """Write the model's folder into `directory` and return its path."""
    folder = directory / native.name
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(native.params, indent=4))
    for name, content in native.files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    shapes = dict(shapes_of(native))
    writer = TinyModel(native.name, {})
    names = list(shapes)
    for number in range(native.shards):
        own = [name for at, name in enumerate(names) if at * native.shards // len(names) == number]
        many = f"consolidated-{number + 1:05d}-of-{native.shards:05d}.safetensors"
        file = folder / (many if native.shards > 1 else "consolidated.safetensors")
        write_safetensors(file, writer, {name: ("BF16", shapes[name]) for name in own})
    return folder


def shapes_of(native: Native) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor."""
    tokens = native.params["vocab_size"]
    yield "tok_embeddings.weight", (tokens, DIM)
    for layer in range(LAYERS):
        yield from _block(f"layers.{layer}.", DIM, HEADS * HEAD, KV * HEAD, HIDDEN)
    yield "norm.weight", (DIM,)
    if not native.tied:
        yield "output.weight", (tokens, DIM)
    if native.eyes:
        yield from _eyes(native.eyes)


def _block(
    before: str, width: int, queries: int, keys: int, hidden: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{before}attention_norm.weight", (width,)
    yield f"{before}ffn_norm.weight", (width,)
    for name, shape in (
        ("attention.wq", (queries, width)), ("attention.wk", (keys, width)), ("attention.wv", (keys, width)),
        ("attention.wo", (width, queries)), ("feed_forward.w1", (hidden, width)),
        ("feed_forward.w2", (width, hidden)), ("feed_forward.w3", (hidden, width)),
    ):  # fmt: skip
        yield f"{before}{name}.weight", shape


def _eyes(eyes: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, patch = eyes["hidden_size"], eyes["patch_size"]
    yield "vision_encoder.patch_conv.weight", (width, 3, patch, patch)
    yield "vision_encoder.ln_pre.weight", (width,)
    for layer in range(eyes["num_hidden_layers"]):
        before = f"vision_encoder.transformer.layers.{layer}."
        yield from _block(before, width, width, width, eyes["intermediate_size"])
    for name, shape in (("w_in", (DIM, width)), ("w_out", (DIM, DIM))):
        yield f"vision_language_adapter.{name}.weight", shape
        if eyes["adapter_bias"]:
            yield f"vision_language_adapter.{name}.bias", (DIM,)
    if "spatial_merge_size" in eyes:
        yield "patch_merger.merging_layer.weight", (width, width * eyes["spatial_merge_size"] ** 2)
        yield "pre_mm_projector_norm.weight", (width,)
