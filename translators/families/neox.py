"""GPT-NeoX and Pythia, StarCoder 2: GPTs after GPT-2; matrices lie as they are used.

NeoX and BLOOM store query, key and value head by head; llama.cpp wants all queries first.
"""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass, checked_scaling
from translators.families.described import Told
from translators.families.llama import EMBEDDINGS, PLAIN_QK, VALUE_AND_OUTPUT
from translators.families.parameters import BLOCKS, COMMON, Key, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import Custom, Place
from translators.recipes import Recipe, permute, reshape


def _grouped(of: Recipe, at: Place, order: tuple[int, int]) -> Recipe:
    """The rows seen as groups of heads and of three: (heads, 3) for one order, (3, heads) for the other."""
    rows = of.shape[0] if of.shape else 0
    if not rows or rows % (order[0] * order[1]):
        raise at.misfit(f"{rows} rows cannot be divided among {max(order)} heads")
    inner = (rows // (order[0] * order[1]), *of.shape[1:])
    axes = (1, 0, *range(2, 2 + len(inner)))
    return reshape(permute(reshape(of, (*order, *inner)), axes), of.shape)


def _apart(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    return (_grouped(of, at, (at.count("n_head", "num_attention_heads"), 3)),)


def _together(parts: tuple[Recipe, ...], at: Place) -> Recipe:
    (of,) = parts
    return _grouped(of, at, (3, at.count("n_head", "num_attention_heads")))


_BY_HEAD = Custom(_apart, _together)


def block(layer: str, attention: str) -> tuple[Rule, ...]:
    return (
        Rule(f"{layer}.input_layernorm", "blk.{}.attn_norm"),
        Rule(f"{layer}.{attention}.query_key_value", "blk.{}.attn_qkv", _BY_HEAD),
        Rule(f"{layer}.{attention}.dense", "blk.{}.attn_output"),
        Rule(f"{layer}.post_attention_layernorm", "blk.{}.ffn_norm"),
        Rule(f"{layer}.mlp.dense_h_to_4h", "blk.{}.ffn_up"),
        Rule(f"{layer}.mlp.dense_4h_to_h", "blk.{}.ffn_down"),
    )


def _rotary(write: Parameters) -> None:
    size = write.integer("hidden_size") // max(1, write.integer("num_attention_heads"))
    write.u32("rope.dimension_count", int(write.number("rotary_pct") * size), "rotary_pct")


def _parallel(write: Parameters) -> None:
    write.bool("use_parallel_residual", write.value("use_parallel_residual", default=True))


def _neox(whole: dict[str, Any]) -> dict[str, Any]:
    if whole["hidden_size"] % whole["num_attention_heads"]:
        raise ValueError("heads that do not divide the width")
    made = {
        **whole, "partial_rotary_factor": whole["rotary_pct"], "rope_theta": whole["rotary_emb_base"],
    }  # fmt: skip
    return {**made, "rope_scaling": checked_scaling(made, False)} if made.get("rope_scaling") else made


def _described_neox(told: Told) -> dict[str, Any]:
    heads = told.integer("attention.head_count")
    head = told.integer("embedding_length") // max(1, heads)
    return told.frame("gpt_neox", "GPTNeoXForCausalLM") | {
        "hidden_size": told.integer("embedding_length"),
        "intermediate_size": told.integer("feed_forward_length"),
        "num_hidden_layers": told.integer("block_count"),
        "num_attention_heads": heads,
        "max_position_embeddings": told.integer("context_length"),
        "layer_norm_eps": told.number("attention.layer_norm_epsilon"),
        "rotary_emb_base": told.number("rope.freq_base", 10000.0),
        "rotary_pct": told.part("rope.dimension_count", head),
        "use_parallel_residual": told.flag("use_parallel_residual"),
        "attention_bias": told.kept("blk.0.attn_qkv.bias"),
        "hidden_act": "gelu",
    }


GPT_NEOX = Family(
    architectures=("GPTNeoXForCausalLM",),
    arch="gptneox",
    vocabulary="gpt2",
    prefix="gpt_neox.",
    rules=(
        Rule("gpt_neox.embed_in", "token_embd"),
        Rule("gpt_neox.final_layer_norm", "output_norm"),
        Rule("embed_out", "output", optional=True),
        *block("gpt_neox.layers.{}", "attention"),
    ),
    # Upstream does not tell the file's type here.
    parameters=(
        Key("context_length", "max_position_embeddings"),
        Key("embedding_length", "hidden_size"),
        BLOCKS,
        Key("feed_forward_length", "intermediate_size", "count"),
        _rotary,
        Key("attention.head_count", "num_attention_heads", "count"),
        _parallel,
        Key("attention.layer_norm_epsilon", "layer_norm_eps", "f32"),
    ),
    dropped=("*.attention.bias", "*.attention.masked_bias", "*.rotary_emb.inv_freq"),
    described=_described_neox,
    configurations=(
        ConfigClass(
            "gpt_neox",
            {
                "vocab_size": 50432, "hidden_size": 6144, "num_hidden_layers": 44, "num_attention_heads": 64,
                "intermediate_size": 24576, "rotary_pct": 0.25, "rotary_emb_base": 10000,
                "max_position_embeddings": 2048, "layer_norm_eps": 1e-05, "use_parallel_residual": True,
                "rope_scaling": None,
            },
            kv_heads=False,
            finished=_neox,
        ),
    ),
)  # fmt: skip


def _described_starcoder2(told: Told) -> dict[str, Any]:
    return told.draft("starcoder2", "Starcoder2ForCausalLM", norm="norm_epsilon") | {
        "hidden_act": "gelu_pytorch_tanh",
        "use_bias": told.kept("blk.0.attn_q.bias"),
        "sliding_window": None,
    }


STARCODER2 = Family(
    architectures=("Starcoder2ForCausalLM",),
    arch="starcoder2",
    vocabulary="gpt2",
    rules=(
        *EMBEDDINGS,
        *PLAIN_QK,
        *VALUE_AND_OUTPUT,
        Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
        Rule("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
        Rule("model.layers.{}.mlp.c_fc", "blk.{}.ffn_up"),
        Rule("model.layers.{}.mlp.c_proj", "blk.{}.ffn_down"),
    ),
    parameters=(COMMON,),
    described=_described_starcoder2,
    configurations=(
        ConfigClass(
            "starcoder2",
            {
                "vocab_size": 49152, "hidden_size": 3072, "intermediate_size": 12288, "num_hidden_layers": 30,
                "num_attention_heads": 24, "num_key_value_heads": 2, "max_position_embeddings": 4096,
                "norm_epsilon": 1e-05, "rope_theta": 10000.0, "rope_scaling": None, "sliding_window": None,
            },
            kv_heads=False,
            rope=True,
        ),
    ),
)  # fmt: skip
