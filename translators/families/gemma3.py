"""Gemma 3, EmbeddingGemma: norms of q and k too; the embedding is cut off behind the tokenizer's tokens."""

from __future__ import annotations

from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.composed import GEMMA3_EYES
from translators.families.configuration import ConfigClass, Part, checked_layers
from translators.families.described import Told
from translators.families.gemma import (
    EMBEDDING,
    FOUR_NORMS,
    MATRICES,
    NORM,
    gemma_draft,
    query_scalar,
    shifted,
)
from translators.families.llama import QK_NORMS
from translators.families.parameters import COMMON, POOLING, Key, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import Custom, Place
from translators.recipes import Recipe, slice_
from translators.vocab.folder import Folder

# What `with_rows` adds to a configuration for `CROPPED`: how many rows the tokenizer has.
_ROWS = "rows of the tokenizer"
_PATTERN = 6


def with_rows(source: Checkpoint) -> dict[str, Any]:
    """The configuration, and how many rows of the embedding the tokenizer fills, as upstream counts."""
    folder = Folder(source.model.tokenizer or source.model.root)
    if folder.has("tokenizer.model"):
        return {**source.config, _ROWS: source.config.get("vocab_size")}
    tokenizer = folder.json("tokenizer.json")
    model = tokenizer.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    added = tokenizer.get("added_tokens")
    if not isinstance(vocab, dict) or not isinstance(added, list):
        raise MalformedSource("no vocabulary", path=folder.shown("tokenizer.json"))
    # Tokens that are in both count twice.
    return {**source.config, _ROWS: len(vocab) + len(added)}


def _cropped(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    rows = at.config.get(_ROWS)
    if not isinstance(rows, int) or rows >= of.shape[0] or len(of.shape) < 2:
        return (of,)
    return (slice_(of, 0, 0, at.count(_ROWS)),)


CROPPED = Custom(_cropped, lambda parts, at: parts[0])


def _checks(write: Parameters) -> None:
    if write.value("attn_logit_softcapping") is not None:
        raise Unsupported(
            "Gemma 3 has no soft cap of attention", path="config.json", place="attn_logit_softcapping"
        )


def _soft_cap(write: Parameters) -> None:
    if cap := write.value("final_logit_softcapping"):
        write.f32("final_logit_softcapping", cap)


def _window(write: Parameters) -> None:
    if write.value("sliding_window_pattern") != 1:
        write.u32("attention.sliding_window", write.required("sliding_window"), "sliding_window")


def _published_window(write: Parameters) -> None:
    """That of the file itself: the class of the configuration halves it where attention looks both ways."""
    window = write.source.model.config.get("sliding_window")
    write.u32("attention.sliding_window", window, "sliding_window")


PARAMETERS = (
    COMMON,
    Key("context_length", "max_position_embeddings", default=131072),
    Key("attention.head_count", "num_attention_heads", "count", default=8),
    Key("attention.layer_norm_rms_epsilon", "rms_norm_eps", "f32", default=1e-6),
    Key("attention.key_length", "head_dim", default=256),
    Key("attention.value_length", "head_dim", default=256),
    lambda write: write.f32("rope.freq_base", _theta(write), "rope_theta"),
    _checks,
    _soft_cap,
    _window,
    Key("attention.head_count_kv", "num_key_value_heads", "count", default=4),
)
_RULES = (
    Rule(EMBEDDING.huggingface, EMBEDDING.gguf, CROPPED),
    *shifted(NORM, *FOUR_NORMS, *QK_NORMS),
    *MATRICES,
)


def _theta(write: Parameters) -> object:
    full = write.rope.get("full_attention", write.rope)
    return full.get("rope_theta", 1_000_000.0) if isinstance(full, dict) else full


def _gemma3_text(whole: dict[str, Any]) -> dict[str, Any]:
    if whole["use_bidirectional_attention"]:
        whole = {**whole, "sliding_window": whole["sliding_window"] // 2 + 1}
    pattern = whole.get("sliding_window_pattern", _PATTERN)
    return checked_layers(whole, lambda layer: (layer + 1) % pattern != 0)


_TEXT = ConfigClass(
    "gemma3_text",
    {
        "vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
        "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
        "rope_theta": 1_000_000.0, "query_pre_attn_scalar": 256, "sliding_window": 4096, "layer_types": None,
        "final_logit_softcapping": None, "attn_logit_softcapping": None, "rope_scaling": None,
        "rope_local_base_freq": 10000.0, "use_bidirectional_attention": False,
    },
    kv_heads=False,
    rope=True,
    finished=_gemma3_text,
)  # fmt: skip


def _described(told: Told) -> dict[str, Any]:
    cap = "final_logit_softcapping"
    return gemma_draft(told, "gemma3_text", "Gemma3ForCausalLM") | {
        "tie_word_embeddings": "output.weight" not in told.model.tensors,
        "rope_local_base_freq": told.number("rope.freq_base_swa", 10000.0),
        "sliding_window": told.integer("attention.sliding_window"),
        "sliding_window_pattern": _PATTERN,
        "query_pre_attn_scalar": query_scalar(told, 62),
        "attn_logit_softcapping": None,
        cap: told.number(cap) if told.has(cap) else None,
    }


_PARTS = {"text_config": Part("gemma3_text"), "vision_config": GEMMA3_EYES}

GEMMA3 = Family(
    architectures=("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"),
    arch="gemma3",
    vocabulary="gemma3",
    rules=(*_RULES, Rule("lm_head", "output", optional=True)),
    parameters=PARAMETERS,
    prepared=with_rows,
    described=_described,
    configurations=(_TEXT, ConfigClass("gemma3", {}, parts=_PARTS)),
)


def _described_embedding(told: Told) -> dict[str, Any]:
    return _described(told) | {
        "architectures": ["Gemma3TextModel"],
        "tie_word_embeddings": True,
        "use_bidirectional_attention": True,
    }


EMBEDDING_GEMMA = Family(
    architectures=("Gemma3TextModel",),
    arch="gemma-embedding",
    vocabulary="gemma3",
    rules=_RULES,
    parameters=(*PARAMETERS, _published_window, POOLING),
    prepared=with_rows,
    described=_described_embedding,
)
