"""Seed-OSS: names change, bytes do not; the second norm has another name than Llama's."""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.llama import EMBEDDINGS, FEED_FORWARD, PLAIN_QK, VALUE_AND_OUTPUT
from translators.families.parameters import COMMON
from translators.families.table import Family, Rule


def _described(told: Told) -> dict[str, Any]:
    return told.draft("seed_oss", "SeedOssForCausalLM", derived_head=True) | {
        "attention_out_bias": told.kept("blk.0.attn_output.bias"),
        "mlp_bias": told.kept("blk.0.ffn_up.bias"),
    }


SEED_OSS = Family(
    architectures=("SeedOssForCausalLM",),
    arch="seed_oss",
    vocabulary="gpt2",
    rules=(
        *EMBEDDINGS,
        Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
        Rule("model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"),
        *PLAIN_QK,
        *VALUE_AND_OUTPUT,
        *FEED_FORWARD,
    ),
    parameters=(COMMON,),
    described=_described,
    configurations=(
        ConfigClass(
            "seed_oss",
            {
                "vocab_size": 155136, "hidden_size": 4096, "intermediate_size": 27648,
                "num_hidden_layers": 64,
                "num_attention_heads": 80, "num_key_value_heads": 8, "max_position_embeddings": 524288,
                "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": None, "head_dim": 128,
            },
            head_dim=True,
            rope=True,
        ),
    ),
)  # fmt: skip
