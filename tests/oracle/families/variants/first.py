"""Mixtral, the mixtures of Qwen, Gemma 1 and 2, GPT-2, Phi-3 and Phi-3.5-MoE."""

from __future__ import annotations

from tests.oracle.families.side_files import VOCABULARY, byte_level, config, pieces
from tests.oracle.families.variant import Variant

_FACTORS = [1.0 + 0.03 * number for number in range(32)]

_MIXTRAL = (
    # Grouped queries, experts of two layers, eight of them in all types of names' order (10 after 1).
    Variant("Mixtral-8x7B-v0.1", 2, config("MixtralForCausalLM", "mixtral", num_local_experts=12), pieces()),
    Variant(
        "mixtral-f16-shards",
        2,
        config(
            "MixtralForCausalLM",
            "mixtral",
            num_local_experts=4,
            num_experts_per_tok=1,
            num_key_value_heads=4,
            num_hidden_layers=3,
            sliding_window=1024,
            torch_dtype="float16",
        ),
        pieces(),
        dtype="F16",
        shards=3,
    ),
)
_QWEN = {"head_dim": None, "moe_intermediate_size": 256, "num_experts": 4, "num_experts_per_tok": 2}
_QWEN_MOE = (
    Variant(
        "Qwen1.5-MoE-A2.7B",
        6,
        config("Qwen2MoeForCausalLM", "qwen2_moe", **_QWEN, shared_expert_intermediate_size=512),
        byte_level(),
    ),
    # Eleven experts, so that names sort otherwise than numbers; a tied head; f32.
    Variant(
        "qwen2-moe-tied",
        6,
        config(
            "Qwen2MoeForCausalLM",
            "qwen2_moe",
            **{**_QWEN, "num_experts": 11},
            shared_expert_intermediate_size=256,
            num_hidden_layers=3,
            tie_word_embeddings=True,
            torch_dtype="float32",
        ),
        byte_level(),
        dtype="F32",
    ),
    Variant(
        "Qwen3-30B-A3B",
        6,
        config("Qwen3MoeForCausalLM", "qwen3_moe", **{**_QWEN, "head_dim": 128}),
        byte_level(),
    ),
    Variant(
        "qwen3-moe-yarn-f16",
        6,
        config(
            "Qwen3MoeForCausalLM",
            "qwen3_moe",
            **{**_QWEN, "head_dim": 64},
            tie_word_embeddings=True,
            rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048},
        ),
        byte_level(),
        dtype="F16",
        vectors="F32",
    ),
)
_GEMMA = {
    "head_dim": 64,
    "rms_norm_eps": 1e-6,
    "hidden_activation": "gelu_pytorch_tanh",
    "tie_word_embeddings": None,
}
_GEMMAS = (
    Variant(
        "gemma-2b-it", 11, config("GemmaForCausalLM", "gemma", **_GEMMA, num_key_value_heads=1), pieces()
    ),
    # Norms in F16 gain their 1 in F16.
    Variant(
        "gemma-7b-f16",
        11,
        config("GemmaForCausalLM", "gemma", **{**_GEMMA, "head_dim": 128}),
        pieces(),
        dtype="F16",
    ),
    Variant("gemma-2-2b", 11, config("Gemma2ForCausalLM", "gemma2", **_GEMMA, sliding_window=512), pieces()),
    Variant(
        "gemma-2-f32",
        11,
        config(
            "Gemma2ForCausalLM",
            "gemma2",
            **_GEMMA,
            num_hidden_layers=3,
            final_logit_softcapping=20.0,
            torch_dtype="float32",
        ),
        pieces(),
        dtype="F32",
    ),
)
_GPT2_CONFIG = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "n_ctx": 512,
    "n_embd": 256,
    "n_head": 4,
    "n_layer": 2,
    "n_positions": 512,
    "layer_norm_epsilon": 1e-5,
    "vocab_size": VOCABULARY,
    "bos_token_id": 415,
    "eos_token_id": 415,
    "activation_function": "gelu_new",
}


def _bare(inventory: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The first published GPT-2: without the prefix of the class with a head, and with its masks."""
    names = {name.removeprefix("transformer."): shape for name, shape in inventory.items()}
    masks = {f"h.{layer}.attn.bias": (1, 1, 64, 64) for layer in range(2)}
    return {**names, **masks}


_GPT2 = (
    Variant("gpt2-medium", 27, _GPT2_CONFIG, byte_level(), dtype="F32"),
    Variant("gpt2-f16-tied", 27, {**_GPT2_CONFIG, "n_layer": 3}, byte_level(), dtype="F16"),
)
_PHI3 = (
    Variant(
        "Phi-3-mini-4k-instruct",
        15,
        config("Phi3ForCausalLM", "phi3", pad_token_id=0, sliding_window=2047),
        pieces(),
    ),
    # LongRoPE in its old spelling.
    Variant(
        "Phi-3-mini-128k-instruct",
        15,
        config(
            "Phi3ForCausalLM",
            "phi3",
            pad_token_id=0,
            max_position_embeddings=131072,
            original_max_position_embeddings=4096,
            rope_scaling={"type": "su", "short_factor": [1.0] * 32, "long_factor": _FACTORS},
        ),
        pieces(),
    ),
    # GPT-2's tokenizer class, no window, part of a head rotated.
    Variant(
        "Phi-4-mini",
        15,
        config(
            "Phi3ForCausalLM",
            "phi3",
            pad_token_id=0,
            partial_rotary_factor=0.75,
            tie_word_embeddings=True,
            num_key_value_heads=1,
            max_position_embeddings=131072,
            original_max_position_embeddings=4096,
            rope_scaling={"type": "longrope", "short_factor": [1.0] * 24, "long_factor": _FACTORS[:24]},
        ),
        byte_level(tokenizer_class="GPT2Tokenizer"),
    ),
    Variant(
        "Phi-3.5-MoE-instruct",
        15,
        config(
            "PhiMoEForCausalLM",
            "phimoe",
            num_local_experts=4,
            lm_head_bias=True,
            attention_bias=True,
            max_position_embeddings=131072,
            original_max_position_embeddings=4096,
            rope_scaling={
                "type": "longrope",
                "short_factor": [1.0] * 32,
                "long_factor": _FACTORS,
                "short_mscale": 1.2,
                "long_mscale": 1.3,
                "original_max_position_embeddings": 4096,
            },
        ),
        pieces(),
        made_as="PhimoeForCausalLM",
    ),
)

VARIANTS = (*_MIXTRAL, *_QWEN_MOE, *_GEMMAS, *_GPT2, *_PHI3)
