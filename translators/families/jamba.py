"""Jamba: layers of Mamba-1 and of attention, each with one feed-forward or with experts."""

from __future__ import annotations

import math
from typing import Any

from translators.families.configuration import ConfigClass
from translators.families.llama import EMBEDDINGS, PLAIN_QK, VALUE_AND_OUTPUT, experts, optional
from translators.families.mamba import CONVOLUTION
from translators.families.parameters import BLOCKS, FILE_TYPE, Key, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import NEGATED_EXP

_MAMBA, _FEED_FORWARD = "model.layers.{}.mamba.", "model.layers.{}.feed_forward."


def _key_value_heads(write: Parameters) -> None:
    offset, period = write.integer("attn_layer_offset"), write.source.count("attn_layer_period")
    heads = write.integer("num_key_value_heads")
    attends = [layer >= offset and (layer - offset) % period == 0 for layer in range(write.layers)]
    write.count("attention.head_count_kv", [heads if each else 0 for each in attends], "num_key_value_heads")


def _mamba(write: Parameters) -> None:
    width = write.integer("hidden_size", "mamba_d_model")
    epsilon = write.value("layer_norm_epsilon", "rms_norm_eps") or 1e-6
    write.u32("ssm.conv_kernel", write.value("mamba_d_conv") or 4, "mamba_d_conv")
    write.u32("ssm.inner_size", write.integer("mamba_expand") * width, "mamba_expand")
    write.u32("ssm.state_size", write.value("mamba_d_state") or 16, "mamba_d_state")
    write.u32("ssm.time_step_rank", write.value("mamba_dt_rank") or -(width // -16), "mamba_dt_rank")
    write.f32("attention.layer_norm_rms_epsilon", epsilon, "rms_norm_eps")


def _jamba(whole: dict[str, Any]) -> dict[str, Any]:
    for kind in ("attn", "expert"):
        if whole[f"{kind}_layer_offset"] >= whole[f"{kind}_layer_period"]:
            raise ValueError("an offset beyond its period")
    rank = whole["mamba_dt_rank"]
    return {**whole, "mamba_dt_rank": math.ceil(whole["hidden_size"] / 16) if rank == "auto" else rank}


JAMBA = Family(
    architectures=("JambaForCausalLM",),
    arch="jamba",
    vocabulary="jamba",
    rules=(
        EMBEDDINGS[0],
        Rule("model.final_layernorm", "output_norm"),
        EMBEDDINGS[2],
        Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
        Rule("model.layers.{}.pre_ff_layernorm", "blk.{}.ffn_norm"),
        *optional(
            *PLAIN_QK,
            *VALUE_AND_OUTPUT,
            Rule(_MAMBA + "in_proj", "blk.{}.ssm_in"),
            Rule(_MAMBA + "conv1d", "blk.{}.ssm_conv1d", CONVOLUTION),
            Rule(_MAMBA + "x_proj", "blk.{}.ssm_x"),
            Rule(_MAMBA + "dt_proj", "blk.{}.ssm_dt"),
            Rule(_MAMBA + "out_proj", "blk.{}.ssm_out"),
            Rule(_MAMBA + "dt_layernorm", "blk.{}.ssm_dt_norm"),
            Rule(_MAMBA + "b_layernorm", "blk.{}.ssm_b_norm"),
            Rule(_MAMBA + "c_layernorm", "blk.{}.ssm_c_norm"),
            Rule(_FEED_FORWARD + "gate_proj", "blk.{}.ffn_gate"),
            Rule(_FEED_FORWARD + "up_proj", "blk.{}.ffn_up"),
            Rule(_FEED_FORWARD + "down_proj", "blk.{}.ffn_down"),
            Rule(_FEED_FORWARD + "router", "blk.{}.ffn_gate_inp"),
        ),
        Rule(_MAMBA + "A_log", "blk.{}.ssm_a", NEGATED_EXP, optional=True, whole=True),
        Rule(_MAMBA + "D", "blk.{}.ssm_d", optional=True, whole=True),
        experts(_FEED_FORWARD + "experts"),
    ),
    parameters=(
        BLOCKS,
        Key("context_length", ("max_position_embeddings", "n_ctx")),
        Key("embedding_length", ("hidden_size", "mamba_d_model")),
        Key("feed_forward_length", "intermediate_size", "count"),
        Key("attention.head_count", "num_attention_heads", "count"),
        _key_value_heads,
        _mamba,
        Key("expert_count", ("num_local_experts", "num_experts")),
        Key("expert_used_count", ("num_experts_per_tok", "num_experts_per_token"), "count"),
        FILE_TYPE,
    ),
    replaced=((".moe.", ".feed_forward."),),
    configurations=(
        ConfigClass(
            "jamba",
            {
                "vocab_size": 65536, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
                "num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-6,
                "max_position_embeddings": 262144, "num_experts_per_tok": 2, "num_experts": 16,
                "expert_layer_period": 2, "expert_layer_offset": 1, "attn_layer_period": 8,
                "attn_layer_offset": 4, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2,
                "mamba_dt_rank": "auto",
            },
            finished=_jamba,
        ),
    ),
)  # fmt: skip
