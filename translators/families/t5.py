"""T5, Flan-T5, MT5 and UMT5: an encoder and a decoder, of which GGUF names each layer apart.

Checkpoints hold the embedding under up to three names; the first that comes is taken, as upstream takes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.families.checkpoint import Checkpoint
from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.parameters import BLOCKS, FILE_TYPE, Key
from translators.families.table import Family, Rule

_SHARED = ("decoder.embed_tokens.weight", "encoder.embed_tokens.weight", "shared.weight")
_CLASS = "T5ForConditionalGeneration"
_TAKEN = "_embedding"  # a key of the prepared configuration


def _attention(side: str, at: int, module: str, short: str, name: str) -> tuple[Rule, ...]:
    stem = f"{side}.block.{{}}.layer.{at}"
    optional = side == "decoder"
    return (
        Rule(f"{stem}.layer_norm", f"{short}.blk.{{}}.{name}_norm", optional=optional),
        *(
            Rule(f"{stem}.{module}.{part}", f"{short}.blk.{{}}.{name}_{part}", optional=optional)
            for part in "qkvo"
        ),
        # The first layer has it; in UMT5 every layer.
        Rule(f"{stem}.{module}.relative_attention_bias", f"{short}.blk.{{}}.{name}_rel_b", optional=True),
    )


def _feed_forward(side: str, at: int, short: str) -> tuple[Rule, ...]:
    stem, optional = f"{side}.block.{{}}.layer.{at}", side == "decoder"
    return (
        Rule(f"{stem}.layer_norm", f"{short}.blk.{{}}.ffn_norm", optional=optional),
        Rule(f"{stem}.DenseReluDense.wi", f"{short}.blk.{{}}.ffn_up", optional=True),
        Rule(f"{stem}.DenseReluDense.wi_0", f"{short}.blk.{{}}.ffn_gate", optional=True),
        Rule(f"{stem}.DenseReluDense.wi_1", f"{short}.blk.{{}}.ffn_up", optional=True),
        Rule(f"{stem}.DenseReluDense.wo", f"{short}.blk.{{}}.ffn_down", optional=optional),
    )


_ENCODER = (
    *(Rule(name.removesuffix(".weight"), "token_embd", optional=True) for name in reversed(_SHARED)),
    *_attention("encoder", 0, "SelfAttention", "enc", "attn"),
    *_feed_forward("encoder", 1, "enc"),
    Rule("encoder.final_layer_norm", "enc.output_norm"),
)
_DECODER = (
    *_attention("decoder", 0, "SelfAttention", "dec", "attn"),
    *_attention("decoder", 1, "EncDecAttention", "dec", "cross_attn"),
    *_feed_forward("decoder", 2, "dec"),
    Rule("decoder.final_layer_norm", "dec.output_norm"),
    Rule("lm_head", "output", optional=True),
)


def _one_embedding(source: Checkpoint) -> dict[str, Any]:
    names = (name for name in source.model.tensors if name in _SHARED)
    return {**source.config, _TAKEN: next(names, "")}


def _other_embedding(name: str, config: Mapping[str, Any]) -> bool:
    return name in _SHARED and name != config[_TAKEN]


_LENGTH = Key("context_length", "n_positions", default=512)
_HEADS = (
    Key("attention.head_count", "num_heads", "count"),
    Key("attention.key_length", "d_kv"),
    Key("attention.value_length", "d_kv"),
    Key("attention.layer_norm_epsilon", "layer_norm_epsilon", "f32"),
    Key("attention.relative_buckets_count", "relative_attention_num_buckets"),
    Key("attention.layer_norm_rms_epsilon", "layer_norm_epsilon", "f32"),
)
_WIDTHS = (_LENGTH, Key("embedding_length", "d_model"), Key("feed_forward_length", "d_ff", "count"), BLOCKS)


def _values(vocab: int, layers: int, heads: int, ffn: int, form: str, **others: Any) -> dict[str, Any]:
    return {
        "vocab_size": vocab, "d_model": 512, "d_kv": 64, "d_ff": ffn, "num_layers": layers,
        "num_decoder_layers": None, "num_heads": heads, "relative_attention_num_buckets": 32,
        "layer_norm_epsilon": 1e-06, "feed_forward_proj": form, "pad_token_id": 0, "eos_token_id": 1,
        **others,
    }  # fmt: skip


def _symmetric(whole: dict[str, Any]) -> dict[str, Any]:
    layers = whole["num_decoder_layers"]
    return {**whole, "num_decoder_layers": whole["num_layers"] if layers is None else layers}


def _class(name: str, values: dict[str, Any]) -> ConfigClass:
    aliases = {
        "hidden_size": "d_model", "num_attention_heads": "num_heads", "num_hidden_layers": "num_layers",
        "head_dim": "d_kv",
    }  # fmt: skip
    return ConfigClass(name, values, kv_heads=False, aliases=aliases, finished=_symmetric)


def _returned(name: str, config: Mapping[str, Any]) -> str:
    """What goes up has another name where there is a gate."""
    gated = config["feed_forward_proj"] != "relu"
    return name.replace("DenseReluDense.wi.", "DenseReluDense.wi_1.") if gated else name


def _described(told: Told) -> dict[str, Any]:
    """config.json of a T5, or of a UMT5 where every layer has positions of its own."""
    each = told.kept("enc.blk.1.attn_rel_b.weight")
    found = told.of(*_WIDTHS[:3], *_HEADS[:-1])
    gated = "gated-gelu" if told.kept("enc.blk.0.ffn_gate.weight") else "relu"
    found |= {"num_layers": told.integer("block_count"), "feed_forward_proj": gated}
    frame = told.frame("umt5", "UMT5ForConditionalGeneration") if each else told.frame("t5", _CLASS)
    return frame | found


def _described_whole(told: Told) -> dict[str, Any]:
    layers = told.integer("decoder_block_count", told.integer("block_count"))
    start = told.of(Key("decoder_start_token_id", "decoder_start_token_id"))
    return _described(told) | start | {"num_decoder_layers": layers, "is_encoder_decoder": True}


def _described_encoder(told: Told) -> dict[str, Any]:
    found = _described(told)
    name = "UMT5EncoderModel" if found["model_type"] == "umt5" else "T5EncoderModel"
    return found | {"architectures": [name], "tie_word_embeddings": True}


T5 = Family(
    architectures=(
        _CLASS, "T5WithLMHeadModel", "MT5ForConditionalGeneration",
        "UMT5ForConditionalGeneration", "UMT5Model",
    ),
    arch="t5",
    vocabulary="t5",
    rules=(*_ENCODER, *_DECODER),
    parameters=(
        *_WIDTHS,
        Key("decoder_block_count", "num_decoder_layers", optional=True),
        *_HEADS,
        Key("decoder_start_token_id", "decoder_start_token_id"),
        FILE_TYPE,
    ),
    prefix="",
    left_out=_other_embedding,
    prepared=_one_embedding,
    described=_described_whole,
    returned=_returned,
    configurations=(
        _class("t5", _values(32128, 6, 8, 2048, "relu")),
        _class("mt5", _values(250112, 8, 6, 1024, "gated-gelu", decoder_start_token_id=0)),
        _class("umt5", _values(250112, 8, 6, 1024, "gated-gelu", decoder_start_token_id=0)),
    ),
)  # fmt: skip

T5_ENCODER = Family(
    architectures=("T5EncoderModel",),
    arch="t5encoder",
    vocabulary="t5",
    rules=_ENCODER,
    parameters=(*_WIDTHS, *_HEADS, FILE_TYPE),
    prefix="",
    left_out=_other_embedding,
    prepared=_one_embedding,
    described=_described_encoder,
    returned=_returned,
)
