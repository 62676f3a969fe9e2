"""Llama 4's text: a layer's experts are stored transposed in one tensor, gate before up."""

from __future__ import annotations

from typing import Any

from translators.families.checkpoint import Checkpoint
from translators.families.composed import LLAMA4_EYES
from translators.families.configuration import ConfigClass, Part, check_layer_types, counted_layers
from translators.families.llama import (
    ATTENTION_NORMS,
    EMBEDDINGS,
    PLAIN_QK,
    VALUE_AND_OUTPUT,
    llama_parameters,
    optional,
    rope_factors,
)
from translators.families.parameters import COMMON, Key, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import Permuted, Split, chain

_TURNED = Permuted((0, 2, 1))
_MODULE = "model.layers.{}.feed_forward."


def _renamed(source: Checkpoint) -> dict[str, Any]:
    """intermediate_size is that of experts there, and that of dense layers in a GGUF."""
    config = dict(source.config)
    config["intermediate_size_moe"] = config.get("intermediate_size")
    config["intermediate_size"] = config.get("intermediate_size_mlp")
    return config


def _unwindowed(write: Parameters) -> None:
    types = write.value("layer_types")
    if isinstance(types, list) and all(each == "full_attention" for each in types):
        write.u32("attention.sliding_window", 0)


def _text(whole: dict[str, Any]) -> dict[str, Any]:
    every, layers = whole["no_rope_layer_interval"], counted_layers(whole)
    rotated = whole["no_rope_layers"] or [int((layer + 1) % every != 0) for layer in range(layers)]
    step, types = whole["interleave_moe_layer_step"], whole["layer_types"]
    sparse = list(range(step - 1, layers, step)) if whole["moe_layers"] is None else whole["moe_layers"]
    if types is None:
        types = ["chunked_attention" if each else "full_attention" for each in rotated]
    check_layer_types(types, whole["num_hidden_layers"])
    return {**whole, "no_rope_layers": rotated, "moe_layers": sparse, "layer_types": types}


LLAMA4 = Family(
    architectures=("Llama4ForConditionalGeneration", "Llama4ForCausalLM"),
    arch="llama4",
    vocabulary="gpt2",
    rules=(
        *EMBEDDINGS,
        *ATTENTION_NORMS,
        *PLAIN_QK,
        *VALUE_AND_OUTPUT,
        *optional(
            Rule(_MODULE + "gate_proj", "blk.{}.ffn_gate"),
            Rule(_MODULE + "up_proj", "blk.{}.ffn_up"),
            Rule(_MODULE + "down_proj", "blk.{}.ffn_down"),
            Rule(_MODULE + "router", "blk.{}.ffn_gate_inp"),
            Rule(_MODULE + "shared_expert.gate_proj", "blk.{}.ffn_gate_shexp"),
            Rule(_MODULE + "shared_expert.up_proj", "blk.{}.ffn_up_shexp"),
            Rule(_MODULE + "shared_expert.down_proj", "blk.{}.ffn_down_shexp"),
            Rule(
                _MODULE + "experts.gate_up_proj",
                ("blk.{}.ffn_gate_exps.weight", "blk.{}.ffn_up_exps.weight"),
                chain(_TURNED, Split(2, axis=-2)),
            ),
            Rule(_MODULE + "experts.down_proj", "blk.{}.ffn_down_exps.weight", _TURNED),
        ),
    ),
    parameters=(
        COMMON,
        llama_parameters,
        Key("interleave_moe_layer_step", "interleave_moe_layer_step"),
        Key("expert_feed_forward_length", "intermediate_size_moe", "count"),
        _unwindowed,
    ),
    replaced=(("text_model.", ""),),
    prepared=_renamed,
    generated=rope_factors,
    configurations=(
        ConfigClass(
            "llama4_text",
            {
                "vocab_size": 202048, "hidden_size": 5120, "intermediate_size": 8192,
                "intermediate_size_mlp": 16384, "num_hidden_layers": 48, "num_attention_heads": 40,
                "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 131072,
                "rms_norm_eps": 1e-5, "rope_theta": 500000, "num_experts_per_tok": 1, "num_local_experts": 16,
                "moe_layers": None, "interleave_moe_layer_step": 1, "rope_scaling": None,
                "no_rope_layers": None, "no_rope_layer_interval": 4, "layer_types": None,
            },
            head_dim=True,
            finished=_text,
        ),
        ConfigClass(
            "llama4",
            {"text_config": None, "tie_word_embeddings": False},
            parts={"text_config": Part("llama4_text"), "vision_config": LLAMA4_EYES},
            aliases={
                "image_token_id": "image_token_index", "boi_token_id": "boi_token_index",
                "eoi_token_id": "eoi_token_index",
            },
        ),
    ),
)  # fmt: skip
