"""Phi-1, 1.5 and 2: attention and network side by side behind one norm; part of each head is rotated."""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.llama import PLAIN_QK
from translators.families.parameters import FILE_TYPE, Key, Parameters
from translators.families.phi import CONTEXT, HEADS, WIDTH, rope_dimensions
from translators.families.table import Family, Rule


def _phi2_sizes(write: Parameters) -> None:
    """Widths and heads, as Phi-2 has them: four times the width in between, as many key-value heads."""
    write.u32("embedding_length", write.integer(*WIDTH), "hidden_size")
    write.u32("feed_forward_length", 4 * write.integer(*WIDTH), "hidden_size")
    write.u32("block_count", write.layers, "num_hidden_layers")
    heads = write.source.count(*HEADS)
    write.u32("attention.head_count", heads)
    write.u32("attention.head_count_kv", heads)
    write.f32(
        "attention.layer_norm_epsilon",
        write.required("layer_norm_epsilon", "layer_norm_eps"),
        "layer_norm_eps",
    )
    write.u32("rope.dimension_count", rope_dimensions(write.source), "partial_rotary_factor")


def _no_bos(write: Parameters) -> None:
    write.bool("tokenizer.ggml.add_bos_token", False)


def _described2(told: Told) -> dict[str, Any]:
    heads, width = told.heads, told.integer("embedding_length")
    return told.frame("phi", "PhiForCausalLM") | {
        "hidden_size": width,
        "intermediate_size": told.rows("blk.0.ffn_up.weight"),
        "num_hidden_layers": told.integer("block_count"),
        **heads,
        "max_position_embeddings": told.integer("context_length"),
        "layer_norm_eps": told.number("attention.layer_norm_epsilon"),
        "partial_rotary_factor": told.integer("rope.dimension_count")
        * heads["num_attention_heads"]
        / max(1, width),
        "rope_theta": told.number("rope.freq_base", 10000.0),
        "hidden_act": "gelu_new",
        "qk_layernorm": False,
    }


PHI2 = Family(
    architectures=("PhiForCausalLM",),
    arch="phi2",
    vocabulary="gpt2",
    rules=(
        Rule("model.embed_tokens", "token_embd"),
        Rule("model.final_layernorm", "output_norm"),
        Rule("lm_head", "output", optional=True),
        Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
        *PLAIN_QK,
        Rule("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"),
        Rule("model.layers.{}.self_attn.dense", "blk.{}.attn_output"),
        Rule("model.layers.{}.mlp.fc1", "blk.{}.ffn_up"),
        Rule("model.layers.{}.mlp.fc2", "blk.{}.ffn_down"),
    ),
    parameters=(Key("context_length", CONTEXT), _phi2_sizes, FILE_TYPE, _no_bos),
    described=_described2,
    configurations=(
        ConfigClass(
            "phi",
            {
                "vocab_size": 51200, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24,
                "num_attention_heads": 32, "num_key_value_heads": None, "max_position_embeddings": 2048,
                "layer_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None,
                "partial_rotary_factor": 0.5,
            },
            rope=True,
        ),
    ),
)  # fmt: skip
