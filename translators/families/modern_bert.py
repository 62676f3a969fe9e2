"""Encoders after BERT: Nomic Embed and ModernBERT, which rotate queries and keys. Names alone change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.errors import Unsupported
from translators.families.bert import (
    CHECKED,
    DROPPED,
    OLD_NAMES,
    TYPES,
    classifier,
    encoder,
    judged,
    prefixed,
)
from translators.families.checkpoint import Checkpoint
from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.parameters import Key, Parameters
from translators.families.table import Family, Rule

# What Nomic's code can be told to do and its models do not: key, and the value that there must be.
_NOMIC = {
    "activation_function": "swiglu", "causal": False, "qkv_proj_bias": False, "mlp_fc1_bias": False,
    "mlp_fc2_bias": False, "prenorm": False, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
}  # fmt: skip
_NOMIC_POSITIONS = {8192: 2048, 2048: 512}  # told, and trained for


def _nomic(source: Checkpoint) -> dict[str, Any]:
    config = dict(source.config)
    if config.get("moe_every_n_layers"):
        raise Unsupported(
            "Nomic's mixture of experts has no GGUF translation yet", path="config.json",
            place="moe_every_n_layers", remedy="model.safetensors is available for every architecture",
        )  # fmt: skip
    wrong = [key for key, value in _NOMIC.items() if config.get(key, ()) != value]
    told = config.get("n_positions")
    if wrong or told not in _NOMIC_POSITIONS or config.get("max_trained_positions", 2048) != 2048:
        raise Unsupported(
            "a form of Nomic's model that llama.cpp does not know", path="config.json",
            place=wrong[0] if wrong else "n_positions",
        )  # fmt: skip
    return {**config, "n_positions": _NOMIC_POSITIONS[told]}


def _described_nomic(told: Told) -> dict[str, Any]:
    trained = told.integer("context_length")
    positions = next((n for n, known in _NOMIC_POSITIONS.items() if known == trained), None)
    if positions is None:
        raise Unsupported(f"a context of {trained} is none of Nomic's", place="key nomic-bert.context_length")
    return told.frame("nomic_bert", "NomicBertModel") | {
        **_NOMIC,
        "n_embd": told.integer("embedding_length"),
        "n_head": told.integer("attention.head_count"),
        "n_inner": told.integer("feed_forward_length"),
        "n_layer": told.integer("block_count"),
        "n_positions": positions,
        "max_trained_positions": 2048,
        "layer_norm_epsilon": told.number("attention.layer_norm_epsilon"),
        "rotary_emb_base": told.number("rope.freq_base"),
        "type_vocab_size": told.rows("token_types.weight"),
        "use_rms_norm": False,
    }


NOMIC_BERT = Family(
    architectures=("NomicBertModel",),
    arch="nomic-bert",
    vocabulary="nomic-bert",
    rules=(
        Rule("embeddings.word_embeddings", "token_embd"),
        TYPES,
        Rule("emb_ln", "token_embd_norm"),
        Rule("encoder.layers.{}.attn.Wqkv", "blk.{}.attn_qkv"),
        Rule("encoder.layers.{}.attn.out_proj", "blk.{}.attn_output"),
        Rule("encoder.layers.{}.norm1", "blk.{}.attn_output_norm"),
        Rule("encoder.layers.{}.mlp.fc11", "blk.{}.ffn_up"),
        Rule("encoder.layers.{}.mlp.fc12", "blk.{}.ffn_gate"),
        Rule("encoder.layers.{}.mlp.fc2", "blk.{}.ffn_down"),
        Rule("encoder.layers.{}.norm2", "blk.{}.layer_output_norm"),
    ),
    parameters=CHECKED,
    prefix="",
    dropped=DROPPED,
    replaced=(("bert.", ""), *OLD_NAMES),
    prepared=_nomic,
    described=_described_nomic,
)


def _no_scaling(write: Parameters) -> None:
    write.string("rope.scaling.type", "none")


_WINDOWS = (
    Key("attention.sliding_window", "local_attention"),
    Key("attention.sliding_window_pattern", "global_attn_every_n_layers", optional=True),
)
_ACTIVATION = Key("hidden_activation", "hidden_activation", "string", optional=True)


def _described_modern(told: Told) -> dict[str, Any]:
    separator = told.key_values.get("tokenizer.ggml.seperator_token_id")
    pooled = {1: "mean", 2: "cls"}.get(told.integer("classifier.pooling_type", 2))
    return encoder(told, "modernbert", "ModernBert") | {
        "hidden_size": told.integer("embedding_length"),
        "intermediate_size": told.integer("feed_forward_length"),
        "num_hidden_layers": told.integer("block_count"),
        "num_attention_heads": told.integer("attention.head_count"),
        "max_position_embeddings": told.integer("context_length"),
        "norm_eps": told.number("attention.layer_norm_epsilon"),
        "layer_norm_eps": told.number("attention.layer_norm_epsilon"),
        "global_rope_theta": told.number("rope.freq_base"),
        "local_rope_theta": told.number("rope.freq_base_swa"),
        **told.of(*_WINDOWS, _ACTIVATION),
        "classifier_pooling": pooled,
        **({"sep_token_id": separator} if isinstance(separator, int) else {}),
    }


def _returned_modern(name: str, config: Mapping[str, Any]) -> str:
    return prefixed(name.replace("classifier.out_proj", "classifier"), config, "model.")


MODERN_BERT = Family(
    architectures=("ModernBertModel", "ModernBertForMaskedLM", "ModernBertForSequenceClassification"),
    arch="modern-bert",
    vocabulary="modern-bert",
    rules=(
        Rule("embeddings.tok_embeddings", "token_embd"),
        Rule("embeddings.norm", "token_embd_norm"),
        Rule("final_norm", "output_norm"),
        Rule("layers.{}.attn_norm", "blk.{}.attn_norm", optional=True),  # the first layer has none
        Rule("layers.{}.attn.Wqkv", "blk.{}.attn_qkv"),
        Rule("layers.{}.attn.Wo", "blk.{}.attn_output"),
        Rule("layers.{}.mlp_norm", "blk.{}.ffn_norm"),
        Rule("layers.{}.mlp.Wi", "blk.{}.ffn_up"),
        Rule("layers.{}.mlp.Wo", "blk.{}.ffn_down"),
        Rule("head.dense", "cls", optional=True),
        Rule("head.norm", "cls.norm", optional=True),
        *classifier("classifier")[::2],
    ),
    parameters=(
        *CHECKED,
        *_WINDOWS,
        _no_scaling,
        Key("vocab_size", "vocab_size"),
        _ACTIVATION,
    ),
    prefix="",
    dropped=DROPPED,
    replaced=(("model.", ""), *OLD_NAMES),
    finished=judged,
    described=_described_modern,
    returned=_returned_modern,
    configurations=(
        ConfigClass(
            "modernbert",
            {
                "vocab_size": 50368, "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22,
                "num_attention_heads": 12, "hidden_activation": "gelu", "max_position_embeddings": 8192,
                "norm_eps": 1e-05, "pad_token_id": 50283, "eos_token_id": 50282, "bos_token_id": 50281,
                "cls_token_id": 50281, "sep_token_id": 50282, "global_rope_theta": 160000.0,
                "global_attn_every_n_layers": 3, "local_attention": 128, "local_rope_theta": 10000.0,
                "classifier_pooling": "cls",
            },
            kv_heads=False,
            aliases={"rope_theta": "global_rope_theta"},
        ),
    ),
)  # fmt: skip
