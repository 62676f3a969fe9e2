"""Attention by latent vectors, and mixtures with shared experts: what DeepSeek and its kin have in common.

Keys and values are made of one latent vector by `kv_b_proj`. llama.cpp absorbs that matrix into the
attention: its rows are divided, head by head, into those of keys, which are transposed, and those of values;
so there is one key-value head, as wide as the latent vector and the rotated part together. On the way back
the two are joined again. A layer behind num_hidden_layers predicts further tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.families.described import Told, decimal
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


CHOICE = (
    Key("expert_used_count", "num_experts_per_tok", optional=True),
    Key("expert_group_count", "n_group", optional=True),
    Key("expert_group_used_count", "topk_group", optional=True),
    Key("expert_count", "n_routed_experts", optional=True),
    Key("expert_shared_count", "n_shared_experts"),
    Key("expert_feed_forward_length", "moe_intermediate_size"),
    Key("leading_dense_block_count", "first_k_dense_replace"),
)
_RANKS = (
    Key("attention.q_lora_rank", "q_lora_rank", optional=True),
    Key("attention.kv_lora_rank", "kv_lora_rank"),
    Key("attention.value_length_mla", "v_head_dim"),
    Key("rope.dimension_count", "qk_rope_head_dim"),
    Key("expert_weights_scale", "routed_scaling_factor", "f32", optional=True),
)
_LOG, _FURTHER = "rope.scaling.yarn_log_multiplier", "nextn_predict_layers"
_SCORES = {1: "softmax", 2: "sigmoid"}


def described(told: Told, model_type: str, architecture: str) -> dict[str, Any]:
    """config.json of a model with latent vectors: all but what its class alone has.

    Raises Unsupported for a GGUF whose matrix was not absorbed, or with a score that no class has.
    """
    if not told.has("attention.key_length_mla"):
        raise Unsupported("a GGUF of before latent vectors were attended to, whose matrices lie otherwise")
    found = told.draft(model_type, architecture) | {"q_lora_rank": None} | told.of(*CHOICE, *_RANKS)
    found.pop("head_dim", None)
    whole, rotated = told.integer("attention.key_length_mla"), found["qk_rope_head_dim"]
    if not 0 < rotated < whole:
        raise MalformedSource("no part of a head", place=f"key {told.arch}.rope.dimension_count")
    found |= {"num_key_value_heads": found["num_attention_heads"], "qk_nope_head_dim": whole - rotated}
    if told.has("expert_count"):
        found["norm_topk_prob"] = told.has("expert_weights_norm") and told.flag("expert_weights_norm")
    return _with_scales(told, found)


def scored(told: Told) -> dict[str, str]:
    """How experts are scored and chosen, as far as the GGUF tells. Raises Unsupported."""
    found = {}
    if told.has("expert_gating_func"):
        number = told.integer("expert_gating_func")
        if number not in _SCORES:
            raise Unsupported(
                f"experts scored by function {number}", place=f"key {told.arch}.expert_gating_func"
            )
        found["scoring_func"] = _SCORES[number]
    # The bias of a router is looked for by this name.
    if any(name.endswith("exp_probs_b.bias") for name in told.model.tensors):
        found["topk_method"] = "noaux_tc"
    return found


def further(told: Told) -> dict[str, int]:
    """How many layers do not predict further tokens, and how many do. Raises MalformedSource."""
    layers, behind = told.integer("block_count"), told.integer(_FURTHER, 0)
    if behind >= layers:
        raise MalformedSource("more layers than there are", place=f"key {told.arch}.{_FURTHER}")
    return {"num_hidden_layers": layers - behind, **({NEXT: behind} if told.has(_FURTHER) else {})}


def rope_in_one(found: dict[str, Any]) -> dict[str, Any]:
    """A config.json in the style of transformers 5, for classes that no earlier one has."""
    others = {key: value for key, value in found.items() if key not in ("rope_theta", "rope_scaling")}
    scaling = found["rope_scaling"] or {"rope_type": "default"}
    return {**others, "rope_parameters": {**scaling, "rope_theta": found["rope_theta"]}}


def _with_scales(told: Told, found: dict[str, Any]) -> dict[str, Any]:
    """Published scales of both kinds are the same, so one is enough."""
    if found["rope_scaling"] is None or not told.has(_LOG):
        return found
    scale = decimal(10 * told.number(_LOG))
    return found | {"rope_scaling": {**found["rope_scaling"], "mscale": scale, "mscale_all_dim": scale}}
