"""Mistral's own form of its models: the names of Meta's Llama, and rows of queries and keys pair by pair.

What llama.cpp's converter makes with `--mistral-format` (b11434), from params.json. It writes no length of
texts where params.json tells none, as most do, and llama.cpp then refuses the file: here it is told then,
32,768 tokens, or 131,072 of a model with Mistral's later tokenizer (tekken.json).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from translators.errors import Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.parameters import COMMON, Parameters
from translators.families.table import Family, Rule
from translators.sources.mistral import ARCHITECTURE

CONTEXT = "max_position_embeddings"
_PIECES, _TEKKEN = 32_768, 131_072
_LAYER = "layers.{}."
# YaRN's numbers by their keys in params.json, in upstream's order.
_YARN = (("beta_fast", "beta"), ("beta_slow", "alpha"))


def with_context(source: Checkpoint) -> dict[str, Any]:
    """params.json with the length of texts, which is told under one of two names or not at all."""
    config = dict(source.config)
    if config.get(CONTEXT) is None:
        tekken = (source.model.root / "tekken.json").is_file()
        config[CONTEXT] = config.get("max_seq_len") or (_TEKKEN if tekken else _PIECES)
    if config.get("head_dim") is None:
        config["head_dim"] = source.count("dim") // source.count("n_heads")
    return config


def _dimensions(write: Parameters) -> None:
    write.u32("rope.dimension_count", write.required("head_dim"), "head_dim")


def _scales(write: Parameters) -> None:
    """YaRN, and the scale of attention over long texts."""
    yarn = write.value("yarn")
    if yarn is not None:
        if not isinstance(yarn, Mapping):
            raise write.checked.refusal("no JSON object", "yarn")
        write.string("rope.scaling.type", "yarn")
        write.f32("rope.scaling.factor", yarn.get("factor"), "yarn.factor")
        for name, key in _YARN:
            write.f32(f"rope.scaling.yarn_{name}", yarn.get(key), f"yarn.{key}")
        write.f32("rope.scaling.yarn_log_multiplier", 0.0 if yarn.get("apply_scale") else 1.0)
        original = "original_max_position_embeddings"
        write.u32("rope.scaling.original_context_length", yarn.get(original), f"yarn.{original}")
    scaling = write.value("llama_4_scaling")
    if scaling is not None:
        beta = scaling.get("beta") if isinstance(scaling, Mapping) else None
        write.f32("attention.temperature_scale", beta, "llama_4_scaling.beta")


def _chosen(config: Mapping[str, Any]) -> Family:
    if config.get("moe") is not None:
        raise Unsupported(
            "a mixture of experts in Mistral's own form", path="params.json", place="moe",
            remedy="use the model's files in Hugging Face's form",
        )  # fmt: skip
    return MINISTRAL if "llama_4_scaling" in config else MISTRAL


MISTRAL = Family(
    architectures=(ARCHITECTURE,),
    arch="llama",
    vocabulary="mistral",
    rules=(
        Rule("tok_embeddings", "token_embd"),
        Rule("norm", "output_norm"),
        Rule("output", "output", optional=True),
        Rule(f"{_LAYER}attention_norm", "blk.{}.attn_norm"),
        Rule(f"{_LAYER}ffn_norm", "blk.{}.ffn_norm"),
        Rule(f"{_LAYER}attention.wq", "blk.{}.attn_q"),
        Rule(f"{_LAYER}attention.wk", "blk.{}.attn_k"),
        Rule(f"{_LAYER}attention.wv", "blk.{}.attn_v"),
        Rule(f"{_LAYER}attention.wo", "blk.{}.attn_output"),
        Rule(f"{_LAYER}feed_forward.w1", "blk.{}.ffn_gate"),
        Rule(f"{_LAYER}feed_forward.w2", "blk.{}.ffn_down"),
        Rule(f"{_LAYER}feed_forward.w3", "blk.{}.ffn_up"),
    ),
    prefix="",
    parameters=(COMMON, _dimensions, _scales),
    prepared=with_context,
    chosen=_chosen,
    native=True,
)
# With the scale of attention over long texts, which llama.cpp has a graph of its own for.
MINISTRAL = replace(MISTRAL, architectures=(), arch="mistral3", chosen=None)
