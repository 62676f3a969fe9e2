"""Mistral 4, which checkpoints of Mistral 3's class tell by the type of their language model.

Attention is by latent vectors as DeepSeek's; a layer's experts are stored as one tensor each way, gate and up
together, and stay so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from translators.families import llama
from translators.families.latent import LATENT, LATENT_SIZES
from translators.families.llama import optional
from translators.families.table import Family, Rule, Stack

_EXPERTS = "model.layers.{}.mlp.experts."


def _tied(name: str, config: Mapping[str, Any]) -> bool:
    return name == "lm_head.weight" and bool(config.get("tie_word_embeddings"))


MISTRAL4 = Family(
    architectures=(),
    arch="mistral4",
    vocabulary="deepseek2",
    rules=(
        *(rule for rule in LATENT if not isinstance(rule, Stack)),
        *optional(
            Rule(f"{_EXPERTS}gate_up_proj", "blk.{}.ffn_gate_up_exps.weight"),
            Rule(f"{_EXPERTS}down_proj", "blk.{}.ffn_down_exps.weight"),
        ),
    ),
    parameters=LATENT_SIZES,
    left_out=_tied,
)


def _chosen(config: Mapping[str, Any]) -> Family:
    text = config.get("text_config")
    told = {**config, **text} if isinstance(text, dict) else config
    return MISTRAL4 if told.get("model_type") == "mistral4" else llama.MISTRAL3


MISTRAL3 = replace(llama.MISTRAL3, chosen=_chosen)
