"""Gemma 1 and 2: norms are stored as their distance from 1, the head is always the embedding.

A GGUF holds the sum, which has lost what lies below 2**-23: a BF16 norm comes back exactly from 2**-16 on,
and 0; of others the nearest number that gives the same sum. More is not in the file.
"""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass, checked_layers
from translators.families.described import Told
from translators.families.llama import ATTENTION_NORMS, FEED_FORWARD, PLAIN_QK, VALUE_AND_OUTPUT
from translators.families.parameters import BLOCKS, FILE_TYPE, Key, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import added

_FROM_ONE = added(1.0)


def shifted(*rules: Rule) -> tuple[Rule, ...]:
    """The same rules, of norms that are stored as their distance from 1."""
    return tuple(Rule(rule.huggingface, rule.gguf, _FROM_ONE, rule.optional) for rule in rules)


EMBEDDING = Rule("model.embed_tokens", "token_embd")
NORM = Rule("model.norm", "output_norm")
FOUR_NORMS = (
    Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    Rule("model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"),
    Rule("model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm"),
    Rule("model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"),
)
MATRICES = (*PLAIN_QK, *VALUE_AND_OUTPUT, *FEED_FORWARD)


def _key_value_heads(write: Parameters) -> None:
    write.u32(
        "attention.head_count_kv",
        write.required("num_key_value_heads", "num_attention_heads"),
        "num_key_value_heads",
    )


_SHAPE = (
    Key("context_length", "max_position_embeddings"),
    Key("embedding_length", "hidden_size"),
    BLOCKS,
    Key("feed_forward_length", "intermediate_size", "count"),
    Key("attention.head_count", "num_attention_heads", "count"),
    _key_value_heads,
    Key("attention.layer_norm_rms_epsilon", "rms_norm_eps", "f32"),
    Key("attention.key_length", "head_dim"),
    Key("attention.value_length", "head_dim"),
    FILE_TYPE,
)


def _values(layers: int, hidden: int, ffn: int, heads: int, kv_heads: int, **others: Any) -> dict[str, Any]:
    return {
        "vocab_size": 256000, "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": 256,
        "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
        "rope_theta": 10000.0, **others,
    }  # fmt: skip


def alternating(whole: dict[str, Any]) -> dict[str, Any]:
    """layer_types where they are missing: windows in every other layer, from the first on."""
    return checked_layers(whole, lambda layer: (layer + 1) % 2 == 1)


def gemma_draft(told: Told, kind: str, architecture: str) -> dict[str, Any]:
    """What Gemma's configurations have in common."""
    shared = {"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh"}
    return told.draft(kind, architecture) | shared | {"tie_word_embeddings": True}


def query_scalar(told: Told, largest: int) -> int:
    """What queries are divided by the root of: no key tells; llama.cpp goes by the number of layers."""
    if told.integer("block_count") == largest:
        return told.integer("embedding_length") // max(1, told.heads["num_attention_heads"])
    return told.head_dim


def _described2(told: Told) -> dict[str, Any]:
    return gemma_draft(told, "gemma2", "Gemma2ForCausalLM") | {
        "attn_logit_softcapping": told.number("attn_logit_softcapping"),
        "final_logit_softcapping": told.number("final_logit_softcapping"),
        "sliding_window": told.integer("attention.sliding_window"),
        "query_pre_attn_scalar": query_scalar(told, 46),
    }


GEMMA = Family(
    architectures=("GemmaForCausalLM",),
    arch="gemma",
    vocabulary="gemma",
    rules=(EMBEDDING, *shifted(NORM, *ATTENTION_NORMS), *MATRICES),
    parameters=_SHAPE,
    dropped=("lm_head.weight",),
    described=lambda told: gemma_draft(told, "gemma", "GemmaForCausalLM"),
    configurations=(ConfigClass("gemma", _values(28, 3072, 24576, 16, 16), kv_heads=False),),
)

GEMMA2 = Family(
    architectures=("Gemma2ForCausalLM",),
    arch="gemma2",
    vocabulary="gemma2",
    rules=(EMBEDDING, *shifted(NORM, *FOUR_NORMS), *MATRICES),
    parameters=(
        *_SHAPE,
        Key("attn_logit_softcapping", "attn_logit_softcapping", "f32"),
        Key("final_logit_softcapping", "final_logit_softcapping", "f32"),
        Key("attention.sliding_window", "sliding_window"),
    ),
    dropped=("lm_head.weight",),
    described=_described2,
    configurations=(
        ConfigClass(
            "gemma2",
            _values(
                26, 2304, 9216, 8, 4, query_pre_attn_scalar=256, sliding_window=4096, layer_types=None,
                final_logit_softcapping=30.0, attn_logit_softcapping=50.0,
            ),
            kv_heads=False,
            finished=alternating,
        ),
    ),
)  # fmt: skip
