"""Mistral 4, which checkpoints of Mistral 3's class tell by the type of their language model.

Attention is by latent vectors as DeepSeek's; a layer's experts are stored as one tensor each way, gate and up
together, and stay so. A GGUF goes back to transformers' class of the language model alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from translators.errors import Unsupported
from translators.families import latent, llama
from translators.families.described import Told
from translators.families.latent import LATENT, LATENT_SIZES
from translators.families.llama import optional
from translators.families.table import Family, Rule, Stack

_EXPERTS = "model.layers.{}.mlp.experts."


def _tied(name: str, config: Mapping[str, Any]) -> bool:
    return name == "lm_head.weight" and bool(config.get("tie_word_embeddings"))


def _described(told: Told) -> dict[str, Any]:
    """Raises Unsupported for positions without YaRN, which Mistral 4's class does not know."""
    found = latent.described(told, "mistral4", "Mistral4ForCausalLM") | latent.scored(told)
    if found["rope_scaling"] is None or found["rope_scaling"]["rope_type"] != "yarn":
        raise Unsupported("Mistral 4 with other than YaRN", place="key mistral4.rope.scaling.type")
    found = latent.rope_in_one(found)
    found["rope_parameters"]["llama_4_scaling_beta"] = told.number(_SCALE, _BETA)
    width = found["qk_nope_head_dim"] + found["qk_rope_head_dim"]
    return found | {"head_dim": width, "qk_head_dim": width, "rope_interleave": True}


# How attention grows over long texts is what upstream's converter leaves out and transformers' class must be
# told. Where a GGUF says nothing it is that class's own default: Mistral Small 4's.
_SCALE, _BETA = "attention.temperature_scale", 0.1

MISTRAL4 = Family(
    architectures=("Mistral4ForCausalLM",),
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
    described=_described,
)


def _chosen(config: Mapping[str, Any]) -> Family:
    text = config.get("text_config")
    told = {**config, **text} if isinstance(text, dict) else config
    return MISTRAL4 if told.get("model_type") == "mistral4" else llama.MISTRAL3


MISTRAL3 = replace(llama.MISTRAL3, chosen=_chosen)
