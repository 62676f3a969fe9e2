"""ERNIE 4.5, dense and mixtures; its first checkpoints have fused matrices and names of their own.

Layers that predict further tokens are left out, as upstream leaves them out.
"""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.llama import (
    ATTENTION_NORMS,
    EMBEDDINGS,
    FEED_FORWARD,
    PLAIN_QK,
    VALUE_AND_OUTPUT,
    experts,
    optional,
)
from translators.families.parameters import COMMON, Key, Parameters
from translators.families.table import Family, Rule, Stack
from translators.families.transforms import Place, Split, head_count


def _heads(at: Place) -> tuple[int, ...]:
    others = head_count(at, "num_key_value_heads")
    return head_count(at, "num_attention_heads"), others, others


def _shared_length(write: Parameters) -> None:
    shared = write.value("moe_num_shared_experts")
    if shared is None:
        return
    write.u32("expert_shared_count", shared, "moe_num_shared_experts")
    length, heads = write.value("intermediate_size"), write.value("num_key_value_heads")
    if shared > 0 and length is not None and heads is not None:
        # Upstream divides by this number; llama.cpp takes the size from the tensors.
        length = write.integer("intermediate_size") // write.source.count("num_key_value_heads")
        write.u32("expert_shared_feed_forward_length", length, "intermediate_size")


def _values(hidden: int, ffn: int, layers: int, heads: int, kv_heads: int, **others: Any) -> dict[str, Any]:
    return {
        "vocab_size": 103424, "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": True, "rope_theta": 500000.0, "rope_scaling": None,
        **others,
    }  # fmt: skip


def _moe(whole: dict[str, Any]) -> dict[str, Any]:
    if whole["moe_layer_end_index"] == -1:
        whole = {**whole, "moe_layer_end_index": whole["num_hidden_layers"] - 1}
    return whole


def _described(told: Told, model_type: str = "ernie4_5", name: str = "Ernie4_5ForCausalLM") -> dict[str, Any]:
    found = told.draft(model_type, name, derived_head=model_type == "ernie4_5")
    return found | {"use_bias": told.kept("blk.0.attn_q.bias")}


def _described_mixture(told: Told) -> dict[str, Any]:
    shared = told.integer("expert_shared_count", 0)
    return (
        _described(told, "ernie4_5_moe", "Ernie4_5_MoeForCausalLM")
        | told.of(*_EXPERTS)
        | {"moe_num_shared_experts": shared, "moe_layer_end_index": -1}
    )


_EXPERTS = (
    Key("expert_count", "moe_num_experts"),
    Key("expert_used_count", "moe_k", "count"),
    Key("interleave_moe_layer_step", "moe_layer_interval"),
    Key("leading_dense_block_count", "moe_layer_start_index"),
    Key("expert_feed_forward_length", "moe_intermediate_size", "count", optional=True),
)

ERNIE = Family(
    architectures=("Ernie4_5ForCausalLM", "Ernie4_5_ForCausalLM"),
    arch="ernie4_5",
    vocabulary="ernie4.5",
    rules=(
        *EMBEDDINGS,
        *ATTENTION_NORMS,
        *optional(*PLAIN_QK, *VALUE_AND_OUTPUT, *FEED_FORWARD),
        Rule(
            "model.layers.{}.self_attn.qkv_proj", ("blk.{}.attn_q", "blk.{}.attn_k", "blk.{}.attn_v"),
            Split(3, sizes=_heads), optional=True,
        ),
        Rule(
            "model.layers.{}.mlp.up_gate_proj", ("blk.{}.ffn_gate", "blk.{}.ffn_up"), Split(2), optional=True
        ),
    ),
    parameters=(COMMON,),
    replaced=(("ernie.", "model."),),
    described=_described,
    configurations=(
        ConfigClass("ernie4_5", _values(1024, 3072, 18, 16, 2, head_dim=128), head_dim=True, rope=True),
    ),
)  # fmt: skip

ERNIE_MOE = Family(
    architectures=("Ernie4_5_MoeForCausalLM",),
    arch="ernie4_5-moe",
    vocabulary="ernie4.5",
    rules=(
        *EMBEDDINGS,
        *ATTENTION_NORMS,
        *PLAIN_QK,
        *VALUE_AND_OUTPUT,
        *optional(*FEED_FORWARD),
        *optional(
            Rule("model.layers.{}.mlp.gate", "blk.{}.ffn_gate_inp"),
            Rule("model.layers.{}.mlp.moe_statics.e_score_correction", "blk.{}.exp_probs_b"),
            Rule("model.layers.{}.mlp.shared_experts.gate_proj", "blk.{}.ffn_gate_shexp"),
            Rule("model.layers.{}.mlp.shared_experts.up_proj", "blk.{}.ffn_up_shexp"),
            Rule("model.layers.{}.mlp.shared_experts.down_proj", "blk.{}.ffn_down_shexp"),
        ),
        Stack(experts(names=("gate_proj", "up_proj", "down_proj")).parts, count=("moe_num_experts",)),
    ),
    parameters=(
        COMMON,
        *_EXPERTS,
        _shared_length,
    ),
    dropped=("model.mtp_block.*", "model.mtp_emb_norm.*", "model.mtp_hidden_norm.*",
        "model.mtp_linear_proj.*"),
    replaced=(("ernie.", "model."),),
    described=_described_mixture,
    configurations=(
        ConfigClass(
            "ernie4_5_moe",
            _values(
                2560, 12288, 28, 20, 4, moe_intermediate_size=1536, moe_k=6, moe_num_experts=64,
                moe_num_shared_experts=2, moe_layer_start_index=1, moe_layer_end_index=-1,
                moe_layer_interval=1,
            ),
            kv_heads=False,
            rope=True,
            aliases={"num_experts": "moe_num_experts", "num_experts_per_tok": "moe_k"},
            finished=_moe,
        ),
    ),
)  # fmt: skip
