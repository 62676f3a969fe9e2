"""Attention by latent vectors, and mixtures with shared experts: what DeepSeek and its kin have in common.

Keys and values are made of one latent vector by `kv_b_proj`. llama.cpp absorbs that matrix into the
attention: its rows are divided, head by head, into those of keys, which are transposed, and those of values;
so there is one key-value head, as wide as the latent vector and the rotated part together.
A layer behind num_hidden_layers predicts further tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.families.hparams import write_hparams
from translators.families.llama import ATTENTION_NORMS, EMBEDDINGS, FEED_FORWARD, experts, optional
from translators.families.parameters import Key, Parameters
from translators.families.table import Rule, Stack
from translators.families.transforms import Custom, Place, head_count
from translators.recipes import Recipe, concat, reshape, split, transpose2d

NEXT = "num_nextn_predict_layers"


def _absorbed(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    """Keys [heads, rank, nope] and values [heads, v, rank] of rows [heads * (nope + v), rank]."""
    heads, keys, values = _parts(at)
    if len(of.shape) != 2 or of.shape[0] != heads * (keys + values):
        raise at.misfit(f"{of.shape[0]} rows are not those of {heads} heads")
    key, value = split(reshape(of, (heads, keys + values, of.shape[1])), 1, keys, values)
    return transpose2d(key), value


def _rejoined(parts: tuple[Recipe, ...], at: Place) -> Recipe:
    """The inverse of `_absorbed`."""
    key, value = parts
    whole = concat((transpose2d(key), value), 1)
    return reshape(whole, (-1, whole.shape[-1]))


def _parts(at: Place) -> tuple[int, int, int]:
    return head_count(at, "num_key_value_heads"), at.count("qk_nope_head_dim"), at.count("v_head_dim")


def routed(module: str = "model.layers.{}.mlp.experts") -> Stack:
    """The experts of a layer, as many as n_routed_experts."""
    return Stack(experts(module).parts, ("n_routed_experts",))


SHARED_EXPERTS = optional(
    Rule("model.layers.{}.mlp.gate", "blk.{}.ffn_gate_inp"),
    Rule("model.layers.{}.mlp.gate.e_score_correction", "blk.{}.exp_probs_b"),
    Rule("model.layers.{}.mlp.shared_experts.gate_proj", "blk.{}.ffn_gate_shexp"),
    Rule("model.layers.{}.mlp.shared_experts.up_proj", "blk.{}.ffn_up_shexp"),
    Rule("model.layers.{}.mlp.shared_experts.down_proj", "blk.{}.ffn_down_shexp"),
)
# The first layers have one dense network, the others experts.
MIXTURE: tuple[Rule | Stack, ...] = (*optional(*FEED_FORWARD), *SHARED_EXPERTS, routed())
NEXT_TOKENS = optional(
    Rule("model.layers.{}.eh_proj", "blk.{}.nextn.eh_proj"),
    Rule("model.layers.{}.embed_tokens", "blk.{}.nextn.embed_tokens"),
    Rule("model.layers.{}.enorm", "blk.{}.nextn.enorm"),
    Rule("model.layers.{}.hnorm", "blk.{}.nextn.hnorm"),
    Rule("model.layers.{}.shared_head.head", "blk.{}.nextn.shared_head_head"),
    Rule("model.layers.{}.shared_head.norm", "blk.{}.nextn.shared_head_norm"),
)
_ATTENTION = (
    *optional(
        Rule("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"),
        Rule("model.layers.{}.self_attn.q_a_proj", "blk.{}.attn_q_a"),
        Rule("model.layers.{}.self_attn.q_a_layernorm", "blk.{}.attn_q_a_norm"),
        Rule("model.layers.{}.self_attn.q_b_proj", "blk.{}.attn_q_b"),
    ),
    Rule("model.layers.{}.self_attn.kv_a_proj_with_mqa", "blk.{}.attn_kv_a_mqa"),
    Rule("model.layers.{}.self_attn.kv_a_layernorm", "blk.{}.attn_kv_a_norm"),
    Rule(
        "model.layers.{}.self_attn.kv_b_proj",
        ("blk.{}.attn_k_b", "blk.{}.attn_v_b"),
        Custom(_absorbed, _rejoined),
    ),
    Rule("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
)
LATENT: tuple[Rule | Stack, ...] = (*EMBEDDINGS, *ATTENTION_NORMS, *_ATTENTION, *MIXTURE)


def with_next(config: Mapping[str, Any]) -> int:
    """The number of layers with those that predict further tokens."""
    place = Place(config)
    return place.count("num_hidden_layers") + (place.count(NEXT) if config.get(NEXT) else 0)


def _common(write: Parameters) -> None:
    """What all models have in common, for the one key-value head that is left."""
    config = {"rms_norm_eps": 1e-6, **write.config, "num_key_value_heads": 1}
    write_hparams(write.kv, write.source.arch, config, write.source.file_type.number, write.blocks)


def _dense_layers(write: Parameters) -> None:
    layers = write.value("first_k_dense_replace")
    if layers is None:
        layers = 0 if write.value("n_routed_experts") is not None else write.required("num_hidden_layers")
    write.u32("leading_dense_block_count", layers, "first_k_dense_replace")


def _lengths(write: Parameters) -> None:
    """The latent vector's size, and the heads' before and after the matrix was absorbed."""
    if write.value("q_lora_rank") is not None:
        write.u32("attention.q_lora_rank", write.value("q_lora_rank"), "q_lora_rank")
    rank = write.integer("kv_lora_rank") if "kv_lora_rank" in write.config else 512
    rotated = write.integer("qk_rope_head_dim")
    write.u32("attention.kv_lora_rank", rank, "kv_lora_rank")
    write.u32("attention.key_length", rank + rotated, "qk_rope_head_dim")
    write.u32("attention.value_length", rank, "kv_lora_rank")
    write.u32("attention.key_length_mla", write.integer("qk_nope_head_dim") + rotated, "qk_nope_head_dim")
    write.u32("attention.value_length_mla", write.integer("v_head_dim"), "v_head_dim")


def _experts(write: Parameters) -> None:
    write.u32(
        "expert_feed_forward_length", write.required("moe_intermediate_size", "intermediate_size"),
        "moe_intermediate_size",
    )  # fmt: skip
    if write.value("n_routed_experts") is not None:
        write.u32("expert_count", write.value("n_routed_experts"), "n_routed_experts")
    write.u32("expert_shared_count", write.value("n_shared_experts", default=0), "n_shared_experts")
    if write.value("routed_scaling_factor") is not None:
        write.f32("expert_weights_scale", write.value("routed_scaling_factor"), "routed_scaling_factor")
    if write.value("norm_topk_prob"):
        write.bool("expert_weights_norm", write.value("norm_topk_prob"))


def _rotary(write: Parameters) -> None:
    write.u32("rope.dimension_count", write.integer("qk_rope_head_dim"), "qk_rope_head_dim")
    scale = write.rope.get("mscale_all_dim")
    if scale is not None:
        # llama.cpp knows that here, and only here, the factor of the logarithm is part of it.
        scale = 0.1 * write.checked.finite(scale, "mscale_all_dim")
        write.f32("rope.scaling.yarn_log_multiplier", scale, "mscale_all_dim")


def next_layers(write: Parameters) -> None:
    """How many of the layers predict further tokens, where the configuration tells."""
    if write.value(NEXT) is not None:
        write.u32("nextn_predict_layers", write.value(NEXT), NEXT)


LATENT_SIZES = (_common, _dense_layers, Key("vocab_size", "vocab_size"), _lengths, _experts, _rotary)
