"""DeepSeek V1 to V3.2, Kimi-K2, Kimi-VL, Moonlight, Youtu, GLM-4.7-Flash and GLM-5.

V1 has Llama's attention, the others that of latent vectors. V2 and V3 lose the layer that predicts further
tokens, the later ones keep it; V3.2 and GLM-5 have an indexer, which chooses what is attended to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from translators.errors import Unsupported
from translators.families.configuration import ConfigClass, checked_scaling
from translators.families.described import Told, decimal
from translators.families.latent import (
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
        write.array("attention.indexer.types", ValueType.BOOL, [kind == "full" for kind in kinds])


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

_CHOICE = (
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


def _described1(told: Told) -> dict[str, Any]:
    found = told.draft("deepseek", "DeepseekForCausalLM") | told.of(*_CHOICE)
    return found | {"moe_layer_freq": 1, "norm_topk_prob": False, "scoring_func": "softmax"}


def _described_latent(told: Told) -> dict[str, Any]:
    """A DeepSeek-V3, a V2 where experts are chosen by softmax, or a Youtu, which has none."""
    if not told.has("attention.key_length_mla"):
        raise Unsupported("a GGUF of before latent vectors were attended to, whose matrices lie otherwise")
    third = told.integer("expert_gating_func", 1) == _SIGMOID
    names = ("deepseek_v3", "DeepseekV3ForCausalLM") if third else ("deepseek_v2", "DeepseekV2ForCausalLM")
    found = told.draft(*names) | {"q_lora_rank": None} | told.of(*_CHOICE, *_RANKS)
    found.pop("head_dim", None)
    heads, rotated = found["num_attention_heads"], found["qk_rope_head_dim"]
    found |= {
        "num_key_value_heads": heads,
        "qk_nope_head_dim": told.integer("attention.key_length_mla") - rotated,
    }
    if not told.has("expert_count"):
        found |= {"architectures": ["YoutuForCausalLM"], "model_type": "youtu"}
        return _with_scales(told, found)
    found |= {
        "norm_topk_prob": told.has("expert_weights_norm"),
        "scoring_func": "sigmoid" if third else "softmax",
        "moe_layer_freq": 1,
    }
    if not third:
        found["topk_method"] = "group_limited_greedy" if found.get("n_group", 1) > 1 else "greedy"
    return _with_scales(told, found)


def _with_scales(told: Told, found: dict[str, Any]) -> dict[str, Any]:
    """Published scales of both kinds are the same, so one is enough."""
    if found["rope_scaling"] is None or not told.has(_LOG):
        return found
    scale = decimal(10 * told.number(_LOG))
    return found | {"rope_scaling": {**found["rope_scaling"], "mscale": scale, "mscale_all_dim": scale}}


_LOG = "rope.scaling.yarn_log_multiplier"
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
    blocks=with_next,
)

DEEPSEEK32 = Family(
    architectures=("DeepseekV32ForCausalLM",),
    arch="deepseek32",
    vocabulary="deepseek32",
    rules=(*LATENT, *_INDEXER, *NEXT_TOKENS),
    parameters=(*LATENT_SIZES, next_layers, *_INDEXER_SIZES),
    left_out=_tied,
    blocks=with_next,
)

GLM_DSA = Family(
    architectures=("GlmMoeDsaForCausalLM",),
    arch="glm-dsa",
    vocabulary="glm",
    rules=(*LATENT, *_INDEXER, *NEXT_TOKENS),
    parameters=(*LATENT_SIZES, _part_rotated, next_layers, *_INDEXER_SIZES, _indexer_kinds),
    left_out=_tied,
    blocks=with_next,
)
