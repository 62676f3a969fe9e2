"""GPT-2 and StarCoder.

GPT-2's matrices are stored with inputs first, as its Conv1D modules have them, and are transposed; those of
StarCoder, whose modules have the same names, lie as they are used.
"""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.parameters import BLOCKS, FILE_TYPE, Key, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import SAME, TRANSPOSED, Transform


def _rules(matrix: Transform) -> tuple[Rule, ...]:
    """matrix: how those of a layer are stored."""
    return (
        Rule("transformer.wte", "token_embd"),
        Rule("transformer.wpe", "position_embd"),
        Rule("transformer.ln_f", "output_norm"),
        Rule("lm_head", "output", optional=True),
        Rule("transformer.h.{}.ln_1", "blk.{}.attn_norm"),
        Rule("transformer.h.{}.attn.c_attn", "blk.{}.attn_qkv", matrix),
        Rule("transformer.h.{}.attn.c_proj", "blk.{}.attn_output", matrix),
        Rule("transformer.h.{}.ln_2", "blk.{}.ffn_norm"),
        Rule("transformer.h.{}.mlp.c_fc", "blk.{}.ffn_up", matrix),
        Rule("transformer.h.{}.mlp.c_proj", "blk.{}.ffn_down", matrix),
    )


def _feed_forward(write: Parameters) -> None:
    write.u32("feed_forward_length", 4 * write.integer("n_embd"), "n_embd")


def _sizes(told: Told, model_type: str, architecture: str, activation: str) -> dict[str, Any]:
    return told.frame(model_type, architecture) | {
        "activation_function": activation,
        "n_positions": told.integer("context_length"),
        "n_embd": told.integer("embedding_length"),
        "n_head": told.integer("attention.head_count"),
        "n_layer": told.integer("block_count"),
        "layer_norm_epsilon": told.number("attention.layer_norm_epsilon"),
    }


def _described(told: Told) -> dict[str, Any]:
    found = _sizes(told, "gpt2", "GPT2LMHeadModel", "gelu_new")
    return found | {"n_ctx": found["n_positions"]}


GPT2 = Family(
    architectures=("GPT2LMHeadModel",),
    arch="gpt2",
    vocabulary="gpt2",
    prefix="transformer.",
    rules=_rules(TRANSPOSED),
    parameters=(
        BLOCKS,
        Key("context_length", "n_ctx"),
        Key("embedding_length", "n_embd"),
        _feed_forward,
        Key("attention.head_count", "n_head", "count"),
        Key("attention.layer_norm_epsilon", "layer_norm_epsilon", "f32"),
        FILE_TYPE,
    ),
    dropped=("*.attn.bias", "*.attn.masked_bias"),  # masks
    described=_described,
    configurations=(
        ConfigClass(
            "gpt2",
            {
                "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
                "n_inner": None, "layer_norm_epsilon": 1e-5,
            },
            aliases={
                "hidden_size": "n_embd", "max_position_embeddings": "n_positions",
                "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
            },
        ),
    ),
)  # fmt: skip


def _starcoder_shape(write: Parameters) -> None:
    write.u32("feed_forward_length", 4 * write.integer("n_embd"), "n_embd")
    write.u32("block_count", write.layers, "n_layer")
    write.count("attention.head_count", write.required("n_head"), "n_head")
    write.u32("attention.head_count_kv", 1)


def _described_starcoder(told: Told) -> dict[str, Any]:
    found = _sizes(told, "gpt_bigcode", "GPTBigCodeForCausalLM", "gelu_pytorch_tanh")
    return found | {"n_inner": told.integer("feed_forward_length"), "multi_query": True}


STARCODER = Family(
    architectures=("GPTBigCodeForCausalLM",),
    arch="starcoder",
    vocabulary="gpt2",
    prefix="transformer.",
    rules=_rules(SAME),
    parameters=(
        Key("context_length", "n_positions"),
        Key("embedding_length", "n_embd"),
        _starcoder_shape,
        Key("attention.layer_norm_epsilon", "layer_norm_epsilon", "f32"),
        FILE_TYPE,
    ),
    described=_described_starcoder,
    configurations=(
        ConfigClass(
            "gpt_bigcode",
            {
                "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
                "n_inner": None, "layer_norm_epsilon": 1e-05,
            },
            kv_heads=False,
            aliases={
                "hidden_size": "n_embd", "max_position_embeddings": "n_positions",
                "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
            },
        ),
    ),
)  # fmt: skip
