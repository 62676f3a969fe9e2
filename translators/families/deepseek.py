"""DeepSeek V1 to V3.2, Kimi-K2, Kimi-VL, Moonlight, Youtu, GLM-4.7-Flash and GLM-5.

V1 has Llama's attention, the others that of latent vectors. V2 and V3 lose the layer that predicts further
tokens, the later ones keep it; V3.2 and GLM-5 have an indexer, which chooses what is attended to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.families import latent
from translators.families.configuration import ConfigClass, checked_scaling
from translators.families.described import Told
from translators.families.latent import (
    CHOICE,
    LATENT,
    LATENT_SIZES,
    MIXTURE,
    NEXT,
    NEXT_TOKENS,
    next_layers,
    with_next,
)
from translators.families.llama import ATTENTION_NORMS, EMBEDDINGS, ROTARY_QK, VALUE_AND_OUTPUT, optional
from translators.families.parameters import COMMON, Key, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import Place
from translators.keyvalues import ValueType
from translators.model import Model

_LAYER = re.compile(r"model\.layers\.([0-9]{1,9})(?![0-9])")
_INDEXER = optional(
    Rule("model.layers.{}.self_attn.indexer.k_norm", "blk.{}.indexer.k_norm"),
    Rule("model.layers.{}.self_attn.indexer.weights_proj", "blk.{}.indexer.proj"),
    Rule("model.layers.{}.self_attn.indexer.wk", "blk.{}.indexer.attn_k"),
    Rule("model.layers.{}.self_attn.indexer.wq_b", "blk.{}.indexer.attn_q_b"),
)


def _layer_of(name: str) -> int:
    """The number of the layer that a checkpoint's tensor belongs to; -1 for none."""
    match = _LAYER.match(name)
    return int(match[1]) if match else -1


def _tied(name: str, config: Mapping[str, Any]) -> bool:
    return name == "lm_head.weight" and bool(config.get("tie_word_embeddings"))


def _without_next(name: str, config: Mapping[str, Any]) -> bool:
    return _tied(name, config) or _layer_of(name) >= Place(config).count("num_hidden_layers")


def _behind_all(name: str, config: Mapping[str, Any]) -> bool:
    """Of a model that is said to predict no further tokens, what would do so is left out."""
    return _tied(name, config) or (not config.get(NEXT) and _without_next(name, config))


def _next_layers_if_any(write: Parameters) -> None:
    if write.value(NEXT):
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
        write.array(_KINDS, ValueType.BOOL, [kind == "full" for kind in kinds])


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


_SIZES = {
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
            **_SIZES,
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
            "moe_intermediate_size": 2048, **_SIZES,
        },
        finished=_v3,
    ),
)  # fmt: skip


def _described1(told: Told) -> dict[str, Any]:
    found = told.draft("deepseek", "DeepseekForCausalLM") | told.of(*CHOICE)
    return found | {"moe_layer_freq": 1, "norm_topk_prob": False, "scoring_func": "softmax"}


def _described_latent(told: Told) -> dict[str, Any]:
    """A DeepSeek-V3, a V2 where experts are chosen by softmax, or a Youtu, which has none."""
    if told.has("attention.temperature_scale"):
        raise Unsupported("Mistral Large 3's attention over long texts, which no class of DeepSeek's has")
    if not told.has("expert_count"):
        return latent.described(told, "youtu", "YoutuForCausalLM")
    third = told.integer("expert_gating_func", 1) == _SIGMOID
    names = ("deepseek_v3", "DeepseekV3ForCausalLM") if third else ("deepseek_v2", "DeepseekV2ForCausalLM")
    found = latent.described(told, *names) | {"scoring_func": "softmax", "moe_layer_freq": 1}
    if not third:
        found["topk_method"] = "group_limited_greedy" if found.get("n_group", 1) > 1 else "greedy"
    return found | latent.scored(told)


def _described_lite(told: Told) -> dict[str, Any]:
    """A GLM-4.7-Flash, whose class goes by each layer's kind."""
    found = latent.described(told, "glm4_moe_lite", "Glm4MoeLiteForCausalLM") | latent.scored(told)
    found |= {NEXT: 0} | latent.further(told)
    dense = found["first_k_dense_replace"]
    kinds = ["dense" if layer < dense else "sparse" for layer in range(found["num_hidden_layers"])]
    return found | {"mlp_layer_types": kinds}


def _described_sparse(told: Told) -> dict[str, Any]:
    """A DeepSeek-V3.2."""
    found = latent.described(told, "deepseek_v32", "DeepseekV32ForCausalLM") | latent.scored(told)
    return found | latent.further(told) | told.of(*_INDEXER_SIZES) | {"moe_layer_freq": 1}


def _described_glm5(told: Told) -> dict[str, Any]:
    """A GLM-5. Raises Unsupported for a GLM-5.2 that does not tell which layers have an indexer."""
    found = latent.described(told, "glm_moe_dsa", "GlmMoeDsaForCausalLM") | latent.scored(told)
    found |= latent.further(told) | told.of(*_INDEXER_SIZES)
    place = f"key {told.arch}.{_KINDS}"
    if found["qk_rope_head_dim"] + found["kv_lora_rank"] != told.integer("attention.key_length"):
        raise Unsupported("rotation of a part of what can be rotated", place=f"key {told.arch}.rope")
    if told.has(_KINDS):
        kinds = told.key_values.get(f"{told.arch}.{_KINDS}")
        if not isinstance(kinds, list) or len(kinds) != found["num_hidden_layers"]:
            raise MalformedSource("not one truth value for each layer", place=place)
        found["indexer_types"] = ["full" if kind else "shared" for kind in kinds]
    elif found["max_position_embeddings"] >= _CONTEXT_OF_52:
        raise Unsupported("a GLM-5.2 of before a GGUF told which layers have an indexer", place=place)
    return latent.rope_in_one(found)


# llama.cpp takes a model of such long texts for a GLM-5.2, whose layers share indexers.
_CONTEXT_OF_52 = 1 << 20
_KINDS = "attention.indexer.types"
_SIGMOID = 2


def _is_deepseek(model: Model) -> bool:
    """Not GLM-4.7-Flash, which predicts further tokens and has an end of messages."""
    assert model.key_values is not None
    further = any(".nextn." in name for name in model.tensors)
    return not further and "tokenizer.ggml.eom_token_id" not in model.key_values


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
    described=_described1,
)

DEEPSEEK2 = Family(
    architectures=(
        "DeepseekV3ForCausalLM", "DeepseekV2ForCausalLM", "YoutuForCausalLM",
        "KimiVLForConditionalGeneration", "KimiK25ForConditionalGeneration",
    ),
    arch="deepseek2",
    vocabulary="deepseek2",
    rules=LATENT,
    parameters=LATENT_SIZES,
    left_out=_without_next,
    described=_described_latent,
    claims=_is_deepseek,
    configurations=_CLASSES,
)  # fmt: skip

GLM_LITE = Family(
    architectures=("Glm4MoeLiteForCausalLM",),
    arch="deepseek2",
    vocabulary="glm",
    rules=(*LATENT, *NEXT_TOKENS),
    parameters=(*LATENT_SIZES, _next_layers_if_any),
    left_out=_behind_all,
    described=_described_lite,
    blocks=with_next,
)

DEEPSEEK32 = Family(
    architectures=("DeepseekV32ForCausalLM",),
    arch="deepseek32",
    vocabulary="deepseek32",
    rules=(*LATENT, *_INDEXER, *NEXT_TOKENS),
    parameters=(*LATENT_SIZES, next_layers, *_INDEXER_SIZES),
    left_out=_tied,
    described=_described_sparse,
    blocks=with_next,
)

GLM_DSA = Family(
    architectures=("GlmMoeDsaForCausalLM",),
    arch="glm-dsa",
    vocabulary="glm",
    rules=(*LATENT, *_INDEXER, *NEXT_TOKENS),
    parameters=(*LATENT_SIZES, _part_rotated, next_layers, *_INDEXER_SIZES, _indexer_kinds),
    left_out=_tied,
    described=_described_glm5,
    blocks=with_next,
)
