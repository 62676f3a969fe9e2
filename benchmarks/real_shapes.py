"""Checkpoints in the real shapes of published models, without their weights: sparse files and real headers.

    folder = build(LLAMA_70B, Path("models"))  # 723 tensors in 30 shards, 141 GB: a few MB are there

Configurations, names, shapes, types and numbers of shards are the published models'; which shard holds what
follows from the sizes, as their publishers' tools have it. Vocabularies are real ones, out of packages of an
index. Knows nothing of what is measured.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from tests.heavy.tokenizers.folders import REALS

_SIZES = {"BF16": 2, "F32": 4, "F8_E4M3": 1}
_BLOCK = 128  # of DeepSeek's FP8, in both directions

Stored = tuple[str, str, tuple[int, ...]]


@dataclass(frozen=True)
class Shape:
    """A published model: its directory's name, whose vocabulary it gets, how many shards it has."""

    name: str
    vocabulary: str
    shards: int
    tensors: int
    config: dict[str, Any]

    def stored(self) -> Iterator[Stored]:
        """Every tensor: name, type and shape, in the order of the shards."""
        of = _deepseek if self.config["model_type"] == "deepseek_v3" else _llama
        return of(self.config)


LLAMA_70B = Shape(
    "Meta-Llama-3-70B-Instruct", "Llama 3", 30, 723,
    {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 128000, "eos_token_id": 128009,
        "hidden_size": 8192, "initializer_range": 0.02, "intermediate_size": 28672,
        "max_position_embeddings": 8192, "num_attention_heads": 64, "num_hidden_layers": 80,
        "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": None,
        "rope_theta": 500000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "use_cache": True,
        "vocab_size": 128256,
    },
)  # fmt: skip

DEEPSEEK_V3 = Shape(
    "DeepSeek-V3", "DeepSeek V4", 163, 91_991,
    {
        "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "hidden_act": "silu",
        "attention_bias": False, "attention_dropout": 0.0, "aux_loss_alpha": 0.001, "bos_token_id": 0,
        "eos_token_id": 1, "ep_size": 1, "first_k_dense_replace": 3, "hidden_size": 7168,
        "initializer_range": 0.02, "intermediate_size": 18432, "kv_lora_rank": 512,
        "max_position_embeddings": 163840, "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_group": 8,
        "n_routed_experts": 256, "n_shared_experts": 1, "norm_topk_prob": True, "num_attention_heads": 128,
        "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128,
        "num_nextn_predict_layers": 1, "pretraining_tp": 1, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06, "rope_theta": 10000, "routed_scaling_factor": 2.5,
        "rope_scaling": {
            "beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0,
            "original_max_position_embeddings": 4096, "type": "yarn",
        },
        "quantization_config": {
            "activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
            "weight_block_size": [_BLOCK, _BLOCK],
        },
        "scoring_func": "sigmoid", "seq_aux": True, "tie_word_embeddings": False, "topk_group": 4,
        "topk_method": "noaux_tc", "torch_dtype": "bfloat16", "use_cache": True, "v_head_dim": 128,
        "vocab_size": 129280,
    },
)  # fmt: skip


def build(shape: Shape, models: Path) -> Path:
    """The folder `models`/name. Raises CalledProcessError where the vocabulary's package cannot be had."""
    folder = REALS[shape.vocabulary].write(models / shape.name)
    (folder / "config.json").write_text(json.dumps(shape.config, indent=2) + "\n")
    tensors = list(shape.stored())
    if len(tensors) != shape.tensors:
        raise AssertionError(f"{shape.name} has {shape.tensors:,} tensors, not {len(tensors):,}")
    total = sum(map(_nbytes, tensors))
    weight_map: dict[str, str] = {}
    parts: list[list[Stored]] = [[] for _ in range(shape.shards)]
    passed = 0
    for tensor in tensors:
        parts[passed * shape.shards // total].append(tensor)
        passed += _nbytes(tensor)
    for number, part in enumerate(parts, 1):
        name = f"model-{number:05d}-of-{shape.shards:05d}.safetensors"
        _write(folder / name, part)
        weight_map |= {tensor: name for tensor, _, _ in part}
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    return folder


def _nbytes(tensor: Stored) -> int:
    _, dtype, shape = tensor
    return _SIZES[dtype] * prod(shape)


def _write(path: Path, tensors: list[Stored]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, dtype, shape in tensors:
        end = offset + _nbytes((name, dtype, shape))
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(file.tell() + offset)


def _llama(config: dict[str, Any]) -> Iterator[Stored]:
    hidden, wide, words = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    values = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    matrices = {
        "self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (values, hidden),
        "self_attn.v_proj": (values, hidden), "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (wide, hidden), "mlp.up_proj": (wide, hidden), "mlp.down_proj": (hidden, wide),
        "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,),
    }  # fmt: skip
    yield "model.embed_tokens.weight", "BF16", (words, hidden)
    for layer in range(config["num_hidden_layers"]):
        for name, shape in matrices.items():
            yield f"model.layers.{layer}.{name}.weight", "BF16", shape
    yield "model.norm.weight", "BF16", (hidden,)
    yield "lm_head.weight", "BF16", (words, hidden)


def _deepseek(config: dict[str, Any]) -> Iterator[Stored]:
    hidden, words, layers = config["hidden_size"], config["vocab_size"], config["num_hidden_layers"]
    yield "model.embed_tokens.weight", "BF16", (words, hidden)
    for layer in range(layers + config["num_nextn_predict_layers"]):
        base = f"model.layers.{layer}."
        yield from _latent_attention(config, base)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{base}{name}.weight", "BF16", (hidden,)
        if layer < config["first_k_dense_replace"]:
            yield from _network(f"{base}mlp.", hidden, config["intermediate_size"])
        else:
            yield from _experts(config, f"{base}mlp.")
        if layer >= layers:
            yield f"{base}embed_tokens.weight", "BF16", (words, hidden)
            yield f"{base}eh_proj.weight", "BF16", (hidden, 2 * hidden)
            for name in ("enorm", "hnorm", "shared_head.norm"):
                yield f"{base}{name}.weight", "BF16", (hidden,)
            yield f"{base}shared_head.head.weight", "BF16", (words, hidden)
    yield "model.norm.weight", "BF16", (hidden,)
    yield "lm_head.weight", "BF16", (words, hidden)


def _latent_attention(config: dict[str, Any], base: str) -> Iterator[Stored]:
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    query, rank = config["q_lora_rank"], config["kv_lora_rank"]
    nope, rotated, value = (config[key] for key in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
    for name, shape in (
        ("q_a_proj", (query, hidden)), ("q_b_proj", (heads * (nope + rotated), query)),
        ("kv_a_proj_with_mqa", (rank + rotated, hidden)), ("kv_b_proj", (heads * (nope + value), rank)),
        ("o_proj", (hidden, heads * value)),
    ):  # fmt: skip
        yield from _scaled(f"{base}self_attn.{name}.weight", shape)
    yield f"{base}self_attn.q_a_layernorm.weight", "BF16", (query,)
    yield f"{base}self_attn.kv_a_layernorm.weight", "BF16", (rank,)


def _experts(config: dict[str, Any], base: str) -> Iterator[Stored]:
    hidden, wide, count = (
        config[key] for key in ("hidden_size", "moe_intermediate_size", "n_routed_experts")
    )
    yield f"{base}gate.weight", "BF16", (count, hidden)
    yield f"{base}gate.e_score_correction_bias", "F32", (count,)
    yield from _network(f"{base}shared_experts.", hidden, wide * config["n_shared_experts"])
    for expert in range(count):
        yield from _network(f"{base}experts.{expert}.", hidden, wide)


def _network(base: str, hidden: int, wide: int) -> Iterator[Stored]:
    yield from _scaled(f"{base}gate_proj.weight", (wide, hidden))
    yield from _scaled(f"{base}up_proj.weight", (wide, hidden))
    yield from _scaled(f"{base}down_proj.weight", (hidden, wide))


def _scaled(name: str, shape: tuple[int, int]) -> Iterator[Stored]:
    rows, columns = (-(-size // _BLOCK) for size in shape)
    yield name, "F8_E4M3", shape
    yield f"{name}_scale_inv", "F32", (rows, columns)
