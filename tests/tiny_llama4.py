"""A tiny Llama 4 as Meta releases it, in any number of shards, with or without what it sees with.

    folder = build(directory, shards=2)

Its layers are of every kind: experts and dense ones (whose gate and up lie in one matrix or in two), with
rotations and without. The same bytes on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny_models import values
from tests.tiny_originals import Matrix, saved

DIM, HEADS, KV, EXPERTS, HIDDEN, DENSE, TOKENS, LAYERS = 64, 8, 4, 4, 128, 224, 512, 4
EYES, EYES_HIDDEN, SEEN = 32, 128, 48
PARAMS: dict[str, Any] = {
    "dim": DIM, "n_layers": LAYERS, "n_heads": HEADS, "n_kv_heads": KV, "vocab_size": TOKENS,
    "multiple_of": 32, "ffn_dim_multiplier": 1.2, "ffn_exp": 4.0, "norm_eps": 1e-5, "attention_chunk_size": 8,
    "rope_theta": 500000.0, "use_scaled_rope": True, "rope_scaling_factor": 16.0,
    "rope_high_freq_factor": 1.0,
    "nope_layer_interval": 4, "use_qk_norm": True, "attn_temperature_tuning": True, "floor_scale": 8,
    "attn_scale": 0.1,
    "moe_args": {
        "num_experts": EXPERTS, "capacity_factor": 1.0, "auto_scale_F": True, "top_k": 1,
        "interleave_moe_layer_step": 2,
    },
}  # fmt: skip
VISION: dict[str, Any] = {
    "image_size": {"height": 28, "width": 28}, "patch_size": {"height": 14, "width": 14}, "dim": EYES,
    "n_layers": 1, "n_heads": 4, "mlp_ratio": 4.0, "output_dim": SEEN, "pixel_shuffle_ratio": 0.5,
}  # fmt: skip

# Each shard's part of a tensor.
Parts = list[Matrix]


def build(directory: Path, shards: int = 2, *, sees: bool = False, name: str = "Llama-4-tiny") -> Path:
    """Write the folder into `directory` and return its path."""
    folder = directory / name
    folder.mkdir(parents=True)
    params = {**PARAMS, **({"vision_args": VISION} if sees else {})}
    (folder / "params.json").write_text(json.dumps(params))
    tensors = dict(_tensors(shards))
    if sees:
        tensors |= dict(_eyes(shards))
    for shard in range(shards):
        parts = {name: parts[shard] for name, parts in tensors.items()}
        (folder / f"consolidated.{shard:02d}.pth").write_bytes(saved(parts, "F32"))
    return folder


def made(name: str, *shape: int) -> Matrix:
    """The values of a whole tensor; larger than those of other tiny models, so that all of them matter."""
    return values("llama4", name, shape) * (1 if name.endswith("norm.weight") else 4)


def _tensors(shards: int) -> Iterator[tuple[str, Parts]]:
    def rows(matrix: Matrix) -> Parts:
        return np.split(matrix, shards, axis=0)

    def columns(matrix: Matrix) -> Parts:
        return np.split(matrix, shards, axis=-1)

    yield "tok_embeddings.weight", rows(made("tok_embeddings", TOKENS, DIM))
    yield "output.weight", rows(made("output", TOKENS, DIM))
    yield "norm.weight", [made("norm.weight", DIM)] * shards
    yield "rope.freqs", [np.arange(4, dtype=np.float32)] * shards
    for layer in range(LAYERS):
        before = f"layers.{layer}."
        projections = [rows(made(f"{before}{kind}", size, DIM)) for kind, size in _SIZES]
        yield (
            f"{before}attention.wqkv.weight",
            [np.concatenate(each) for each in zip(*projections, strict=True)],
        )
        yield f"{before}attention.wqkv.layer_norm_weight", [made(f"{before}1.norm.weight", DIM)] * shards
        yield f"{before}attention.wo.weight", columns(made(f"{before}wo", DIM, DIM))
        inner, second = f"{before}feed_forward.", made(f"{before}2.norm.weight", DIM)
        if layer % 2:
            yield f"{inner}norm.weight", [second] * shards
            yield f"{inner}router_DE", [made(f"{inner}router", DIM, EXPERTS)] * shards
            for kind in ("moe_w_in_eD_F", "moe_w_swiglu_eD_F"):
                whole = made(f"{inner}{kind}", EXPERTS, DIM, HIDDEN)
                yield f"{inner}experts.{kind}", [part.reshape(EXPERTS * DIM, -1) for part in columns(whole)]
            whole = made(f"{inner}moe_w_out_eF_D", EXPERTS, HIDDEN, DIM)
            parts = np.split(whole, shards, axis=1)
            yield f"{inner}experts.moe_w_out_eF_D", [part.reshape(-1, DIM) for part in parts]
            yield f"{inner}w_in_shared_FD.weight", rows(made(f"{inner}shared1", HIDDEN, DIM))
            yield f"{inner}w_swiglu_FD.weight", rows(made(f"{inner}shared3", HIDDEN, DIM))
            yield f"{inner}w_out_shared_DF.weight", columns(made(f"{inner}shared2", DIM, HIDDEN))
        else:
            pair = [rows(made(f"{inner}{kind}", DENSE, DIM)) for kind in ("w1", "w3")]
            down = columns(made(f"{inner}w2", DIM, DENSE))
            if layer:
                yield f"{inner}mlp.fc1_weight", [np.concatenate(each) for each in zip(*pair, strict=True)]
                yield f"{inner}mlp.fc2_weight", down
                yield f"{inner}mlp.layer_norm_weight", [second] * shards
            else:
                yield f"{inner}w1.weight", pair[0]
                yield f"{inner}w3.weight", pair[1]
                yield f"{inner}w2.weight", down
                yield f"{before}ffn_norm.weight", [second] * shards


_SIZES = (("wq", DIM), ("wk", DIM // HEADS * KV), ("wv", DIM // HEADS * KV))


def _eyes(shards: int) -> Iterator[tuple[str, Parts]]:
    """What it sees with. The axis along which shards divide a tensor is named; None: they do not."""
    eye, layer = "vision_embeddings.vision_encoder.", "transformer.resblocks.0."
    shapes: dict[str, tuple[int | None, tuple[int, ...]]] = {
        f"{eye}conv1._linear.weight": (0, (EYES, 588)),
        f"{eye}class_embedding": (None, (EYES,)),
        f"{eye}positional_embedding_vlm": (None, (5, EYES)),
        "vision_embeddings.vision_adapter.mlp.c_fc.weight": (0, (SEEN, EYES_HIDDEN)),
        "vision_embeddings.vision_adapter.mlp.c_proj.weight": (1, (SEEN, SEEN)),
        "vision_projection.weight": (0, (DIM, SEEN)),
        **{f"{eye}{layer}attn.{kind}.weight": (0, (EYES, EYES)) for kind in ("wq", "wk", "wv")},
        **{f"{eye}{layer}attn.{kind}.bias": (0, (EYES,)) for kind in ("wq", "wk", "wv")},
        f"{eye}{layer}attn.wo.weight": (1, (EYES, EYES)),
        f"{eye}{layer}attn.wo.bias": (None, (EYES,)),
        f"{eye}{layer}mlp.c_fc.weight": (0, (EYES_HIDDEN, EYES)),
        f"{eye}{layer}mlp.c_fc.bias": (0, (EYES_HIDDEN,)),
        f"{eye}{layer}mlp.c_proj.weight": (1, (EYES, EYES_HIDDEN)),
        f"{eye}{layer}mlp.c_proj.bias": (None, (EYES,)),
        **{
            f"{eye}{place}.{end}": (None, (EYES,))
            for place in ("ln_pre", "ln_post", f"{layer}ln_1", f"{layer}ln_2")
            for end in ("weight", "bias")
        },
    }
    for name, (axis, shape) in shapes.items():
        whole = made(name, *shape)
        yield name, [whole] * shards if axis is None else np.split(whole, shards, axis=axis)
