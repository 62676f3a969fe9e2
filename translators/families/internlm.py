"""InternLM2 and 3, Baichuan and XVERSE: Llamas whose query, key and value are stored in other ways.

InternLM2 has them group by group, a group's queries before its key and value; Baichuan one after the other.
Upstream's converter does not end on Baichuan; what is made here is what it means to make.
"""

from __future__ import annotations

from dataclasses import replace

from translators.families.llama import (
    ATTENTION_NORMS,
    EMBEDDINGS,
    FEED_FORWARD,
    LLAMA,
    ROTARY_QK,
    VALUE_AND_OUTPUT,
)
from translators.families.parameters import COMMON, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import Custom, Place, Rotary, Split, head_count
from translators.recipes import Recipe, concat, reshape, slice_

_QUERY, _KEY = Rotary("num_attention_heads"), Rotary("num_key_value_heads")
_NAMES = ("blk.{}.attn_q", "blk.{}.attn_k", "blk.{}.attn_v")
_THIRDS = Split(3)


def _groups(of: Recipe, at: Place) -> tuple[int, int, int]:
    """Groups, queries of each, and rows of a head."""
    groups, heads = head_count(at, "num_key_value_heads"), head_count(at, "num_attention_heads")
    rows = of.shape[0] if len(of.shape) == 2 else 0
    if not rows or heads % groups or rows % (heads + 2 * groups):
        raise at.misfit(f"{rows} rows cannot be divided among {heads} heads in {groups} groups")
    return groups, heads // groups, rows // (heads + 2 * groups)


def _by_group(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    groups, queries, size = _groups(of, at)
    whole = reshape(of, (groups, queries + 2, size, of.shape[1]))
    ends = ((0, queries), (queries, queries + 1), (queries + 1, queries + 2))
    query, key, value = (
        reshape(slice_(whole, 1, start, stop), (groups * (stop - start) * size, of.shape[1]))
        for start, stop in ends
    )
    return (*_QUERY.to_gguf(query, at), *_KEY.to_gguf(key, at), value)


def _in_groups(parts: tuple[Recipe, ...], at: Place) -> Recipe:
    query = _QUERY.to_huggingface(parts[:1], at)
    key = _KEY.to_huggingface(parts[1:2], at)
    groups, heads = head_count(at, "num_key_value_heads"), head_count(at, "num_attention_heads")
    size, width = query.shape[0] // heads, query.shape[1]
    shaped = [
        reshape(part, (groups, count, size, width))
        for part, count in ((query, heads // groups), (key, 1), (parts[2], 1))
    ]
    return reshape(concat(shaped, 1), ((heads + 2 * groups) * size, width))


INTERNLM2 = Family(
    architectures=("InternLM2ForCausalLM",),
    arch="internlm2",
    vocabulary="internlm2",
    rules=(
        Rule("model.tok_embeddings", "token_embd"),
        Rule("model.norm", "output_norm"),
        Rule("output", "output", optional=True),
        Rule("model.layers.{}.attention_norm", "blk.{}.attn_norm"),
        Rule("model.layers.{}.attention.wqkv", _NAMES, Custom(_by_group, _in_groups)),
        Rule("model.layers.{}.attention.wo", "blk.{}.attn_output"),
        Rule("model.layers.{}.ffn_norm", "blk.{}.ffn_norm"),
        Rule("model.layers.{}.feed_forward.w1", "blk.{}.ffn_gate"),
        Rule("model.layers.{}.feed_forward.w2", "blk.{}.ffn_down"),
        Rule("model.layers.{}.feed_forward.w3", "blk.{}.ffn_up"),
    ),
    parameters=(COMMON,),
    described=lambda told: told.draft("internlm2", "InternLM2ForCausalLM") | {"bias": False},
)

INTERNLM3 = replace(
    LLAMA, architectures=("InternLM3ForCausalLM",), vocabulary="internlm3", generated=None, bare=frozenset(),
    dropped=("mlp*", "vision_model*"),
)  # fmt: skip


def _packed(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    query, key, value = _THIRDS.to_gguf(of, at)
    return (*_QUERY.to_gguf(query, at), *_QUERY.to_gguf(key, at), value)


def _unpacked(parts: tuple[Recipe, ...], at: Place) -> Recipe:
    query, key = (_QUERY.to_huggingface((part,), at) for part in parts[:2])
    return _THIRDS.to_huggingface((query, key, parts[2]), at)


def _layout(write: Parameters) -> None:
    write.string("tensor_data_layout", "Meta AI original pth")
    heads = max(1, write.integer("num_attention_heads"))
    write.u32("rope.dimension_count", write.integer("hidden_size") // heads, "hidden_size")


def _key(at: Place) -> Rotary:
    """How keys are stored where a configuration need not say that there are as many as queries."""
    return _KEY if at.config.get("num_key_value_heads") is not None else _QUERY


def _keys(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    return _key(at).to_gguf(of, at)


def _keys_back(parts: tuple[Recipe, ...], at: Place) -> Recipe:
    return _key(at).to_huggingface(parts, at)


BAICHUAN = Family(
    architectures=("BaichuanForCausalLM", "BaiChuanForCausalLM"),
    arch="baichuan",
    vocabulary="sentencepiece",
    rules=(
        *EMBEDDINGS,
        *ATTENTION_NORMS,
        Rule("model.layers.{}.self_attn.W_pack", _NAMES, Custom(_packed, _unpacked)),
        Rule("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
        *FEED_FORWARD,
    ),
    parameters=(COMMON, _layout),
    described=lambda told: told.draft("baichuan", "BaichuanForCausalLM"),
)

XVERSE = Family(
    architectures=("XverseForCausalLM",),
    arch="xverse",
    vocabulary="xverse",
    rules=(
        *EMBEDDINGS,
        *ATTENTION_NORMS,
        ROTARY_QK[0],
        Rule("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", Custom(_keys, _keys_back)),
        *VALUE_AND_OUTPUT,
        *FEED_FORWARD,
    ),
    parameters=(COMMON, _layout),
    described=lambda told: told.draft("xverse", "XverseForCausalLM"),
)
