"""Granite 4 and Bamba: layers of Mamba-2 and layers of attention, with experts or a shared feed-forward.

Upstream reads their config.json as it is. A Granite 4 whose layers all attend is written as a Granite 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.families.configuration import ConfigClass
from translators.families.granite import (
    DROPPED,
    EXPERTS,
    GRANITE,
    GRANITE_MOE,
    SHARED_ALONE,
    SHARED_EXPERT,
    granite_parameters,
    shared_length,
)
from translators.families.llama import (
    ATTENTION_NORMS,
    EMBEDDINGS,
    FEED_FORWARD,
    ROTARY_QK,
    VALUE_AND_OUTPUT,
    optional,
)
from translators.families.mamba import as_stored, mamba2_rules
from translators.families.parameters import Parameters
from translators.families.table import Family, Rule

_CONTEXT = 1 << 20
_MOST_LAYERS = 1 << 16


def prefixed(*keys: str) -> tuple[str, ...]:
    """Keys, and what they are called where they are about Mamba alone."""
    return (*keys, *(f"mamba_{key}" for key in keys))


def attending(config: Mapping[str, Any], count: int) -> list[int]:
    """The layers of attention. Raises MalformedSource where the configuration does not tell."""
    types, given = config.get("layer_types"), config.get("attn_layer_indices")
    if isinstance(types, list) and types:
        return [layer for layer, kind in enumerate(types) if kind == "attention"]
    if isinstance(given, list) and given:
        return given
    period, offset = config.get("attn_layer_period"), config.get("attn_layer_offset")
    if (
        not isinstance(period, int)
        or not isinstance(offset, int)
        or period < 1
        or not 0 <= count <= _MOST_LAYERS
    ):
        raise MalformedSource(
            "it does not tell which layers attend", path="config.json", place="layer_types",
            remedy="take config.json from the model's original repository",
        )  # fmt: skip
    return [layer for layer in range(count) if layer % period == offset]


def hybrid_parameters(write: Parameters, layers: list[int], inner: int) -> None:
    """What layers of Mamba-2 add to a Granite. layers: those of attention. inner: Mamba's width inside."""
    heads_of = prefixed("d_head")
    width = write.integer(*heads_of) if write.value(*heads_of) else 64
    if write.value("hidden_act") not in (None, "silu") or inner % width:
        raise Unsupported("layers that llama.cpp does not know", path="config.json", place="hidden_act")
    write.u32("ssm.conv_kernel", write.required(*prefixed("conv_kernel", "d_conv")), "mamba_d_conv")
    keys = prefixed("state_size", "d_state", "state_dim", "ssm_state_size")
    write.u32("ssm.state_size", write.required(*keys), "mamba_d_state")
    write.u32("ssm.group_count", write.required(*prefixed("n_groups", "num_groups")), "mamba_n_groups")
    write.u32("ssm.inner_size", inner, "mamba_expand")
    write.u32("ssm.time_step_rank", write.required(*prefixed("n_heads", "num_heads")), "mamba_n_heads")
    heads = write.required(*prefixed("num_key_value_heads", "n_head_kv"))
    if dimensions := write.value("attn_rotary_emb"):
        write.u32("rope.dimension_count", dimensions, "attn_rotary_emb")
    by_layer = [heads if layer in set(layers) else 0 for layer in range(write.layers)]
    write.count("attention.head_count_kv", by_layer, "num_key_value_heads")
    rotates = "BambaForCausalLM" in write.required("architectures") or len(layers) >= write.layers
    write.bool("rope.scaling.finetuned", rotates)
    if not rotates:
        write.u32("context_length", _CONTEXT)


def _mamba(write: Parameters) -> None:
    width = write.integer("mamba_head_dim", *prefixed("hidden_size", "d_model"))
    inner = write.integer(*prefixed("expand", "num_heads")) * width
    hybrid_parameters(write, attending(write.config, write.layers), inner)


def _chosen(config: Mapping[str, Any]) -> Family:
    """The hybrid, or Granite 3 for one that is none."""
    layers = config.get("num_hidden_layers")
    count = layers if isinstance(layers, int) else 0
    if count != len(attending(config, count)):
        return GRANITE_HYBRID if config.get("num_local_experts") else GRANITE_HYBRID_DENSE
    mixture = config.get("num_experts_per_tok", config.get("num_experts_per_token"))
    plain = replace(GRANITE_MOE if mixture else GRANITE, configurations=(), prepared=as_stored)
    return replace(plain, vocabulary="granite-hybrid", parameters=(granite_parameters, shared_length, _mamba))


GRANITE_HYBRID = Family(
    architectures=("GraniteMoeHybridForCausalLM", "BambaForCausalLM"),
    arch="granitehybrid",
    vocabulary="granite-hybrid",
    rules=(
        *EMBEDDINGS[:1],
        *optional(EMBEDDINGS[1], Rule("model.final_layernorm", "output_norm")),
        EMBEDDINGS[2],
        *ATTENTION_NORMS[:1],
        *optional(ATTENTION_NORMS[1], Rule("model.layers.{}.pre_ff_layernorm", "blk.{}.ffn_norm")),
        *optional(*ROTARY_QK, *VALUE_AND_OUTPUT, *FEED_FORWARD),
        Rule("model.layers.{}.feed_forward.gate_proj", "blk.{}.ffn_gate", optional=True),
        Rule("model.layers.{}.feed_forward.up_proj", "blk.{}.ffn_up", optional=True),
        Rule("model.layers.{}.feed_forward.down_proj", "blk.{}.ffn_down", optional=True),
        *mamba2_rules("model.layers.{}.mamba", *prefixed("n_groups", "num_groups"), optional=True),
        *EXPERTS,
        *SHARED_EXPERT,
    ),
    parameters=(granite_parameters, shared_length, _mamba),
    dropped=DROPPED,
    replaced=(("text_model.", ""),),
    prepared=as_stored,
    configurations=(ConfigClass("granitemoehybrid", {}), ConfigClass("bamba", {})),
    chosen=_chosen,
)

# A hybrid without experts: what would be the shared one is the whole feed-forward.
GRANITE_HYBRID_DENSE = replace(
    GRANITE_HYBRID,
    architectures=(),
    rules=(
        *(rule for rule in GRANITE_HYBRID.rules if rule not in (*SHARED_EXPERT, *EXPERTS)),
        *SHARED_ALONE,
    ),
    configurations=(),
)
