"""Phi-3, Phi-4 and Phi-3.5-MoE: fused matrices stay fused; factors of long contexts are tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from translators.errors import MalformedSource, Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.configuration import ConfigClass
from translators.families.described import Told, decimal
from translators.families.hparams import rope_parameters
from translators.families.llama import (
    ATTENTION_NORMS,
    EMBEDDINGS,
    PLAIN_QK,
    VALUE_AND_OUTPUT,
    experts,
    optional,
)
from translators.families.parameters import BLOCKS, FILE_TYPE, Key, Parameters
from translators.families.table import Family, Rule
from translators.gguf_file import GgufTensor
from translators.recipes import Literal

WIDTH, HEADS = ("hidden_size", "n_embd"), ("num_attention_heads", "n_head")
CONTEXT = ("n_positions", "max_position_embeddings")
_ORIGINAL = "original_max_position_embeddings"


def rope_dimensions(source: Checkpoint) -> int:
    part = rope_parameters(source.config).get("partial_rotary_factor", 1.0)
    if isinstance(part, bool) or not isinstance(part, int | float) or not 0 < part <= 1:
        raise MalformedSource("no part of a head", path="config.json", place="partial_rotary_factor")
    return int(part * source.count(*WIDTH)) // source.count(*HEADS)


def _original_context(write: Parameters) -> None:
    write.u32("rope.scaling.original_context_length", write.rope.get(_ORIGINAL), _ORIGINAL)


def _rotary(write: Parameters) -> None:
    write.u32("rope.dimension_count", rope_dimensions(write.source), "num_attention_heads")
    parameters = write.rope
    full = parameters.get("full_attention", parameters)
    write.f32("rope.freq_base", full.get("rope_theta") if isinstance(full, dict) else None, "rope_theta")


def _window(write: Parameters) -> None:
    # 0 is what tells llama.cpp a Phi-4 from the others.
    write.u32("attention.sliding_window", write.value("sliding_window") or 0, "sliding_window")


def _attention_factor(write: Parameters) -> None:
    """How much longer contexts are attended more sharply: of the same formula as the factors."""
    parameters = write.rope
    if not parameters.get("long_factor"):
        return
    original = parameters.get(_ORIGINAL)
    context = write.integer(*CONTEXT)
    if isinstance(original, bool) or not isinstance(original, int | float) or not 1 < original < 1 << 31:
        raise write.checked.refusal("no context's length", _ORIGINAL)
    scale, factor = context / original, 1.0
    kind = parameters.get("rope_type", "")
    if kind not in ("su", "longrope", "yarn"):
        raise Unsupported("long factors of another rope scaling", path="config.json", place="rope_scaling")
    if scale > 1.0:
        yarn = 0.1 * math.log(scale) + 1.0
        factor = yarn if kind == "yarn" else math.sqrt(1 + math.log(scale) / math.log(original))
    write.f32("rope.scaling.attn_factor", factor, "max_position_embeddings")


def _factors(source: Checkpoint) -> Iterator[GgufTensor]:
    parameters = rope_parameters(source.config)
    if not parameters.get("long_factor"):
        return
    count = rope_dimensions(source) // 2
    for name in ("long", "short"):
        given = parameters.get(f"{name}_factor")
        if (
            not isinstance(given, list)
            or len(given) != count
            or not all(isinstance(each, int | float) for each in given)
        ):
            raise MalformedSource(
                f"not {count} factors",
                path="config.json",
                place=f"{name}_factor",
                remedy="take config.json from the model's original repository",
            )
        data = np.array(given, np.float32)
        yield GgufTensor(
            f"rope_factors_{name}.weight", data.shape, Literal(data.tobytes(), "F32", data.shape)
        )


_PARAMETERS = (
    Key("context_length", CONTEXT),
    _original_context,
    Key("embedding_length", WIDTH),
    Key("feed_forward_length", "intermediate_size", "count"),
    BLOCKS,
    Key("attention.head_count", HEADS, "count"),
    Key("attention.head_count_kv", ("num_key_value_heads", "n_head_kv"), "count"),
    Key("attention.layer_norm_rms_epsilon", "rms_norm_eps", "f32"),
    _rotary,
    FILE_TYPE,
    _window,
)


def _values(hidden: int, ffn: int, kv_heads: int | None, context: int, **others: Any) -> dict[str, Any]:
    return {
        "vocab_size": 32064, "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": kv_heads, "max_position_embeddings": context,
        "rms_norm_eps": 1e-5, "rope_scaling": None, "sliding_window": None, **others,
    }  # fmt: skip


def _phi3(whole: dict[str, Any]) -> dict[str, Any]:
    """Old names of longrope are renewed; what is no longrope of three keys is refused."""
    scaling = whole["rope_scaling"]
    if scaling is None:
        return whole
    if scaling.get("type") in ("su", "yarn"):
        scaling = {**scaling, "type": "longrope"}
    if not isinstance(scaling, dict) or len(scaling) != 3 or scaling.get("type") != "longrope":
        raise ValueError("no longrope")
    dimensions = int(whole["hidden_size"] // whole["num_attention_heads"] * whole["partial_rotary_factor"])
    for name in ("short_factor", "long_factor"):
        factors = scaling.get(name)
        if not isinstance(factors, list) or not all(isinstance(each, int | float) for each in factors):
            raise ValueError("no list of numbers")
        if len(factors) != dimensions // 2:
            raise ValueError("not one factor for each pair")
    return {**whole, "rope_scaling": scaling}


def _phimoe(whole: dict[str, Any]) -> dict[str, Any]:
    scaling = whole["rope_scaling"]
    if not isinstance(scaling, dict):
        return whole
    if "rope_type" not in scaling:
        scaling = {**scaling, "rope_type": scaling.get("type")}
    if "original_max_position_embeddings" in scaling:
        whole = {**whole, "original_max_position_embeddings": scaling["original_max_position_embeddings"]}
    for name in ("short_mscale", "long_mscale"):
        if not isinstance(scaling.get(name), int | float):
            raise TypeError("no number")
    return {**whole, "rope_scaling": scaling}


def _described3(told: Told) -> dict[str, Any]:
    scaling = None
    if "rope_factors_long.weight" in told.model.tensors:
        named = {name: told.factors(f"rope_factors_{name}.weight") for name in ("short", "long")}
        scaling = {
            "type": "longrope",
            **{f"{name}_factor": [decimal(float(each)) for each in given] for name, given in named.items()},
        }
    heads, width = told.heads["num_attention_heads"], told.integer("embedding_length")
    found = told.draft("phi3", "Phi3ForCausalLM") | {
        "original_max_position_embeddings": told.integer("rope.scaling.original_context_length"),
        "partial_rotary_factor": told.integer("rope.dimension_count") * heads / max(1, width),
        "rope_scaling": scaling,
        "sliding_window": told.integer("attention.sliding_window", 0) or None,
    }
    found.pop("head_dim", None)
    return found


PHI3 = Family(
    architectures=("Phi3ForCausalLM",),
    arch="phi3",
    vocabulary="phi3",
    rules=(
        *EMBEDDINGS,
        *ATTENTION_NORMS,
        Rule("model.layers.{}.self_attn.qkv_proj", "blk.{}.attn_qkv"),
        Rule("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
        Rule("model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up"),
        Rule("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
    ),
    parameters=_PARAMETERS,
    early=(_attention_factor,),
    generated=_factors,
    described=_described3,
    configurations=(
        ConfigClass(
            "phi3",
            _values(
                3072, 8192, None, 4096, original_max_position_embeddings=4096, rope_theta=10000.0,
                partial_rotary_factor=1.0,
            ),
            finished=_phi3,
        ),
    ),
)  # fmt: skip


def _described_mixture(told: Told) -> dict[str, Any]:
    found = _described3(told) | {
        "architectures": ["PhiMoEForCausalLM"],
        "model_type": "phimoe",
        "num_local_experts": told.integer("expert_count"),
        "num_experts_per_tok": told.integer("expert_used_count"),
        "lm_head_bias": told.kept("output.bias"),
        "attention_bias": told.kept("blk.0.attn_q.bias"),
    }
    if found["rope_scaling"] is not None:
        # Published scales are those of the formula, which is all that a GGUF holds.
        scale = told.number("rope.scaling.attn_factor", 1.0)
        scales = {"short_mscale": scale, "long_mscale": scale, _ORIGINAL: found[_ORIGINAL]}
        found["rope_scaling"] = {**found["rope_scaling"], **scales}
    return found


PHIMOE = Family(
    architectures=("PhiMoEForCausalLM",),
    arch="phimoe",
    vocabulary="phi3",
    rules=(
        *EMBEDDINGS,
        *ATTENTION_NORMS,
        *PLAIN_QK,
        *VALUE_AND_OUTPUT,
        *optional(Rule("model.layers.{}.block_sparse_moe.gate", "blk.{}.ffn_gate_inp")),
        experts("model.layers.{}.block_sparse_moe.experts", ("w1", "w2", "w3")),
    ),
    parameters=(
        *_PARAMETERS,
        Key("expert_used_count", ("num_experts_per_tok", "num_experts_per_token"), "count"),
        Key("expert_count", ("num_local_experts", "num_experts")),
    ),
    early=(_attention_factor,),
    generated=_factors,
    described=_described_mixture,
    configurations=(
        ConfigClass(
            "phimoe",
            _values(
                4096, 6400, 8, 131072, rope_theta=1e6, num_experts_per_tok=2, num_local_experts=16,
            ),
            rope=True,
            finished=_phimoe,
        ),
    ),
)  # fmt: skip
