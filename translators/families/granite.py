"""Granite 3, dense and mixtures: Llama with four multipliers.

Experts are stored fused, gate above up; the shared expert is all that a dense Granite 4 has for feed-forward.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.llama import (
    ATTENTION_NORMS,
    EMBEDDINGS,
    FEED_FORWARD,
    ROTARY_QK,
    VALUE_AND_OUTPUT,
    llama_parameters,
    optional,
    rope_factors,
)
from translators.families.parameters import COMMON, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import Split
from translators.model import Model

_GATE_ABOVE_UP = Split(2, axis=-2)
_ATTENTION = (*EMBEDDINGS, *ATTENTION_NORMS, *ROTARY_QK, *VALUE_AND_OUTPUT)
EXPERTS = (
    Rule("model.layers.{}.block_sparse_moe.router.layer", "blk.{}.ffn_gate_inp", optional=True),
    Rule(
        "model.layers.{}.block_sparse_moe.input_linear", ("blk.{}.ffn_gate_exps", "blk.{}.ffn_up_exps"),
        _GATE_ABOVE_UP, optional=True,
    ),
    Rule("model.layers.{}.block_sparse_moe.output_linear", "blk.{}.ffn_down_exps", optional=True),
)  # fmt: skip
SHARED_EXPERT = (
    Rule(
        "model.layers.{}.shared_mlp.input_linear", ("blk.{}.ffn_gate_shexp", "blk.{}.ffn_up_shexp"),
        _GATE_ABOVE_UP, optional=True,
    ),
    Rule("model.layers.{}.shared_mlp.output_linear", "blk.{}.ffn_down_shexp", optional=True),
)  # fmt: skip
SHARED_ALONE = (
    Rule(
        "model.layers.{}.shared_mlp.input_linear", ("blk.{}.ffn_gate", "blk.{}.ffn_up"), _GATE_ABOVE_UP,
        optional=True,
    ),
    Rule("model.layers.{}.shared_mlp.output_linear", "blk.{}.ffn_down", optional=True),
)  # fmt: skip
DROPPED = ("encoder.*", "*image_*", "*layerwise_projectors*", "*spatial_projectors*")
_MULTIPLIERS = (
    ("attention.scale", "attention_multiplier"),
    ("embedding_scale", "embedding_multiplier"),
    ("residual_scale", "residual_multiplier"),
    ("logit_scale", "logits_scaling"),
)


def granite_parameters(write: Parameters) -> None:
    """Llama's without regard to head_dim, and the multipliers that are not zero."""
    config = {key: value for key, value in write.config.items() if key != "head_dim"}
    plain = replace(write, source=replace(write.source, config=config))
    COMMON(plain)
    llama_parameters(plain)
    for name, key in _MULTIPLIERS:
        if value := write.value(key):
            write.f32(name, value, key)


def shared_length(write: Parameters) -> None:
    """The length of the shared expert, where there is one."""
    if length := write.value("shared_intermediate_size"):
        write.u32("expert_shared_feed_forward_length", length, "shared_intermediate_size")


def _values(**others: Any) -> dict[str, Any]:
    return {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": None, "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": None, "embedding_multiplier": 1.0,
        "logits_scaling": 1.0, "residual_multiplier": 1.0, "attention_multiplier": 1.0, **others,
    }  # fmt: skip


def _described(told: Told, model_type: str = "granite", name: str = "GraniteForCausalLM") -> dict[str, Any]:
    """The multipliers are 1 where they are not told."""
    found = told.draft(model_type, name) | {key: told.number(at, 1.0) for at, key in _MULTIPLIERS}
    found.pop("head_dim", None)
    return found | {"mlp_bias": told.kept("blk.0.ffn_up.bias")}


def _described_mixture(told: Told) -> dict[str, Any]:
    shared = told.integer("expert_shared_feed_forward_length", 0)
    names = ("granitemoeshared", "GraniteMoeSharedForCausalLM") if shared else ("granitemoe", _MIXTURE)
    return _described(told, *names) | {
        "num_local_experts": told.integer("expert_count"),
        "num_experts_per_tok": told.integer("expert_used_count"),
        **({"shared_intermediate_size": shared} if shared else {}),
    }


_MIXTURE = "GraniteMoeForCausalLM"
_EXPERTS = {"num_local_experts": 8, "num_experts_per_tok": 2}


def _uniform(model: Model) -> bool:
    """Not of Granite 4, whose layers are told one by one, and whose classes are others."""
    assert model.key_values is not None
    arch = model.key_values.get("general.architecture")
    return isinstance(model.key_values.get(f"{arch}.attention.head_count_kv"), int)


GRANITE = Family(
    architectures=("GraniteForCausalLM",),
    arch="granite",
    vocabulary="llama",
    rules=(*_ATTENTION, *optional(*FEED_FORWARD), *SHARED_ALONE),
    parameters=(granite_parameters,),
    dropped=DROPPED,
    replaced=(("text_model.", ""),),
    generated=rope_factors,
    described=_described,
    claims=_uniform,
    configurations=(ConfigClass("granite", _values(), rope="told"),),
)

GRANITE_MOE = Family(
    architectures=(_MIXTURE, "GraniteMoeSharedForCausalLM"),
    arch="granitemoe",
    vocabulary="llama",
    rules=(*_ATTENTION, *EXPERTS, *SHARED_EXPERT),
    parameters=(granite_parameters, shared_length),
    dropped=DROPPED,
    replaced=(("text_model.", ""),),
    generated=rope_factors,
    described=_described_mixture,
    claims=_uniform,
    configurations=(
        ConfigClass("granitemoe", _values(**_EXPERTS), rope="told"),
        ConfigClass("granitemoeshared", _values(**_EXPERTS, shared_intermediate_size=0), rope="told"),
    ),
)
