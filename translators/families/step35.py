"""Step-3.5: two kinds of attention layers with heads of their own, experts stacked as stored, norms from 1.

The layers that predict further tokens are kept behind the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from translators.errors import MalformedSource, Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.gemma import shifted
from translators.families.llama import (
    ATTENTION_NORMS,
    FEED_FORWARD,
    PLAIN_QK,
    QK_NORMS,
    VALUE_AND_OUTPUT,
    optional,
)
from translators.families.parameters import COMMON, Key, Parameters
from translators.families.rope import Llama3Scaling, rotary_frequencies
from translators.families.table import Family, Rule
from translators.families.transforms import Place
from translators.gguf_file import GgufTensor
from translators.keyvalues import ValueType
from translators.recipes import Literal

_WINDOWED, _FULL = "sliding_attention", "full_attention"


def _blocks(config: Mapping[str, Any]) -> int:
    place = Place(config)
    further = config.get("num_nextn_predict_layers", 0)
    return place.count("num_hidden_layers") + (place.count("num_nextn_predict_layers") if further else 0)


def _scaling(config: Mapping[str, Any]) -> dict[str, Any]:
    given = config.get("rope_parameters", config.get("rope_scaling")) or {}
    if not isinstance(given, dict):
        raise MalformedSource("no JSON object", path="config.json", place="rope_scaling")
    if given.get("rope_type") is None and given.get("type") is not None:
        return {**given, "rope_type": given["type"]}
    return given


def _bases(source: Checkpoint) -> dict[str, Any]:
    """rope_theta may be a list: of full attention, and of windows."""
    config = dict(source.config)
    theta = config.get("rope_theta")
    if not isinstance(theta, list):
        return config
    if len(theta) < 2 or not all(isinstance(each, int | float) for each in theta):
        raise MalformedSource("not two numbers", path="config.json", place="rope_theta")
    base, local = float(theta[0]), {"rope_theta": float(theta[1])}
    parameters = {**_scaling(config), "rope_theta": base, "sliding_attention": local}
    return {**config, "rope_theta": base, "rope_parameters": parameters}


def _padded(write: Parameters, key: str, default: Any) -> list[Any]:
    """A list with one for each layer, those of further tokens too."""
    given = write.value(key) or []
    if not isinstance(given, list):
        raise write.checked.refusal("no list", key)
    return [*given, *[default] * (write.layers - len(given))][: write.layers]


def _layers(write: Parameters) -> None:
    """Heads and windows, layer by layer."""
    types, parts = _padded(write, "layer_types", _FULL), _padded(write, "partial_rotary_factors", 0.5)
    if [1.0 if each == _WINDOWED else 0.5 for each in types] != parts:
        raise Unsupported("other parts of heads than llama.cpp knows", path="config.json",
                          place="partial_rotary_factors")  # fmt: skip
    other = write.value("attention_other_setting") or {}
    for name, key in (("head_count", "num_attention_heads"), ("head_count_kv", "num_attention_groups")):
        whole = write.integer(key)
        windowed = other.get(key, whole)
        write.count(f"attention.{name}", [windowed if each == _WINDOWED else whole for each in types], key)
    write.u32("attention.sliding_window", write.required("sliding_window"), "sliding_window")
    write.array("attention.sliding_window_pattern", ValueType.BOOL, [each == _WINDOWED for each in types])


def _leading(write: Parameters) -> None:
    told, first = write.value("moe_layers_enum"), 0
    if isinstance(told, str) and told.strip():
        try:
            first = max(0, min(int(each) for each in told.strip().split(",")))
        except ValueError as error:
            raise write.checked.refusal("no numbers of layers", "moe_layers_enum") from error
    write.u32("leading_dense_block_count", first, "moe_layers_enum")


def _clamps(write: Parameters) -> None:
    for name, key in (("swiglu_clamp_exp", "swiglu_limits"), ("swiglu_clamp_shexp", "swiglu_limits_shared")):
        if write.value(key) is not None:
            limits = [0.0 if each is None else each for each in _padded(write, key, 0.0)]
            write.array(name, ValueType.F32, [write.checked.finite(each, key) for each in limits], key)


def _further(write: Parameters) -> None:
    if number := write.value("num_nextn_predict_layers", default=0):
        write.u32("nextn_predict_layers", number, "num_nextn_predict_layers")


def _factors(source: Checkpoint) -> Iterator[GgufTensor]:
    """Llama 3's scaling of the part of a head that full attention rotates; 1 for all else."""
    parameters = _scaling(source.config)
    scaling = Llama3Scaling.of(parameters)
    if scaling is None:
        return
    types = source.config.get("layer_types") or []
    parts = source.config.get("partial_rotary_factors") or []
    full = [part for kind, part in zip(types, parts, strict=False) if kind == _FULL]
    if not full or not isinstance(full[0], int | float) or not 0 < full[0] <= 1:
        raise MalformedSource("no part of a head", path="config.json", place="partial_rotary_factors")
    head_dim = source.count("head_dim")
    frequencies = rotary_frequencies(source.config.get("rope_theta", 10000.0), int(head_dim * full[0]))
    factors = [_factor(scaling, float(frequency)) for frequency in frequencies]
    data = np.array([*factors, *[1.0] * (head_dim // 2 - len(factors))], np.float32)
    yield GgufTensor("rope_freqs.weight", data.shape, Literal(data.tobytes(), "F32", data.shape))


def _factor(scaling: Llama3Scaling, frequency: float) -> float:
    """One factor, in double precision, unlike those of Llama."""
    wavelength, context = 2 * math.pi / frequency, scaling.original_context
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    if wavelength < context / high:
        return 1.0
    if wavelength > context / low:
        return scaling.factor
    smooth = (context / wavelength - low) / (high - low)
    return 1.0 / ((1.0 - smooth) / scaling.factor + smooth)


STEP35 = Family(
    architectures=("Step3p5ForCausalLM", "Step3p7ForConditionalGeneration"),
    arch="step35",
    vocabulary="gpt2",
    rules=(
        Rule("model.embed_tokens", "token_embd"),
        *shifted(Rule("model.norm", "output_norm"), *ATTENTION_NORMS, *optional(*QK_NORMS)),
        Rule("lm_head", "output", optional=True),
        *PLAIN_QK,
        *VALUE_AND_OUTPUT,
        Rule("model.layers.{}.self_attn.g_proj", "blk.{}.attn_gate", optional=True),
        *optional(*FEED_FORWARD),
        *optional(
            Rule("model.layers.{}.moe.gate", "blk.{}.ffn_gate_inp"),
            Rule("model.layers.{}.moe.router_bias", "blk.{}.exp_probs_b.bias"),
            Rule("model.layers.{}.moe.gate_proj", "blk.{}.ffn_gate_exps"),
            Rule("model.layers.{}.moe.up_proj", "blk.{}.ffn_up_exps"),
            Rule("model.layers.{}.moe.down_proj", "blk.{}.ffn_down_exps"),
            Rule("model.layers.{}.share_expert.gate_proj", "blk.{}.ffn_gate_shexp"),
            Rule("model.layers.{}.share_expert.up_proj", "blk.{}.ffn_up_shexp"),
            Rule("model.layers.{}.share_expert.down_proj", "blk.{}.ffn_down_shexp"),
            Rule("model.layers.{}.eh_proj", "blk.{}.nextn.eh_proj"),
            Rule("model.layers.{}.embed_tokens", "blk.{}.nextn.embed_tokens"),
            Rule("model.layers.{}.shared_head.head", "blk.{}.nextn.shared_head_head"),
            *shifted(
                Rule("model.layers.{}.enorm", "blk.{}.nextn.enorm"),
                Rule("model.layers.{}.hnorm", "blk.{}.nextn.hnorm"),
                Rule("model.layers.{}.shared_head.norm", "blk.{}.nextn.shared_head_norm"),
            ),
        ),
    ),
    parameters=(
        COMMON,
        _layers,
        Key("attention.value_length", "head_dim"),
        Key("expert_count", "moe_num_experts"),
        Key("expert_used_count", "moe_top_k", "count"),
        Key("expert_feed_forward_length", "moe_intermediate_size", "count"),
        Key("expert_shared_feed_forward_length", "share_expert_dim"),
        Key("expert_weights_scale", "moe_router_scaling_factor", "f32", optional=True),
        Key("expert_weights_norm", "norm_expert_weight", "bool", optional=True),
        _leading,
        Key("moe_every_n_layers", "moe_every_n_layer", default=1),
        Key("attention.layer_norm_rms_epsilon", "rms_norm_eps", "f32", default=1e-5),
        _clamps,
        _further,
    ),
    replaced=((".transformer.", "."), ("shared_head.output", "shared_head.head")),
    prepared=_bases,
    blocks=_blocks,
    generated=_factors,
)
