"""EXAONE 3 and EXAONE 4: names change, bytes do not; Llama 3's scaling is a tensor of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from translators.families.checkpoint import Checkpoint
from translators.families.configuration import ConfigClass, checked_layers
from translators.families.described import Told
from translators.families.llama import (
    EMBEDDINGS,
    FEED_FORWARD,
    PLAIN_QK,
    QK_NORMS,
    VALUE_AND_OUTPUT,
    rope_factors,
)
from translators.families.parameters import COMMON, Key, Parameters
from translators.families.table import Family, Rule
from translators.gguf_file import GgufTensor
from translators.keyvalues import ValueType


def _windows(write: Parameters) -> None:
    """The sliding window, and which layers have it."""
    if write.value("sliding_window") is None:
        return
    write.u32("attention.sliding_window", write.value("sliding_window"), "sliding_window")
    pattern, count = write.value("sliding_window_pattern"), write.layers
    windowed: list[bool] = []
    if isinstance(types := write.value("layer_types"), list):
        windowed = [each == "sliding_attention" for each in types]
    elif isinstance(pattern, str) and pattern:  # as "LLLG"
        windowed = [pattern[layer % len(pattern)] == "L" for layer in range(count)]
    elif isinstance(pattern, int) and pattern:
        windowed = [(layer + 1) % pattern != 0 for layer in range(count)]
    write.array("attention.sliding_window_pattern", ValueType.BOOL, windowed)


def _rotated(write: Parameters) -> None:
    if write.value("activation_function") != "silu":
        raise write.checked.refusal("another function than silu", "activation_function")
    part = write.rope.get("partial_rotary_factor")
    part = 1.0 if part is None else write.checked.finite(part, "partial_rotary_factor")
    width = write.integer("hidden_size") // write.source.count("num_attention_heads")
    write.u32("rope.dimension_count", int(part * width), "hidden_size")


def _rms(source: Checkpoint) -> dict[str, Any]:
    """The epsilon of its norms, which are RMS norms: llama.cpp loads no file that does not tell it so.

    Published configurations call it layer_norm_epsilon, and upstream's converter believes them.
    """
    config = dict(source.config)
    if "rms_norm_eps" not in config and "layer_norm_epsilon" in config:
        config["rms_norm_eps"] = config["layer_norm_epsilon"]
    return config


def _factors(source: Checkpoint) -> Iterator[GgufTensor]:
    return rope_factors(source, factor=16.0)


def _exaone4(whole: dict[str, Any]) -> dict[str, Any]:
    pattern = whole["sliding_window_pattern"] if whole["sliding_window"] is not None else 0
    return checked_layers(whole, lambda layer: (layer + 1) % pattern != 0)


def _described(told: Told) -> dict[str, Any]:
    found = told.draft("exaone", "ExaoneForCausalLM", derived_head=True)
    whole = found["hidden_size"] // max(1, found["num_attention_heads"])
    return found | {
        "num_layers": found.pop("num_hidden_layers"),
        "layer_norm_epsilon": found["rms_norm_eps"],
        "activation_function": found.pop("hidden_act"),
        "partial_rotary_factor": told.part("rope.dimension_count", whole),
    }


def _described4(told: Told) -> dict[str, Any]:
    windowed = told.has("attention.sliding_window")
    pattern = [False] * len(told.layers)
    if windowed and told.has(_PATTERN):
        pattern = told.flags(_PATTERN)
    return told.draft("exaone4", "Exaone4ForCausalLM", derived_head=True) | {
        "sliding_window": told.integer("attention.sliding_window") if windowed else None,
        "sliding_window_pattern": 4 if windowed else None,
        "layer_types": ["sliding_attention" if each else "full_attention" for each in pattern],
    }


_PATTERN = "attention.sliding_window_pattern"

EXAONE = Family(
    architectures=("ExaoneForCausalLM",),
    arch="exaone",
    vocabulary="gpt2",
    prefix="transformer.",
    rules=(
        Rule("transformer.wte", "token_embd"),
        Rule("transformer.ln_f", "output_norm"),
        Rule("lm_head", "output", optional=True),
        Rule("transformer.h.{}.ln_1", "blk.{}.attn_norm"),
        Rule("transformer.h.{}.ln_2", "blk.{}.ffn_norm"),
        Rule("transformer.h.{}.attn.attention.q_proj", "blk.{}.attn_q"),
        Rule("transformer.h.{}.attn.attention.k_proj", "blk.{}.attn_k"),
        Rule("transformer.h.{}.attn.attention.v_proj", "blk.{}.attn_v"),
        Rule("transformer.h.{}.attn.attention.out_proj", "blk.{}.attn_output"),
        Rule("transformer.h.{}.mlp.c_fc_0", "blk.{}.ffn_gate"),
        Rule("transformer.h.{}.mlp.c_fc_1", "blk.{}.ffn_up"),
        Rule("transformer.h.{}.mlp.c_proj", "blk.{}.ffn_down"),
    ),
    parameters=(COMMON, _rotated),
    prepared=_rms,
    described=_described,
    generated=rope_factors,
)

EXAONE4 = Family(
    architectures=("Exaone4ForCausalLM",),
    arch="exaone4",
    vocabulary="gpt2",
    rules=(
        *EMBEDDINGS,
        Rule("model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"),
        Rule("model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"),
        *PLAIN_QK,
        *QK_NORMS,
        *VALUE_AND_OUTPUT,
        *FEED_FORWARD,
    ),
    parameters=(COMMON, Key("vocab_size", "vocab_size"), _windows),
    generated=_factors,
    described=_described4,
    configurations=(
        ConfigClass(
            "exaone4",
            {
                "vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 16384,
                "num_hidden_layers": 32,
                "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 2048,
                "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None, "sliding_window": 4096,
                "sliding_window_pattern": 4, "layer_types": None,
            },
            kv_heads=False,
            finished=_exaone4,
        ),
    ),
)  # fmt: skip
