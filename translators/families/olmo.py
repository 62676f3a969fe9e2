"""OLMo 1, 2 and 3, and OLMoE: OLMo 1 has norms without weights, the later ones norms behind the modules."""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass, checked_layers
from translators.families.described import Told
from translators.families.llama import (
    ATTENTION_NORMS,
    EMBEDDINGS,
    FEED_FORWARD,
    PLAIN_QK,
    QK_NORMS,
    ROTARY_QK,
    VALUE_AND_OUTPUT,
    experts,
)
from translators.families.parameters import COMMON, Key, Parameters
from translators.families.table import Family, Rule
from translators.keyvalues import ValueType

_CLAMP = Key("attention.clamp_kqv", "clip_qkv", "f32", optional=True)


def _norm(write: Parameters) -> None:
    write.f32("attention.layer_norm_epsilon", 1e-5)


def _values(vocab: int, context: int, **others: Any) -> dict[str, Any]:
    return {
        "vocab_size": vocab, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": None, "max_position_embeddings": context,
        "rope_theta": 10000.0, "rope_scaling": None, **others,
    }  # fmt: skip


def _simple_scaling(whole: dict[str, Any]) -> dict[str, Any]:
    """Raises where OLMo's class does: its scaling is of two keys and of two kinds."""
    scaling = whole["rope_scaling"]
    if scaling is None:
        return whole
    factor = scaling.get("factor") if isinstance(scaling, dict) and len(scaling) == 2 else None
    if not isinstance(factor, float) or factor <= 1 or scaling.get("type") not in ("linear", "dynamic"):
        raise ValueError("a scaling that OLMo does not know")
    return whole


def _described(told: Told) -> dict[str, Any]:
    found = told.draft("olmo", "OlmoForCausalLM", norm="layer_norm_eps") | told.of(_CLAMP)
    del found["layer_norm_eps"]  # the class has none to choose
    return {"clip_qkv": None, **found}


OLMO = Family(
    architectures=("OlmoForCausalLM", "OLMoForCausalLM"),
    arch="olmo",
    vocabulary="gpt2",
    rules=(
        Rule("model.embed_tokens", "token_embd"),
        Rule("lm_head", "output", optional=True),
        *ROTARY_QK,
        *VALUE_AND_OUTPUT,
        *FEED_FORWARD,
    ),
    parameters=(COMMON, _norm, _CLAMP),
    described=_described,
    configurations=(
        ConfigClass("olmo", _values(50304, 2048, clip_qkv=None), finished=_simple_scaling),
    ),
)  # fmt: skip


def _windows(write: Parameters) -> None:
    if "sliding_window" not in write.config:
        return
    write.u32("attention.sliding_window", write.required("sliding_window"), "sliding_window")
    kinds = write.value("layer_types")
    if kinds is None:
        pattern = [(layer + 1) % 4 != 0 for layer in range(write.layers)]
    else:
        pattern = [kind == "sliding_attention" for kind in kinds]
    write.array("attention.sliding_window_pattern", ValueType.BOOL, pattern, "layer_types")


def _three_of_four(whole: dict[str, Any]) -> dict[str, Any]:
    return checked_layers(whole, lambda layer: (layer + 1) % 4 != 0)


def _described2(told: Told) -> dict[str, Any]:
    """An OLMo 2, or an OLMo 3 where there are windows."""
    if not told.has("attention.sliding_window"):
        return told.draft("olmo2", "Olmo2ForCausalLM")
    pattern = told.flags("attention.sliding_window_pattern")
    return told.draft("olmo3", "Olmo3ForCausalLM") | {
        "sliding_window": told.integer("attention.sliding_window"),
        "layer_types": ["sliding_attention" if windowed else "full_attention" for windowed in pattern],
    }


OLMO2 = Family(
    architectures=("Olmo2ForCausalLM", "Olmo3ForCausalLM"),
    arch="olmo2",
    vocabulary="gpt2",
    rules=(
        *EMBEDDINGS,
        *PLAIN_QK,
        *VALUE_AND_OUTPUT,
        *QK_NORMS,
        *FEED_FORWARD,
        Rule("model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"),
        Rule("model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"),
    ),
    parameters=(COMMON, _windows),
    described=_described2,
    configurations=(
        ConfigClass("olmo2", _values(50304, 2048, rms_norm_eps=1e-05), finished=_simple_scaling),
        ConfigClass(
            "olmo3",
            _values(50304, 2048, rms_norm_eps=1e-05, sliding_window=4096, layer_types=None),
            rope=True,
            finished=_three_of_four,
        ),
    ),
)


def _fixed_norm(write: Parameters) -> None:
    write.f32("attention.layer_norm_rms_epsilon", 1e-5)


def _described_mixture(told: Told) -> dict[str, Any]:
    return told.draft("olmoe", "OlmoeForCausalLM") | {
        "num_experts": told.integer("expert_count"),
        "num_experts_per_tok": told.integer("expert_used_count"),
        "norm_topk_prob": False,
        "clip_qkv": None,
    }


OLMOE = Family(
    architectures=("OlmoeForCausalLM",),
    arch="olmoe",
    vocabulary="gpt2",
    rules=(
        *EMBEDDINGS,
        *ATTENTION_NORMS,
        *PLAIN_QK,
        *VALUE_AND_OUTPUT,
        *QK_NORMS,
        Rule("model.layers.{}.mlp.gate", "blk.{}.ffn_gate_inp"),
        experts(),
    ),
    parameters=(COMMON, _fixed_norm),
    described=_described_mixture,
    configurations=(
        ConfigClass(
            "olmoe",
            {
                **_values(50304, 4096, rms_norm_eps=1e-05, clip_qkv=None),
                **{"hidden_size": 2048, "intermediate_size": 2048, "num_hidden_layers": 16},
                **{"num_attention_heads": 16, "num_experts_per_tok": 8, "num_experts": 64},
            },
            rope=True,
        ),
    ),
)
