"""LFM2, dense and mixtures: short convolutions in some layers, attention in the others."""

from __future__ import annotations

from typing import Any

from translators.errors import MalformedSource
from translators.families.checkpoint import Checkpoint
from translators.families.configuration import ConfigClass, counted_layers
from translators.families.described import Told
from translators.families.llama import experts
from translators.families.parameters import COMMON, Key, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import Squeezed

_SIGMOID = 2
_LAYERS = (
    Rule("model.embed_tokens", "token_embd"),
    Rule("model.embedding_norm", "token_embd_norm"),
    Rule("model.layers.{}.operator_norm", "blk.{}.attn_norm"),
    Rule("model.layers.{}.ffn_norm", "blk.{}.ffn_norm"),
    # Without a bias: upstream fails on one.
    Rule("model.layers.{}.conv.conv.weight", "blk.{}.shortconv.conv.weight", Squeezed(1), optional=True),
    Rule("model.layers.{}.conv.in_proj", "blk.{}.shortconv.in_proj", optional=True),
    Rule("model.layers.{}.conv.out_proj", "blk.{}.shortconv.out_proj", optional=True),
    Rule("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", optional=True),
    Rule("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", optional=True),
    Rule("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v", optional=True),
    Rule("model.layers.{}.self_attn.out_proj", "blk.{}.attn_output", optional=True),
    Rule("model.layers.{}.self_attn.q_layernorm", "blk.{}.attn_q_norm", optional=True),
    Rule("model.layers.{}.self_attn.k_layernorm", "blk.{}.attn_k_norm", optional=True),
)


def _feed_forward(optional: bool) -> tuple[Rule, ...]:
    names = {"w1": "ffn_gate", "w2": "ffn_down", "w3": "ffn_up"}
    module = "model.layers.{}.feed_forward."
    return tuple(Rule(module + old, "blk.{}." + new, optional=optional) for old, new in names.items())


def _attending(source: Checkpoint) -> dict[str, Any]:
    """The configuration with key-value heads in layers of attention alone."""
    types, heads = source.config.get("layer_types"), source.config.get("num_key_value_heads")
    if not isinstance(types, list):
        raise MalformedSource("no list of layers", path="config.json", place="layer_types")
    moe = source.arch == "lfm2moe"
    attends = [each == "full_attention" if moe else each != "conv" for each in types]
    return {**source.config, "num_key_value_heads": [heads if each else 0 for each in attends]}


def _feed_forward_length(write: Parameters) -> None:
    length = write.integer("block_ff_dim", "intermediate_size")
    if write.required("block_auto_adjust_ff_dim"):
        length = int(2 * length / 3)
        if write.value("block_ffn_dim_multiplier") is not None:
            length = int(write.number("block_ffn_dim_multiplier") * length)
        multiple = write.source.count("block_multiple_of")
        length = multiple * ((length + multiple - 1) // multiple)
    write.u32("feed_forward_length", length, "intermediate_size")


def _gating(write: Parameters) -> None:
    write.u32("expert_gating_func", _SIGMOID)


def _lfm2(whole: dict[str, Any]) -> dict[str, Any]:
    """Keys that the first configurations had; layer_types from numbers of layers."""
    whole = {
        **whole,
        "rope_theta": whole.get("theta", whole["rope_theta"]),
        "intermediate_size": whole.get("block_ff_dim", whole["intermediate_size"]),
        "tie_word_embeddings": whole.get("tie_embedding", whole["tie_word_embeddings"]),
    }
    attending = whole.pop("full_attn_idxs")
    if whole["layer_types"] is None:
        layers = range(counted_layers(whole))
        attending = list(layers) if attending is None else attending
        whole["layer_types"] = ["full_attention" if layer in attending else "conv" for layer in layers]
    return whole


def _described(told: Told, model_type: str, architecture: str) -> dict[str, Any]:
    heads = told.numbers("attention.head_count_kv")
    return told.frame(model_type, architecture) | {
        "hidden_size": told.integer("embedding_length"),
        "intermediate_size": told.integer("feed_forward_length"),
        "num_hidden_layers": told.integer("block_count"),
        "num_attention_heads": told.integer("attention.head_count"),
        "num_key_value_heads": max(heads, default=0),
        "max_position_embeddings": told.integer("context_length"),
        "norm_eps": told.number("attention.layer_norm_rms_epsilon"),
        "rope_theta": told.number("rope.freq_base"),
        "conv_L_cache": told.integer("shortconv.l_cache"),
        "conv_bias": False,
        "layer_types": ["full_attention" if count else "conv" for count in heads],
    }


def _described_mixture(told: Told) -> dict[str, Any]:
    return _described(told, "lfm2_moe", "Lfm2MoeForCausalLM") | {
        "moe_intermediate_size": told.integer("expert_feed_forward_length"),
        "num_dense_layers": told.integer("leading_dense_block_count"),
        "num_experts": told.integer("expert_count"),
        "num_experts_per_tok": told.integer("expert_used_count"),
        "norm_topk_prob": True,
        "use_expert_bias": any(name.endswith("exp_probs_b.bias") for name in told.model.tensors),
    }


def _described_dense(told: Told) -> dict[str, Any]:
    return _described(told, "lfm2", "Lfm2ForCausalLM") | {"block_auto_adjust_ff_dim": False}


LFM2 = Family(
    architectures=("Lfm2ForCausalLM", "LFM2ForCausalLM"),
    arch="lfm2",
    vocabulary="gpt2",
    rules=(*_LAYERS, Rule("lm_head", "output", optional=True), *_feed_forward(optional=False)),
    parameters=(
        COMMON,
        Key("vocab_size", "vocab_size"),
        Key("shortconv.l_cache", "conv_L_cache"),
        Key("attention.layer_norm_rms_epsilon", "norm_eps", "f32"),
        _feed_forward_length,
    ),
    prepared=_attending,
    described=_described_dense,
    configurations=(
        ConfigClass(
            "lfm2",
            {
                "vocab_size": 65536, "hidden_size": 2560, "intermediate_size": 12288, "num_hidden_layers": 32,
                "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 128000,
                "norm_eps": 1e-5, "tie_word_embeddings": True, "rope_theta": 1000000.0, "conv_L_cache": 3,
                "block_multiple_of": 256, "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": True,
                "full_attn_idxs": None, "layer_types": None,
            },
            kv_heads=False,
            finished=_lfm2,
        ),
    ),
)  # fmt: skip

LFM2_MOE = Family(
    architectures=("Lfm2MoeForCausalLM",),
    arch="lfm2moe",
    vocabulary="gpt2",
    rules=(
        *_LAYERS,
        *_feed_forward(optional=True),
        Rule("model.layers.{}.feed_forward.gate", "blk.{}.ffn_gate_inp", optional=True),
        Rule("model.layers.{}.feed_forward.expert_bias", "blk.{}.exp_probs_b.bias", optional=True),
        experts("model.layers.{}.feed_forward.experts", ("w1", "w2", "w3")),
    ),
    parameters=(
        COMMON,
        Key("expert_feed_forward_length", "moe_intermediate_size", "count"),
        Key("leading_dense_block_count", "num_dense_layers"),
        _gating,
        Key("vocab_size", "vocab_size"),
        Key("shortconv.l_cache", "conv_L_cache"),
    ),
    prepared=_attending,
    described=_described_mixture,
)
