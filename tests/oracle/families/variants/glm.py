"""gpt-oss, GLM-4-9B, GLM-4-0414, GLM-4.5 and Solar Open."""

from __future__ import annotations

from typing import Any

from tests.oracle.families.side_files import VOCABULARY, byte_level, config
from tests.oracle.families.variant import Inventory, Variant
from tests.oracle.families.variants.deepseek import GLM_WORDS, plain_attention, with_next, written

_OSS = config(
    "GptOssForCausalLM", "gpt_oss", head_dim=64, num_local_experts=4, num_experts_per_tok=2,
    sliding_window=128, rope_theta=150000.0, vocab_size=VOCABULARY,
    rope_scaling={
        "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
        "original_max_position_embeddings": 1024,
    },
)  # fmt: skip
_OSSES = (
    Variant("gpt-oss-20b-BF16", 19, _OSS, byte_level()),
    Variant(
        "gpt-oss-f16-shards", 19,
        {**_OSS, "num_local_experts": 12, "num_hidden_layers": 3, "head_dim": 32, "intermediate_size": 512},
        byte_level(), dtype="F16", shards=3,
    ),
    Variant("gpt-oss-f32-tied", 19, {**_OSS, "tie_word_embeddings": True}, byte_level(), dtype="F32"),
)  # fmt: skip

_GLM4 = config(
    "Glm4ForCausalLM", "glm4", head_dim=64, attention_bias=True, vocab_size=VOCABULARY + 8, pad_token_id=0
)
_AIR = config(
    "Glm4MoeForCausalLM",
    "glm4_moe",
    head_dim=64,
    attention_bias=True,
    first_k_dense_replace=1,
    moe_intermediate_size=256,
    n_routed_experts=4,
    n_shared_experts=1,
    num_experts_per_tok=2,
    n_group=1,
    topk_group=1,
    norm_topk_prob=True,
    routed_scaling_factor=1.0,
    num_nextn_predict_layers=1,
    vocab_size=VOCABULARY + 8,
    partial_rotary_factor=0.5,
)
_SOLAR = config(
    "SolarOpenForCausalLM",
    "solar_open",
    head_dim=64,
    first_k_dense_replace=0,
    moe_intermediate_size=256,
    n_routed_experts=12,
    n_shared_experts=1,
    num_experts_per_tok=2,
    n_group=1,
    topk_group=1,
    norm_topk_prob=True,
    routed_scaling_factor=1.0,
    vocab_size=VOCABULARY + 8,
    partial_rotary_factor=1.0,
)
_NORMED = {**_AIR, "use_qk_norm": True, "n_routed_experts": 11, "num_hidden_layers": 3}
del _NORMED["num_nextn_predict_layers"]


def _biased(name: str, whole: dict[str, Any]) -> Inventory:
    found = plain_attention(name, whole)
    biases = {f"{name}.{kind}_proj.bias": found[f"{name}.{kind}_proj.weight"][:1] for kind in "qkv"}
    return {**found, **biases}


_GLMS = (
    Variant("GLM-4-9B-0414", 20, _GLM4, byte_level(*GLM_WORDS)),
    Variant(
        "GLM-Z1-tied-f16", 20,
        {**_GLM4, "tie_word_embeddings": True, "attention_bias": False, "partial_rotary_factor": 0.25},
        byte_level(*GLM_WORDS), dtype="F16",
    ),
    Variant(
        "glm-4-9b-chat-hf", 20,
        {**_GLM4, "architectures": ["GlmForCausalLM"], "model_type": "glm"}, byte_level(*GLM_WORDS),
    ),
    Variant("GLM-4.5-Air", 21, _AIR, byte_level(*GLM_WORDS), changed=with_next(_AIR, _biased)),
    Variant(
        "GLM-4.6-f16", 21,
        _NORMED, byte_level(*GLM_WORDS), dtype="F16", vectors="F32",
    ),
    Variant(
        "Solar-Open-100B", 21, _SOLAR, byte_level("<|startoftext|>", "<unk>"),
        inventory=written(_SOLAR, plain_attention),
    ),
)  # fmt: skip

VARIANTS = (*_OSSES, *_GLMS)
