"""Qwen2, Qwen2.5, Qwen3 and their mixtures of experts: names change, bytes do not; experts are stacked.

A reranker of Qwen3's keeps of its head only the rows of "yes" and "no".
"""

from __future__ import annotations

from typing import Any

from translators.families.described import Told
from translators.families.llama import (
    ATTENTION_NORMS,
    BLOCK,
    EMBEDDINGS,
    PLAIN_QK,
    QK_NORMS,
    VALUE_AND_OUTPUT,
    experts,
)
from translators.families.parameters import COMMON, POOLING, RANKING, Key
from translators.families.table import Family, Rule
from translators.families.transforms import Split

DENSE = (*EMBEDDINGS, *BLOCK, *PLAIN_QK)
# Experts of each layer in one tensor, as transformers 5 saves them: gate above up.
FUSED_EXPERTS = (
    Rule("model.layers.{}.mlp.experts.down_proj", "blk.{}.ffn_down_exps.weight", optional=True),
    Rule(
        "model.layers.{}.mlp.experts.gate_up_proj",
        ("blk.{}.ffn_gate_exps.weight", "blk.{}.ffn_up_exps.weight"),
        Split(2, axis=-2),
        optional=True,
    ),
)
SPARSE = (
    *EMBEDDINGS,
    *ATTENTION_NORMS,
    *PLAIN_QK,
    *VALUE_AND_OUTPUT,
    Rule("model.layers.{}.mlp.gate", "blk.{}.ffn_gate_inp", optional=True),
    experts(),
)
SHARED_EXPERT = (
    Rule("model.layers.{}.mlp.shared_expert_gate", "blk.{}.ffn_gate_inp_shexp", optional=True),
    Rule("model.layers.{}.mlp.shared_expert.gate_proj", "blk.{}.ffn_gate_shexp", optional=True),
    Rule("model.layers.{}.mlp.shared_expert.up_proj", "blk.{}.ffn_up_shexp", optional=True),
    Rule("model.layers.{}.mlp.shared_expert.down_proj", "blk.{}.ffn_down_shexp", optional=True),
)
EXPERT_SIZES = (
    Key("expert_feed_forward_length", "moe_intermediate_size", optional=True),
    Key("expert_shared_feed_forward_length", "shared_expert_intermediate_size", optional=True),
)


def _mixture(told: Told, normalised: bool) -> dict[str, Any]:
    """What a mixture has besides. `normalised`: whether the weights of the chosen sum to 1, by arch."""
    found = {
        "num_experts": told.integer("expert_count"),
        "num_experts_per_tok": told.integer("expert_used_count"),
        "moe_intermediate_size": told.integer("expert_feed_forward_length"),
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": normalised,
    }
    shared = "expert_shared_feed_forward_length"
    return found | ({"shared_expert_intermediate_size": told.integer(shared)} if told.has(shared) else {})


QWEN2 = Family(
    architectures=("Qwen2ForCausalLM", "Qwen2Model"),
    arch="qwen2",
    vocabulary="qwen",
    rules=DENSE,
    parameters=(COMMON, POOLING),
    described=lambda told: told.draft("qwen2", "Qwen2ForCausalLM", derived_head=True),
    bare=frozenset({"Qwen2Model"}),
)

QWEN3 = Family(
    architectures=("Qwen3ForCausalLM", "Qwen3Model"),
    arch="qwen3",
    vocabulary="qwen",
    rules=(*DENSE, *QK_NORMS),
    parameters=(COMMON, POOLING, RANKING),
    described=lambda told: told.draft("qwen3", "Qwen3ForCausalLM", derived_head=True),
)

QWEN2_MOE = Family(
    architectures=("Qwen2MoeForCausalLM",),
    arch="qwen2moe",
    vocabulary="gpt2",
    rules=(*SPARSE, *FUSED_EXPERTS, *SHARED_EXPERT),
    parameters=(COMMON, *EXPERT_SIZES),
    described=lambda told: told.draft("qwen2_moe", "Qwen2MoeForCausalLM") | _mixture(told, False),
)

QWEN3_MOE = Family(
    architectures=("Qwen3MoeForCausalLM",),
    arch="qwen3moe",
    vocabulary="gpt2",
    rules=(*SPARSE, *FUSED_EXPERTS, *QK_NORMS),
    parameters=(COMMON, *EXPERT_SIZES),
    described=lambda told: told.draft("qwen3_moe", "Qwen3MoeForCausalLM") | _mixture(told, True),
)
