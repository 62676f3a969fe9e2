"""Granite 3, SmolLM3, Arcee, Seed-OSS: kin of Llama with small differences."""

from __future__ import annotations

from tests.oracle.families.side_files import byte_level, config, fast, pieces
from tests.oracle.families.variant import Variant

_SCALES = {
    "attention_multiplier": 0.015625, "embedding_multiplier": 12.0, "logits_scaling": 8.0,
    "residual_multiplier": 0.22,
}  # fmt: skip
_MOE = {**_SCALES, "num_local_experts": 4, "num_experts_per_tok": 2}
_LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 1024,
}  # fmt: skip
_GRANITE = (
    Variant(
        "granite-3.3-2b-instruct", 23,
        config("GraniteForCausalLM", "granite", **_SCALES, tie_word_embeddings=True), byte_level(),
    ),
    # Biases everywhere; multipliers left out, one of them zero.
    Variant(
        "granite-biased-f16", 23,
        config(
            "GraniteForCausalLM", "granite", attention_bias=True, mlp_bias=True, residual_multiplier=0,
            num_key_value_heads=None, rope_scaling={"rope_type": "linear", "factor": 2.0},
            torch_dtype="float16",
        ),
        pieces(), dtype="F16",
    ),
    Variant(
        "granite-3.1-1b-a400m", 23,
        config("GraniteMoeForCausalLM", "granitemoe", **_MOE, tie_word_embeddings=True), byte_level(),
    ),
    Variant(
        "granite-moe-shared-f32", 23,
        config(
            "GraniteMoeSharedForCausalLM", "granitemoeshared", **{**_MOE, "num_local_experts": 11},
            shared_intermediate_size=512, torch_dtype="float32",
        ),
        byte_level(), dtype="F32",
    ),
)  # fmt: skip
_KIN = (
    Variant(
        "SmolLM3-3B", 31,
        config(
            "SmolLM3ForCausalLM", "smollm3", num_hidden_layers=4, tie_word_embeddings=True, pad_token_id=0,
            rope_theta=5000000.0,
        ),
        byte_level(),
    ),
    Variant(
        "smollm3-yarn-f16", 31,
        config(
            "SmolLM3ForCausalLM", "smollm3", no_rope_layers=[1, 0], num_key_value_heads=4, pad_token_id=0,
            rope_theta=None, attention_bias=True,
            rope_scaling={"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 2048},
        ),
        fast(), dtype="F16",
    ),
    Variant("AFM-4.5B", 31, config("ArceeForCausalLM", "arcee", hidden_act="relu2", head_dim=128),
        byte_level()),
    Variant(
        "arcee-llama3-f32", 31,
        config(
            "ArceeForCausalLM", "arcee", hidden_act="relu2", attention_bias=True, mlp_bias=True,
            rope_scaling=_LLAMA3, tie_word_embeddings=True,
        ),
        pieces(), dtype="F32",
    ),
    Variant("Seed-OSS-36B-Instruct", 31, config("SeedOssForCausalLM", "seed_oss", head_dim=128),
        byte_level()),
    Variant(
        "seed-oss-tied-f16", 31,
        config(
            "SeedOssForCausalLM", "seed_oss", attention_bias=False, mlp_bias=True, attention_out_bias=True,
            head_dim=64, tie_word_embeddings=True, num_hidden_layers=3,
        ),
        byte_level(), dtype="F16", vectors="F32",
    ),
)  # fmt: skip

VARIANTS = (*_GRANITE, *_KIN)
