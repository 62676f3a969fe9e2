"""BLOOM and MPT: GPTs that know positions by a bias of attention alone (ALiBi)."""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.neox import block
from translators.families.parameters import FILE_TYPE, Key, Parameters
from translators.families.table import Family, Rule


def _width(write: Parameters) -> int:
    return write.integer("hidden_size", "n_embed", "n_embd")


def _bloom_shape(write: Parameters) -> None:
    width = _width(write)
    write.u32("context_length", write.value("seq_length", default=width), "seq_length")
    write.u32("embedding_length", width, "hidden_size")
    write.u32("feed_forward_length", 4 * width, "hidden_size")
    write.u32("block_count", write.layers, "n_layer")
    heads = write.required("n_head", "num_attention_heads")
    write.count("attention.head_count", heads, "n_head")
    write.count("attention.head_count_kv", heads, "n_head")


def _bloom(whole: dict[str, Any]) -> dict[str, Any]:
    width = whole.pop("n_embed", None)
    return whole if width is None else {**whole, "hidden_size": width}


def _described_bloom(told: Told) -> dict[str, Any]:
    return told.frame("bloom", "BloomForCausalLM") | {
        "hidden_size": told.integer("embedding_length"),
        "n_layer": told.integer("block_count"),
        "n_head": told.integer("attention.head_count"),
        "seq_length": told.integer("context_length"),
        "layer_norm_epsilon": told.number("attention.layer_norm_epsilon"),
    }


BLOOM = Family(
    architectures=("BloomForCausalLM", "BloomModel"),
    arch="bloom",
    vocabulary="gpt2",
    prefix="",
    rules=(
        Rule("word_embeddings", "token_embd"),
        Rule("word_embeddings_layernorm", "token_embd_norm"),
        Rule("ln_f", "output_norm"),
        Rule("lm_head", "output", optional=True),
        *block("h.{}", "self_attention"),
    ),
    parameters=(_bloom_shape, Key("attention.layer_norm_epsilon", "layer_norm_epsilon", "f32"), FILE_TYPE),
    replaced=(("transformer.", ""),),
    described=_described_bloom,
    configurations=(
        ConfigClass(
            "bloom",
            {
                "vocab_size": 250880, "hidden_size": 64, "n_layer": 2, "n_head": 8,
                "layer_norm_epsilon": 1e-05,
            },
            kv_heads=False,
            aliases={"num_hidden_layers": "n_layer", "num_attention_heads": "n_head"},
            finished=_bloom,
        ),
    ),
)  # fmt: skip

_ATTENTION = {"clip_qkv": None, "alibi": True, "alibi_bias_max": 8}


def _mpt_shape(write: Parameters) -> None:
    width = write.integer("d_model")
    attention = write.required("attn_config")
    if not isinstance(attention, dict):
        raise write.checked.refusal("no object", "attn_config")
    write.u32("context_length", write.required("max_seq_len"), "max_seq_len")
    write.u32("embedding_length", width, "d_model")
    write.u32("block_count", write.layers, "n_layers")
    write.u32("feed_forward_length", 4 * width, "d_model")
    write.count("attention.head_count", write.required("n_heads"), "n_heads")
    if attention.get("kv_n_heads"):
        write.count("attention.head_count_kv", attention["kv_n_heads"], "kv_n_heads")
    write.f32("attention.layer_norm_epsilon", 1e-5)
    if attention.get("clip_qkv") is not None:
        write.f32("attention.clamp_kqv", attention["clip_qkv"], "clip_qkv")
    bias = attention.get("alibi_bias_max") if attention.get("alibi") else 0.0
    write.f32("attention.max_alibi_bias", bias, "alibi_bias_max")


def _mpt(whole: dict[str, Any]) -> dict[str, Any]:
    given = whole["attn_config"]
    return {**whole, "attn_config": {**_ATTENTION, **(given or {})}}


def _described_mpt(told: Told) -> dict[str, Any]:
    """MPT without biases, as all of them are; the class of transformers has no other."""
    bias, heads = told.number("attention.max_alibi_bias", 0.0), told.heads
    grouped = heads["num_key_value_heads"] != heads["num_attention_heads"]
    clamp = told.number("attention.clamp_kqv") if told.has("attention.clamp_kqv") else None
    return told.frame("mpt", "MPTForCausalLM") | {
        "d_model": told.integer("embedding_length"),
        "n_heads": heads["num_attention_heads"],
        "n_layers": told.integer("block_count"),
        "max_seq_len": told.integer("context_length"),
        "expansion_ratio": told.integer("feed_forward_length") // max(1, told.integer("embedding_length")),
        "layer_norm_epsilon": told.number("attention.layer_norm_epsilon"),
        "no_bias": True,
        "attn_config": {
            "attn_type": "grouped_query_attention" if grouped else "multihead_attention",
            **({"kv_n_heads": heads["num_key_value_heads"]} if grouped else {}),
            "alibi": bias > 0,
            # The class wants whole numbers.
            **({"alibi_bias_max": int(bias) if bias == int(bias) else bias} if bias else {}),
            "clip_qkv": clamp,
        },
    }


MPT = Family(
    architectures=("MPTForCausalLM",),
    arch="mpt",
    vocabulary="mpt",
    prefix="transformer.",
    rules=(
        Rule("transformer.wte", "token_embd"),
        Rule("transformer.norm_f", "output_norm"),
        Rule("transformer.blocks.{}.norm_1", "blk.{}.attn_norm"),
        Rule("transformer.blocks.{}.attn.Wqkv", "blk.{}.attn_qkv"),
        Rule("transformer.blocks.{}.attn.out_proj", "blk.{}.attn_output"),
        Rule("transformer.blocks.{}.norm_2", "blk.{}.ffn_norm"),
        Rule("transformer.blocks.{}.ffn.up_proj", "blk.{}.ffn_up"),
        Rule("transformer.blocks.{}.ffn.down_proj", "blk.{}.ffn_down"),
    ),
    # Upstream does not tell the file's type here.
    parameters=(_mpt_shape,),
    described=_described_mpt,
    configurations=(
        ConfigClass(
            "mpt",
            {
                "d_model": 2048, "n_heads": 16, "n_layers": 24, "expansion_ratio": 4, "max_seq_len": 2048,
                "vocab_size": 50368, "attn_config": None, "layer_norm_epsilon": 1e-05,
            },
            kv_heads=False,
            aliases={
                "num_attention_heads": "n_heads", "hidden_size": "d_model", "num_hidden_layers": "n_layers",
            },
            finished=_mpt,
        ),
    ),
)  # fmt: skip
