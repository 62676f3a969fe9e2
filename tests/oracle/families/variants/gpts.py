"""GPT-NeoX, BLOOM, MPT, StarCoder 1 and 2; OLMo 1, 2 and 3, OLMoE."""

from __future__ import annotations

from typing import Any

from tests.oracle.families.side_files import END, VOCABULARY, byte_level, config
from tests.oracle.families.variant import Variant

_NEOX = {
    "hidden_act": "gelu",
    "num_key_value_heads": None,
    "rms_norm_eps": None,
    "rope_theta": None,
    "layer_norm_eps": 1e-5,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
_BLOOM = {
    "architectures": ["BloomForCausalLM"],
    "model_type": "bloom",
    "n_embed": 256,
    "n_layer": 2,
    "num_attention_heads": 4,
    "layer_norm_epsilon": 1e-5,
    "seq_length": 2048,
    "vocab_size": VOCABULARY,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
_MPT = {
    "architectures": ["MPTForCausalLM"],
    "model_type": "mpt",
    "d_model": 256,
    "n_heads": 4,
    "n_layers": 2,
    "max_seq_len": 2048,
    "expansion_ratio": 4,
    "vocab_size": VOCABULARY,
    "no_bias": True,
    "attn_config": {"attn_type": "multihead_attention", "alibi": True, "alibi_bias_max": 8, "clip_qkv": 6},
}
_STARCODER = {
    "architectures": ["GPTBigCodeForCausalLM"],
    "model_type": "gpt_bigcode",
    "n_embd": 256,
    "n_head": 4,
    "n_inner": 1024,
    "n_layer": 2,
    "n_positions": 512,
    "layer_norm_epsilon": 1e-5,
    "multi_query": True,
    "vocab_size": VOCABULARY,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def _olmo(architecture: str, model_type: str, **changes: Any) -> dict[str, Any]:
    base = {"pad_token_id": 1, "bos_token_id": None, "eos_token_id": 2, **changes}
    return config(architecture, model_type, **base)


VARIANTS = (
    Variant("pythia-70m", 27, config("GPTNeoXForCausalLM", "gpt_neox", **_NEOX), byte_level(), dtype="F16"),
    Variant(
        "gpt-neox-serial",
        27,
        config(
            "GPTNeoXForCausalLM",
            "gpt_neox",
            **{**_NEOX, "rotary_pct": 1.0},
            num_hidden_layers=3,
            use_parallel_residual=False,
            tie_word_embeddings=True,
        ),
        byte_level(tokenizer_class="GPTNeoXTokenizerFast"),
        dtype="F32",
    ),
    Variant(
        "bloom-560m",
        27,
        _BLOOM,
        byte_level(tokenizer_class="BloomTokenizerFast", pad_token=END),
        dtype="F16",
    ),
    Variant("mpt-7b", 27, _MPT, byte_level(), dtype="BF16", made_as="MptForCausalLM"),
    Variant("starcoderbase-1b", 27, _STARCODER, byte_level(), dtype="F32"),
    Variant(
        "starcoder2-3b",
        27,
        config("Starcoder2ForCausalLM", "starcoder2", norm_epsilon=1e-5, rms_norm_eps=None, use_bias=True),
        byte_level(),
    ),
    Variant(
        "OLMo-1B-hf", 28, _olmo("OlmoForCausalLM", "olmo", clip_qkv=8.0, rms_norm_eps=None), byte_level()
    ),
    Variant("OLMo-2-1124-7B", 28, _olmo("Olmo2ForCausalLM", "olmo2", num_key_value_heads=None), byte_level()),
    Variant(
        "Olmo-3-7B",
        28,
        _olmo("Olmo3ForCausalLM", "olmo3", num_hidden_layers=4, sliding_window=1024),
        byte_level(),
        dtype="F16",
    ),
    Variant(
        "OLMoE-1B-7B",
        28,
        _olmo(
            "OlmoeForCausalLM",
            "olmoe",
            num_experts=12,
            num_experts_per_tok=2,
            num_key_value_heads=4,
            clip_qkv=None,
        ),
        byte_level(),
    ),
)
