"""DeepSeek V1 to V3.2, Kimi-K2, Moonlight, GLM-4.7-Flash, GLM-5: compressed attention, mixtures of experts.

From V2 on keys and values are made of one latent vector by `kv_b_proj`. llama.cpp absorbs that matrix into
the attention: its rows are divided, head by head, into those of keys, which are transposed, and those of
values; so there is one key-value head, as wide as the latent vector and the rotated part together.
Layers behind num_hidden_layers predict further tokens: V2 and V3 lose them, the later ones keep them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from translators.families.configuration import ConfigClass, checked_scaling
from translators.families.hparams import write_hparams
from translators.families.llama import (
    ATTENTION_NORMS,
    EMBEDDINGS,
    FEED_FORWARD,
    ROTARY_QK,
    VALUE_AND_OUTPUT,
    experts,
    optional,
)
from translators.families.parameters import COMMON, Key, Parameters
from translators.families.table import Family, Rule, Stack
from translators.families.transforms import Custom, Place, head_count
from translators.keyvalues import ValueType
from translators.recipes import Recipe, concat, reshape, split, transpose2d

_LAYER = re.compile(r"model\.layers\.([0-9]+)")
_NEXT = "num_nextn_predict_layers"


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
_LATENT = (
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
_INDEXER = optional(
    Rule("model.layers.{}.self_attn.indexer.k_norm", "blk.{}.indexer.k_norm"),
    Rule("model.layers.{}.self_attn.indexer.weights_proj", "blk.{}.indexer.proj"),
    Rule("model.layers.{}.self_attn.indexer.wk", "blk.{}.indexer.attn_k"),
    Rule("model.layers.{}.self_attn.indexer.wq_b", "blk.{}.indexer.attn_q_b"),
)
_RULES = (*EMBEDDINGS, *ATTENTION_NORMS, *_LATENT, *MIXTURE)


def layer_of(name: str) -> int:
    """The number of the layer that a checkpoint's tensor belongs to; -1 for none."""
    match = _LAYER.match(name)
    return int(match[1]) if match else -1


def with_next(config: Mapping[str, Any]) -> int:
    """The number of layers with those that predict further tokens."""
    place = Place(config)
    return place.count("num_hidden_layers") + (place.count(_NEXT) if config.get(_NEXT) else 0)


def _tied(name: str, config: Mapping[str, Any]) -> bool:
    return name == "lm_head.weight" and bool(config.get("tie_word_embeddings"))


def _without_next(name: str, config: Mapping[str, Any]) -> bool:
    return _tied(name, config) or layer_of(name) >= Place(config).count("num_hidden_layers")


def _behind_all(name: str, config: Mapping[str, Any]) -> bool:
    """Of a model that is said to predict no further tokens, what would do so is left out."""
    return _tied(name, config) or (not config.get(_NEXT) and _without_next(name, config))


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
    if write.value(_NEXT) is not None:
        write.u32("nextn_predict_layers", write.value(_NEXT), _NEXT)


def _next_layers_if_any(write: Parameters) -> None:
    if write.value(_NEXT):
        next_layers(write)


_INDEXER_SIZES = (
    Key("attention.indexer.head_count", "index_n_heads"),
    Key("attention.indexer.key_length", "index_head_dim"),
    Key("attention.indexer.top_k", "index_topk"),
)


def _part_rotated(write: Parameters) -> None:
    part = write.checked.finite(write.rope.get("partial_rotary_factor", 1.0), "partial_rotary_factor")
    write.u32("rope.dimension_count", int(write.integer("qk_rope_head_dim") * part), "qk_rope_head_dim")


def _indexer_kinds(write: Parameters) -> None:
    kinds = write.value("indexer_types")
    if kinds is not None:
        if not isinstance(kinds, list):
            raise write.checked.refusal("no list", "indexer_types")
        write.array("attention.indexer.types", ValueType.BOOL, [kind == "full" for kind in kinds])


_PARAMETERS = (_common, _dense_layers, Key("vocab_size", "vocab_size"), _lengths, _experts, _rotary)


def _v1_rotary(write: Parameters) -> None:
    width = write.value("head_dim")
    if width is None:
        width = write.integer("hidden_size") // write.source.count("num_attention_heads")
    write.u32("rope.dimension_count", width, "head_dim")
    write.string("rope.scaling.type", "none")


def _v1_scale(write: Parameters) -> None:
    write.f32("expert_weights_scale", 1.0)


def _heads(whole: dict[str, Any]) -> dict[str, Any]:
    """What both classes derive: the rotated part counts as a head, and a scaling is checked."""
    whole = {**whole, "head_dim": whole["qk_rope_head_dim"]}
    if whole["rope_scaling"] is not None:
        whole["rope_scaling"] = checked_scaling(whole, known_head_dim=True)
    return whole


def _v3(whole: dict[str, Any]) -> dict[str, Any]:
    scaling = whole["rope_scaling"]
    if scaling is not None:
        numbers = {key: float(scaling[key]) for key in ("beta_fast", "beta_slow", "factor") if key in scaling}
        whole = {**whole, "rope_scaling": {**scaling, **numbers}}
    return _heads({**whole, "qk_head_dim": whole["qk_nope_head_dim"] + whole["qk_rope_head_dim"]})


_LATENT_SIZES = {
    "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
    "v_head_dim": 128, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": None,
}  # fmt: skip
_CLASSES = (
    ConfigClass(
        "deepseek_v2",
        {
            "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": None, "max_position_embeddings": 2048,
            "first_k_dense_replace": 0, "n_group": None, "n_routed_experts": 64, "n_shared_experts": 2,
            "routed_scaling_factor": 1.0, "topk_group": None, "topk_method": "greedy",
            "num_experts_per_tok": None, "norm_topk_prob": False, "moe_intermediate_size": 1407,
            **_LATENT_SIZES,
        },
        finished=_heads,
    ),
    ConfigClass(
        "deepseek_v3",
        {
            "vocab_size": 129280, "hidden_size": 7168, "intermediate_size": 18432, "num_hidden_layers": 61,
            "num_attention_heads": 128, "num_key_value_heads": 128, "max_position_embeddings": 4096,
            "first_k_dense_replace": 3, "n_group": 8, "n_routed_experts": 256, "n_shared_experts": 1,
            "routed_scaling_factor": 2.5, "topk_group": 4, "num_experts_per_tok": 8, "norm_topk_prob": True,
            "moe_intermediate_size": 2048, **_LATENT_SIZES,
        },
        finished=_v3,
    ),
)  # fmt: skip

DEEPSEEK = Family(
    architectures=("DeepseekForCausalLM",),
    arch="deepseek",
    vocabulary="qwen",
    rules=(*EMBEDDINGS, *ATTENTION_NORMS, *ROTARY_QK, *VALUE_AND_OUTPUT, *MIXTURE),
    parameters=(
        COMMON,
        _v1_rotary,
        Key("leading_dense_block_count", "first_k_dense_replace"),
        Key("vocab_size", "vocab_size"),
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        _v1_scale,
        Key("expert_count", "n_routed_experts"),
        Key("expert_shared_count", "n_shared_experts"),
    ),
)

DEEPSEEK2 = Family(
    architectures=("DeepseekV3ForCausalLM", "DeepseekV2ForCausalLM", "YoutuForCausalLM"),
    arch="deepseek2",
    vocabulary="deepseek2",
    rules=_RULES,
    parameters=_PARAMETERS,
    left_out=_without_next,
    configurations=_CLASSES,
)

GLM_LITE = Family(
    architectures=("Glm4MoeLiteForCausalLM",),
    arch="deepseek2",
    vocabulary="glm",
    rules=(*_RULES, *NEXT_TOKENS),
    parameters=(*_PARAMETERS, _next_layers_if_any),
    left_out=_behind_all,
    blocks=with_next,
)

DEEPSEEK32 = Family(
    architectures=("DeepseekV32ForCausalLM",),
    arch="deepseek32",
    vocabulary="deepseek32",
    rules=(*_RULES, *_INDEXER, *NEXT_TOKENS),
    parameters=(*_PARAMETERS, next_layers, *_INDEXER_SIZES),
    left_out=_tied,
    blocks=with_next,
)

GLM_DSA = Family(
    architectures=("GlmMoeDsaForCausalLM",),
    arch="glm-dsa",
    vocabulary="glm",
    rules=(*_RULES, *_INDEXER, *NEXT_TOKENS),
    parameters=(*_PARAMETERS, _part_rotated, next_layers, *_INDEXER_SIZES, _indexer_kinds),
    left_out=_tied,
    blocks=with_next,
)
