"""Mistral Small 3.1, Ministral 3, Phi-2."""

from __future__ import annotations

from tests.oracle.families.side_files import byte_level, config, pieces, preprocessor
from tests.oracle.families.variant import Inventory, Variant

_TEXT = {
    key: value
    for key, value in config("", "mistral", head_dim=64, rope_theta=1000000000.0).items()
    if key not in ("architectures", "torch_dtype")
}
_EYES = {
    "model_type": "pixtral",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "head_dim": 16,
    "image_size": 28,
    "patch_size": 14,
}
_YARN = {
    "rope_type": "yarn",
    "type": "yarn",
    "rope_theta": 1000000.0,
    "factor": 16.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "llama_4_scaling_beta": 0.1,
    "original_max_position_embeddings": 16384,
}


def _layers(prefix: str, head: str) -> Inventory:
    """Two layers of Llama's names."""
    rows = {
        "self_attn.q_proj": 256,
        "self_attn.k_proj": 128,
        "self_attn.v_proj": 128,
        "self_attn.o_proj": 256,
    }
    rows |= {"mlp.gate_proj": 256, "mlp.up_proj": 256, "mlp.down_proj": 256}
    found: Inventory = {f"{prefix}embed_tokens.weight": (416, 256), f"{prefix}norm.weight": (256,)}
    for layer in range(2):
        base = f"{prefix}layers.{layer}."
        found |= {f"{base}{name}.weight": (count, 256) for name, count in rows.items()}
        found |= {f"{base}{name}.weight": (256,) for name in ("input_layernorm", "post_attention_layernorm")}
    return {**found, head: (416, 256)}


def _latent(prefix: str, head: str) -> Inventory:
    """Two layers of Mistral 4: latent vectors, eleven experts in one tensor each way and a shared one."""
    found: Inventory = {f"{prefix}embed_tokens.weight": (416, 256), f"{prefix}norm.weight": (256,)}
    shapes: Inventory = {
        "self_attn.q_a_proj.weight": (256, 256),
        "self_attn.q_a_layernorm.weight": (256,),
        "self_attn.q_b_proj.weight": (4 * 96, 256),
        "self_attn.kv_a_proj_with_mqa.weight": (256 + 32, 256),
        "self_attn.kv_a_layernorm.weight": (256,),
        "self_attn.kv_b_proj.weight": (4 * (64 + 64), 256),
        "self_attn.o_proj.weight": (256, 256),
        "mlp.gate.weight": (11, 256),
        "mlp.experts.gate_up_proj": (11, 512, 256),
        "mlp.experts.down_proj": (11, 256, 256),
        "mlp.shared_experts.gate_proj.weight": (256, 256),
        "mlp.shared_experts.up_proj.weight": (256, 256),
        "mlp.shared_experts.down_proj.weight": (256, 256),
        "input_layernorm.weight": (256,),
        "post_attention_layernorm.weight": (256,),
    }
    for layer in range(2):
        found |= {f"{prefix}layers.{layer}.{name}": shape for name, shape in shapes.items()}
    return {**found, head: (416, 256)}


_MISTRAL4 = {
    **_TEXT,
    "model_type": "mistral4",
    "first_k_dense_replace": 0,
    "head_dim": 96,
    "kv_lora_rank": 256,
    "moe_intermediate_size": 256,
    "n_group": 1,
    "n_routed_experts": 11,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_experts_per_tok": 4,
    "num_key_value_heads": 4,
    "q_lora_rank": 256,
    "qk_nope_head_dim": 64,
    "qk_rope_head_dim": 32,
    "rope_parameters": {**_YARN, "original_max_position_embeddings": 8192},
    "routed_scaling_factor": 1.0,
    "topk_group": 1,
    "v_head_dim": 64,
}
_PHI2 = config(
    "PhiForCausalLM",
    "phi",
    rms_norm_eps=None,
    layer_norm_eps=1e-5,
    num_key_value_heads=4,
    intermediate_size=1024,
)

VARIANTS = (
    Variant(
        "Mistral-Small-3.1-24B-Instruct-2503",
        3,
        {
            "architectures": ["Mistral3ForConditionalGeneration"],
            "model_type": "mistral3",
            "text_config": _TEXT,
            "vision_config": _EYES,
            "image_token_index": 10,
            "torch_dtype": "bfloat16",
        },
        {**pieces(added_tokens_decoder={"14": {"content": "[IMG_BREAK]"}}), **preprocessor()},
        mmproj=("bf16", "f16", "q8_0"),
        note="as pixtral-12b",
    ),
    Variant(
        "Ministral-3-3B-Instruct-2512",
        3,
        {
            "architectures": ["Mistral3ForConditionalGeneration"],
            "model_type": "mistral3",
            "text_config": {
                **_TEXT,
                "model_type": "ministral3",
                "rope_theta": None,
                "rope_parameters": _YARN,
            },
            "vision_config": _EYES,
            "torch_dtype": "bfloat16",
        },
        pieces(),
        inventory=_layers("language_model.model.", "language_model.lm_head.weight"),
    ),
    Variant(
        "ministral-text-f16",
        3,
        {
            **config("Ministral3ForCausalLM", "ministral3", head_dim=64, rope_theta=None),
            "rope_parameters": _YARN,
            "torch_dtype": "float16",
        },
        pieces(),
        dtype="F16",
        inventory=_layers("model.", "lm_head.weight"),
    ),
    Variant(
        "Mistral-Small-4-119B-2603",
        3,
        {
            "architectures": ["Mistral3ForConditionalGeneration"],
            "model_type": "mistral3",
            "text_config": {key: value for key, value in _MISTRAL4.items() if key != "rope_theta"},
            "vision_config": _EYES,
            "torch_dtype": "bfloat16",
        },
        byte_level(),
        inventory=_latent("language_model.model.", "language_model.lm_head.weight"),
    ),
    Variant("phi-2", 15, _PHI2, byte_level(), dtype="F16"),
    Variant(
        "phi-1_5-tied-rotary",
        15,
        {**_PHI2, "partial_rotary_factor": 0.25, "num_hidden_layers": 3},
        byte_level(),
    ),
)
