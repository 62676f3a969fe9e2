"""StableLM: norms of q and k are stored head by head where there are any, and stacked in a GGUF.

Upstream's converter fails on those norms ("unprocessed"); what is made here is what it means to make.
"""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.llama import EMBEDDINGS, FEED_FORWARD, PLAIN_QK, VALUE_AND_OUTPUT
from translators.families.parameters import BLOCKS, FILE_TYPE, Key, Parameters
from translators.families.table import Family, Rule, Stack


def _rotary(write: Parameters) -> None:
    factor = write.rope.get("partial_rotary_factor")
    if factor is None:
        raise write.checked.refusal("it is not told", "partial_rotary_factor")
    size = write.integer("hidden_size") // max(1, write.integer("num_attention_heads"))
    share = write.checked.finite(factor, "partial_rotary_factor")
    write.u32("rope.dimension_count", int(share * size), "partial_rotary_factor")


def _parallel(write: Parameters) -> None:
    write.bool("use_parallel_residual", write.value("use_parallel_residual", default=True))


def _norms(kind: str, count: str) -> Stack:
    name = f"model.layers.{{}}.self_attn.{kind}_layernorm.norms.{{}}"
    return Stack((Rule(name, f"blk.{{}}.attn_{kind}_norm", optional=True),), (count,))


def _described(told: Told) -> dict[str, Any]:
    found = told.draft("stablelm", "StableLmForCausalLM", norm="layer_norm_eps")
    head = found["hidden_size"] // max(1, found["num_attention_heads"])
    return found | {
        "partial_rotary_factor": told.part("rope.dimension_count", head),
        "use_parallel_residual": told.flag("use_parallel_residual"),
        "use_qkv_bias": found.pop("attention_bias"),
        "qk_layernorm": told.kept("blk.0.attn_q_norm.weight"),
    }


STABLELM = Family(
    architectures=("StableLmForCausalLM", "StableLMEpochForCausalLM", "LlavaStableLMEpochForCausalLM"),
    arch="stablelm",
    vocabulary="stablelm",
    rules=(
        *EMBEDDINGS,
        Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
        # Not where the residual is parallel.
        Rule("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm", optional=True),
        *PLAIN_QK,
        *VALUE_AND_OUTPUT,
        *FEED_FORWARD,
        _norms("q", "num_attention_heads"),
        _norms("k", "num_key_value_heads"),
    ),
    parameters=(
        Key("context_length", "max_position_embeddings"),
        Key("embedding_length", "hidden_size"),
        BLOCKS,
        Key("feed_forward_length", "intermediate_size", "count"),
        _rotary,
        Key("attention.head_count", "num_attention_heads", "count"),
        Key("attention.head_count_kv", "num_key_value_heads", "count"),
        _parallel,
        Key("attention.layer_norm_epsilon", ("layer_norm_eps", "norm_eps"), "f32"),
        FILE_TYPE,
    ),
    described=_described,
    configurations=(
        ConfigClass(
            "stablelm",
            {
                "vocab_size": 50304, "intermediate_size": 6912, "hidden_size": 2560, "num_hidden_layers": 32,
                "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096,
                "layer_norm_eps": 1e-05, "rope_theta": 10000, "rope_scaling": None,
                "partial_rotary_factor": 0.25, "use_parallel_residual": False,
            },
            kv_heads=False,
            rope=True,
        ),
    ),
)  # fmt: skip
