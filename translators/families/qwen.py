"""Qwen2, Qwen2.5 and the dense Qwen3 (with norms of q and k by head): names change, bytes do not."""

from translators.families.llama import BLOCK, EMBEDDINGS
from translators.families.table import Family, Rule

_QWEN2_RULES = (
    *EMBEDDINGS,
    *BLOCK,
    Rule("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"),
    Rule("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"),
)

QWEN2 = Family(
    architectures=("Qwen2ForCausalLM", "Qwen2Model"),
    arch="qwen2",
    vocabulary="qwen",
    rules=_QWEN2_RULES,
    bare=frozenset({"Qwen2Model"}),
)

QWEN3 = Family(
    architectures=("Qwen3ForCausalLM", "Qwen3Model"),
    arch="qwen3",
    vocabulary="qwen",
    rules=(
        *_QWEN2_RULES,
        Rule("model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"),
        Rule("model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"),
    ),
)
