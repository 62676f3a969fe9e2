"""SmolLM3 and Arcee's AFM: Llama with layers that do not rotate, and Llama without a gate."""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass, check_layer_types, counted_layers
from translators.families.described import Told
from translators.families.llama import (
    ATTENTION_NORMS,
    EMBEDDINGS,
    FEED_FORWARD,
    ROTARY_QK,
    VALUE_AND_OUTPUT,
    llama_parameters,
    rope_factors,
)
from translators.families.parameters import COMMON, POOLING
from translators.families.table import Family, Rule

_ATTENTION = (*EMBEDDINGS, *ATTENTION_NORMS, *ROTARY_QK, *VALUE_AND_OUTPUT)


def _values(
    hidden: int, ffn: int, layers: int, heads: int, kv_heads: int | None, **others: Any
) -> dict[str, Any]:
    return {
        "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "rope_scaling": None, **others,
    }  # fmt: skip


def _smollm3(whole: dict[str, Any]) -> dict[str, Any]:
    rotated = whole["no_rope_layers"]
    if rotated is None:
        every = whole["no_rope_layer_interval"]
        rotated = [int((layer + 1) % every != 0) for layer in range(counted_layers(whole))]
    types = whole["layer_types"]
    if types is None:
        windowed = whole["use_sliding_window"] and whole["sliding_window"] is not None
        types = [
            "sliding_attention" if windowed and not rotated[layer] else "full_attention"
            for layer in range(counted_layers(whole))
        ]
    check_layer_types(types, whole["num_hidden_layers"])
    return {**whole, "no_rope_layers": rotated, "layer_types": types}


def _described(told: Told, model_type: str, architecture: str) -> dict[str, Any]:
    found = told.draft(model_type, architecture)
    return found | {"mlp_bias": told.kept("blk.0.ffn_up.bias")}


def _described3(told: Told) -> dict[str, Any]:
    """llama.cpp, too, takes every fourth layer for one that does not rotate."""
    return _described(told, "smollm3", "SmolLM3ForCausalLM") | {
        "no_rope_layer_interval": 4,
        "use_sliding_window": False,
        "sliding_window": None,
    }


SMOLLM3 = Family(
    architectures=("SmolLM3ForCausalLM",),
    arch="smollm3",
    vocabulary="llama",
    rules=(*_ATTENTION, *FEED_FORWARD),
    parameters=(COMMON, llama_parameters),
    generated=rope_factors,
    described=_described3,
    configurations=(
        ConfigClass(
            "smollm3",
            _values(
                2048, 11008, 36, 16, 4, vocab_size=128256, max_position_embeddings=32768, rms_norm_eps=1e-6,
                rope_theta=2000000.0, use_sliding_window=False, sliding_window=None, no_rope_layers=None,
                no_rope_layer_interval=4, layer_types=None,
            ),
            rope=True,
            finished=_smollm3,
        ),
    ),
)  # fmt: skip

ARCEE = Family(
    architectures=("ArceeForCausalLM",),
    arch="arcee",
    vocabulary="llama",
    rules=(
        *_ATTENTION,
        Rule("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
        Rule("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
    ),
    parameters=(COMMON, llama_parameters, POOLING),
    generated=rope_factors,
    described=lambda told: _described(told, "arcee", "ArceeForCausalLM") | {"hidden_act": "relu2"},
    configurations=(
        ConfigClass(
            "arcee",
            _values(
                2560, 18432, 32, 32, None, vocab_size=32000, max_position_embeddings=4096, rms_norm_eps=1e-5,
                rope_theta=10000.0, head_dim=None,
            ),
            head_dim=True,
            rope=True,
        ),
    ),
)  # fmt: skip
