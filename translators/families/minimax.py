"""MiniMax-M2: a mixture whose router has a bias; names change, experts are stacked."""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass, check_layer_types, counted_layers
from translators.families.described import Told
from translators.families.llama import (
    ATTENTION_NORMS,
    EMBEDDINGS,
    PLAIN_QK,
    QK_NORMS,
    VALUE_AND_OUTPUT,
    experts,
    optional,
)
from translators.families.parameters import COMMON, Key
from translators.families.table import Family, Rule


def _minimax(whole: dict[str, Any]) -> dict[str, Any]:
    types = whole["layer_types"]
    if types is None:
        kinds = ("linear_attention", "full_attention")
        types = [kinds[(layer + 1) % 2] for layer in range(counted_layers(whole))]
    check_layer_types(types, whole["num_hidden_layers"])
    return {**whole, "layer_types": types}


def _described(told: Told) -> dict[str, Any]:
    return told.draft("minimax_m2", "MiniMaxM2ForCausalLM", derived_head=True) | {
        "rotary_dim": told.integer("rope.dimension_count"),
        "num_local_experts": told.integer("expert_count"),
        "num_experts_per_tok": told.integer("expert_used_count"),
        "scoring_func": "sigmoid",
        "use_routing_bias": told.kept("blk.0.exp_probs_b.bias"),
        "use_qk_norm": told.kept("blk.0.attn_q_norm.weight"),
    }


MINIMAX_M2 = Family(
    architectures=("MiniMaxM2ForCausalLM",),
    arch="minimax-m2",
    vocabulary="gpt2",
    rules=(
        *EMBEDDINGS,
        *ATTENTION_NORMS,
        *PLAIN_QK,
        *optional(*QK_NORMS),
        *VALUE_AND_OUTPUT,
        Rule("model.layers.{}.block_sparse_moe.gate", "blk.{}.ffn_gate_inp"),
        Rule("model.layers.{}.block_sparse_moe.e_score_correction", "blk.{}.exp_probs_b", optional=True),
        experts("model.layers.{}.block_sparse_moe.experts", ("w1", "w2", "w3")),
    ),
    parameters=(
        COMMON,
        Key("expert_feed_forward_length", "intermediate_size", "count"),
        Key("rope.dimension_count", "rotary_dim"),
    ),
    described=_described,
    configurations=(
        ConfigClass(
            "minimax",  # which the first of its config.json claimed to be
            {
                "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
                "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": None,
                "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 1000000.0,
                "num_experts_per_tok": 2, "num_local_experts": 8, "layer_types": None,
            },
            kv_heads=False,
            finished=_minimax,
        ),
    ),
)  # fmt: skip
