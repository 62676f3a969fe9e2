"""Command-R, Aya and Cohere's Command R7B: names change, bytes do not.

Cohere 2's biases are left out, which is right only if all of them are zero: their values are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from translators.errors import Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.configuration import ConfigClass, checked_layers
from translators.families.described import Told
from translators.families.llama import FEED_FORWARD, PLAIN_QK, QK_NORMS, VALUE_AND_OUTPUT, optional
from translators.families.parameters import COMMON, Key, Parameters
from translators.families.table import Family, Rule
from translators.gguf_file import GgufTensor

_RULES = (
    Rule("model.embed_tokens", "token_embd"),
    Rule("model.norm", "output_norm"),
    Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    *PLAIN_QK,
    *VALUE_AND_OUTPUT,
    *FEED_FORWARD,
)


def _unscaled(write: Parameters) -> None:
    write.string("rope.scaling.type", "none")


def _trained_context(source: Checkpoint) -> dict[str, Any]:
    """model_max_length is what the model was trained on, where it is told."""
    config = dict(source.config)
    if "model_max_length" in config:
        config["max_position_embeddings"] = config["model_max_length"]
    return config


def _rotated(write: Parameters) -> None:
    # Checkpoints saved by transformers 5 do not tell the part; all published ones rotate the whole.
    part = write.checked.finite(write.value("rotary_pct", default=1.0), "rotary_pct")
    width = write.integer("hidden_size") // write.source.count("num_attention_heads")
    write.u32("rope.dimension_count", int(part * width), "rotary_pct")


def _without_biases(source: Checkpoint, tensors: Iterator[GgufTensor]) -> Iterable[GgufTensor]:
    for name in source.model.tensors:
        if name.endswith(".bias") and source.numbers(name).any():
            raise Unsupported(
                "a bias that is not zero", place=f"tensor {name}",
                remedy="llama.cpp has no biases for this architecture",
            )  # fmt: skip
    return tensors


def _values(**others: Any) -> dict[str, Any]:
    return {
        "vocab_size": 256000, "hidden_size": 8192, "intermediate_size": 22528, "logit_scale": 0.0625,
        "num_hidden_layers": 40, "num_attention_heads": 64, "num_key_value_heads": None,
        "max_position_embeddings": 8192, "layer_norm_eps": 1e-5, "tie_word_embeddings": True,
        "rope_theta": 10000.0, "rope_scaling": None, **others,
    }  # fmt: skip


def _cohere2(whole: dict[str, Any]) -> dict[str, Any]:
    pattern = whole.get("sliding_window_pattern", 4)
    whole = {**whole, "head_dim": whole["hidden_size"] // whole["num_attention_heads"]}
    return checked_layers(whole, lambda layer: bool((layer + 1) % pattern))


def _described(told: Told, model_type: str, architecture: str) -> dict[str, Any]:
    found = told.draft(model_type, architecture, norm="layer_norm_eps")
    return found | told.of(_SCALE) | {"tie_word_embeddings": True}


def _described_r(told: Told) -> dict[str, Any]:
    normed = told.kept("blk.0.attn_q_norm.weight")
    return _described(told, "cohere", "CohereForCausalLM") | {"use_qk_norm": normed}


def _described2(told: Told) -> dict[str, Any]:
    """llama.cpp, too, takes every fourth layer for one without a window."""
    return (
        _described(told, "cohere2", "Cohere2ForCausalLM")
        | told.of(_WINDOW)
        | {
            "attention_bias": False,
            "rotary_pct": told.part("rope.dimension_count", told.head_dim),
            "sliding_window_pattern": 4,
        }
    )


_SCALE = Key("logit_scale", "logit_scale", "f32")
_WINDOW = Key("attention.sliding_window", "sliding_window")

COMMAND_R = Family(
    architectures=("CohereForCausalLM",),
    arch="command-r",
    vocabulary="gpt2",
    rules=(*_RULES, *optional(*QK_NORMS)),
    parameters=(COMMON, _SCALE, _unscaled),
    prepared=_trained_context,
    described=_described_r,
    configurations=(ConfigClass("cohere", _values(), rope="told"),),
)

COHERE2 = Family(
    architectures=("Cohere2ForCausalLM",),
    arch="cohere2",
    vocabulary="gpt2",
    rules=_RULES,
    parameters=(
        COMMON,
        _SCALE,
        _WINDOW,
        Key("vocab_size", "vocab_size"),
        _rotated,
        _unscaled,
    ),
    dropped=("*.bias",),
    finished=_without_biases,
    described=_described2,
    configurations=(
        ConfigClass(
            "cohere2", _values(sliding_window=4096, layer_types=None), rope="told", finished=_cohere2
        ),
    ),
)
