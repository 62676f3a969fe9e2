"""Falcon 7B, 40B and 180B: rows of q, k and v are stored by groups of heads, and sorted into Q, K, V.

Where a configuration tells no number of key-value heads, transformers fills in that of all heads, and
upstream's converter believes it. Falcon 7B has one, and here it is written so.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import prod
from typing import Any

from translators.families.checkpoint import Checkpoint
from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.parameters import BLOCKS, FILE_TYPE, Key, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import Custom, Place
from translators.recipes import Recipe, concat, reshape, slice_

_CONTEXT = 2048  # in no configuration
_HEADS = ("num_attention_heads", "n_head")


def _groups(config: Mapping[str, Any]) -> int:
    """The number of key-value heads: of each group of heads one."""
    heads = Place(config).count(*_HEADS)
    given = config.get("num_kv_heads") or config.get("n_head_kv")
    if config.get("new_decoder_architecture") or config.get("model_type") == "RefinedWeb":
        return given if isinstance(given, int) else heads
    return 1 if config.get("multi_query", True) else heads


def _sorted(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    groups, each = _sizes(of, at)
    whole = reshape(of, (groups, each + 2, prod(of.shape) // groups // (each + 2)))
    parts = [
        slice_(whole, 1, start, stop) for start, stop in ((0, each), (each, each + 1), (each + 1, each + 2))
    ]
    return (concat([reshape(part, (-1, *of.shape[1:])) for part in parts], 0),)


def _grouped(parts: tuple[Recipe, ...], at: Place) -> Recipe:
    (of,) = parts
    groups, each = _sizes(of, at)
    size = of.shape[0] // (each + 2)  # rows of K, and of V
    ends = (0, each * size, each * size + size, of.shape[0])
    sorts = [slice_(of, 0, start, stop) for start, stop in pairwise(ends)]
    width = prod(of.shape) // groups // (each + 2)
    return reshape(concat([reshape(sort, (groups, -1, width)) for sort in sorts], 1), of.shape)


def _sizes(of: Recipe, at: Place) -> tuple[int, int]:
    """Groups, and heads in each."""
    groups, heads = _groups(at.config), at.count(*_HEADS)
    if groups < 1 or heads % groups or not of.shape or not prod(of.shape):
        raise at.misfit(f"{heads} heads cannot be divided into {groups} groups")
    if of.shape[0] % (heads + 2 * groups):
        raise at.misfit(f"{of.shape[0]} rows cannot be divided among {heads} heads")
    return groups, heads // groups


def _parameters(write: Parameters) -> None:
    width = write.integer("hidden_size")
    write.u32("context_length", _CONTEXT)
    write.string("tensor_data_layout", "jploski")
    write.u32("embedding_length", width, "hidden_size")
    write.u32("feed_forward_length", 4 * width, "hidden_size")
    BLOCKS(write)
    write.u32("attention.head_count", write.source.count(*_HEADS), "num_attention_heads")
    write.u32("attention.head_count_kv", _groups(write.config), "num_kv_heads")


def _heads_told(source: Checkpoint) -> dict[str, Any]:
    """Without the number of key-value heads that transformers would fill in."""
    config = dict(source.config)
    if source.model.config.get("num_kv_heads") is None and not config.get("new_decoder_architecture"):
        config.pop("num_kv_heads", None)
    return config


def _falcon(whole: dict[str, Any]) -> dict[str, Any]:
    width = whole["hidden_size"] if whole.get("n_embed") is None else whole["n_embed"]
    heads = whole["num_attention_heads"] if whole["num_kv_heads"] is None else whole["num_kv_heads"]
    return {**whole, "hidden_size": width, "num_kv_heads": heads}


def _described(told: Told) -> dict[str, Any]:
    heads = told.heads
    groups = heads.pop("num_key_value_heads")
    several = told.kept("blk.0.attn_norm_2.weight")
    every = groups == heads["num_attention_heads"]
    return told.frame("falcon", "FalconForCausalLM") | {
        "hidden_size": told.integer("embedding_length"),
        "num_hidden_layers": told.integer("block_count"),
        **heads,
        "num_kv_heads": groups,
        "multi_query": groups == 1,
        "new_decoder_architecture": several or not (every or groups == 1),
        "num_ln_in_parallel_attn": 2 if several else 1,
        "parallel_attn": True,
        "alibi": False,
        "bias": told.kept("blk.0.attn_qkv.bias"),
        "layer_norm_epsilon": told.number("attention.layer_norm_epsilon"),
        "max_position_embeddings": told.integer("context_length"),
        "rope_theta": told.number("rope.freq_base", 10000.0),
    }


def _returned(name: str, config: Mapping[str, Any]) -> str:
    """Where there are two norms, the first has another name."""
    return name.replace("input_layernorm", "ln_mlp") if config["num_ln_in_parallel_attn"] == 2 else name


FALCON = Family(
    architectures=("FalconForCausalLM", "RWForCausalLM"),
    arch="falcon",
    vocabulary="gpt2",
    prefix="transformer.",
    rules=(
        Rule("transformer.word_embeddings", "token_embd"),
        Rule("transformer.ln_f", "output_norm"),
        Rule("lm_head", "output", optional=True),
        Rule("transformer.h.{}.input_layernorm", "blk.{}.attn_norm", optional=True),
        Rule("transformer.h.{}.ln_mlp", "blk.{}.attn_norm", optional=True),
        Rule("transformer.h.{}.ln_attn", "blk.{}.attn_norm_2", optional=True),
        Rule("transformer.h.{}.self_attention.query_key_value", "blk.{}.attn_qkv", Custom(_sorted, _grouped)),
        Rule("transformer.h.{}.self_attention.dense", "blk.{}.attn_output"),
        Rule("transformer.h.{}.mlp.dense_h_to_4h", "blk.{}.ffn_up"),
        Rule("transformer.h.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down"),
    ),
    parameters=(_parameters, Key("attention.layer_norm_epsilon", "layer_norm_epsilon", "f32"), FILE_TYPE),
    prepared=_heads_told,
    described=_described,
    returned=_returned,
    configurations=(
        ConfigClass(
            "falcon",
            {
                "vocab_size": 65024, "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71,
                "layer_norm_epsilon": 1e-5, "num_kv_heads": None, "new_decoder_architecture": False,
                "multi_query": True, "max_position_embeddings": 2048, "rope_theta": 10000.0,
                "rope_scaling": None,
            },
            finished=_falcon,
        ),
    ),
)  # fmt: skip
