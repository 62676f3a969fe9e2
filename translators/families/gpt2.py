"""GPT-2: matrices are stored with inputs first, as its Conv1D modules have them, and are transposed."""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.parameters import BLOCKS, FILE_TYPE, Key, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import TRANSPOSED


def _feed_forward(write: Parameters) -> None:
    write.u32("feed_forward_length", 4 * write.integer("n_embd"), "n_embd")


def _described(told: Told) -> dict[str, Any]:
    context = told.integer("context_length")
    return told.frame("gpt2", "GPT2LMHeadModel") | {
        "activation_function": "gelu_new",
        "n_ctx": context,
        "n_positions": context,
        "n_embd": told.integer("embedding_length"),
        "n_head": told.integer("attention.head_count"),
        "n_layer": told.integer("block_count"),
        "layer_norm_epsilon": told.number("attention.layer_norm_epsilon"),
    }


GPT2 = Family(
    architectures=("GPT2LMHeadModel",),
    arch="gpt2",
    vocabulary="gpt2",
    prefix="transformer.",
    rules=(
        Rule("transformer.wte", "token_embd"),
        Rule("transformer.wpe", "position_embd"),
        Rule("transformer.ln_f", "output_norm"),
        Rule("lm_head", "output", optional=True),
        Rule("transformer.h.{}.ln_1", "blk.{}.attn_norm"),
        Rule("transformer.h.{}.attn.c_attn", "blk.{}.attn_qkv", TRANSPOSED),
        Rule("transformer.h.{}.attn.c_proj", "blk.{}.attn_output", TRANSPOSED),
        Rule("transformer.h.{}.ln_2", "blk.{}.ffn_norm"),
        Rule("transformer.h.{}.mlp.c_fc", "blk.{}.ffn_up", TRANSPOSED),
        Rule("transformer.h.{}.mlp.c_proj", "blk.{}.ffn_down", TRANSPOSED),
    ),
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
