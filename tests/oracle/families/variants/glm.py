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
_MXFP4 = {
    **_OSS, "num_local_experts": 11, "intermediate_size": 512,
    "quantization_config": {
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "lm_head"],
        "quant_method": "mxfp4",
    },
}  # fmt: skip


def _blocked(experts: int, hidden: int, inner: int) -> Inventory:
    """All tensors of a published gpt-oss: blocks of 32 numbers, 16 bytes and a scale each."""
    found: Inventory = {
        "model.embed_tokens.weight": (VOCABULARY, hidden),
        "model.norm.weight": (hidden,),
        "lm_head.weight": (VOCABULARY, hidden),
    }
    for number in range(2):
        name, mlp = f"model.layers.{number}", f"model.layers.{number}.mlp"
        matrices = plain_attention(f"{name}.self_attn", _OSS)
        biases = {key.replace(".weight", ".bias"): shape[:1] for key, shape in matrices.items()}
        found |= {
            **matrices, **biases,
            f"{name}.self_attn.sinks": (4,),
            f"{name}.input_layernorm.weight": (hidden,),
            f"{name}.post_attention_layernorm.weight": (hidden,),
            f"{mlp}.router.weight": (experts, hidden),
            f"{mlp}.router.bias": (experts,),
            f"{mlp}.experts.gate_up_proj_blocks": (experts, 2 * inner, hidden // 32, 16),
            f"{mlp}.experts.gate_up_proj_scales": (experts, 2 * inner, hidden // 32),
            f"{mlp}.experts.gate_up_proj_bias": (experts, 2 * inner),
            f"{mlp}.experts.down_proj_blocks": (experts, hidden, inner // 32, 16),
            f"{mlp}.experts.down_proj_scales": (experts, hidden, inner // 32),
            f"{mlp}.experts.down_proj_bias": (experts, hidden),
        }  # fmt: skip
    return found


_OSSES = (
    # As published: experts in MXFP4, whose blocks are repacked, the rest in BF16.
    Variant(
        "gpt-oss-20b", 19, _MXFP4, byte_level(), inventory=_blocked(11, 256, 512),
        dtypes={"_blocks": "U8", "_scales": "U8"},
    ),
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

_VISION = {
    "depth": 1, "hidden_size": 64, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64,
    "image_size": 56, "patch_size": 14, "in_channels": 3, "spatial_merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip


def _seeing(whole: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The configuration of a model that sees, whose text model has this one."""
    outer = {key: whole[key] for key in ("architectures", "model_type", "torch_dtype", "tie_word_embeddings")}
    inner = {key: value for key, value in whole.items() if key not in ("architectures", "torch_dtype")}
    inner |= {"model_type": f"{whole['model_type']}_text", "pad_token_id": 0, **changes}
    return {**outer, "text_config": inner, "vision_config": _VISION}


def _nested(inventory: Inventory) -> Inventory:
    """The names of a text model within one that sees."""
    names = {name.replace("model.", "model.language_model.", 1): shape for name, shape in inventory.items()}
    return {**names, "model.visual.merger.proj.weight": (64, 64)}


_AXES = {"rope_type": "default", "mrope_section": [4, 6, 6]}
_GLM4V = config(
    "Glm4vForConditionalGeneration", "glm4v", attention_bias=True, vocab_size=VOCABULARY + 8,
    partial_rotary_factor=0.5,
)  # fmt: skip
_GLM4V_MOE = {**_AIR, "architectures": ["Glm4vMoeForConditionalGeneration"], "model_type": "glm4v_moe"}
del _GLM4V_MOE["num_nextn_predict_layers"]
_OCR = config(
    "GlmOcrForConditionalGeneration", "glm_ocr", head_dim=64, num_nextn_predict_layers=1,
    vocab_size=VOCABULARY + 8, rope_theta=None,
)  # fmt: skip


def _ocr(layers: int) -> Inventory:
    hidden, found = 256, {"model.embed_tokens.weight": (VOCABULARY + 8, 256), "model.norm.weight": (256,)}
    for number in range(layers + 1):
        name = f"model.layers.{number}"
        found |= plain_attention(f"{name}.self_attn", _OCR)
        found |= {
            f"{name}.{norm}.weight": (hidden,)
            for norm in (
                "input_layernorm", "post_self_attn_layernorm", "post_attention_layernorm",
                "post_mlp_layernorm",
            )
        }  # fmt: skip
        found |= {
            f"{name}.mlp.gate_up_proj.weight": (512, hidden),
            f"{name}.mlp.down_proj.weight": (hidden, 256),
        }
    last = {
        f"model.layers.{layers}.{name}.weight": (hidden,) for name in ("enorm", "hnorm", "shared_head.norm")
    }
    found |= {**last, f"model.layers.{layers}.eh_proj.weight": (hidden, 2 * hidden)}
    return {**_nested(found), "lm_head.weight": (VOCABULARY + 8, hidden)}


_SEEING = (
    # Rotations along three axes: rows of q and k, and their biases, from pairs to halves.
    Variant("GLM-4.1V-9B-Thinking", 20, _seeing(_GLM4V, rope_scaling=_AXES), byte_level(*GLM_WORDS)),
    Variant(
        "glm-4.1v-grouped-f16", 20,
        _seeing(_GLM4V, rope_scaling=_AXES, num_key_value_heads=1, head_dim=64, partial_rotary_factor=0.25),
        byte_level(*GLM_WORDS), dtype="F16",
    ),
    Variant(
        "GLM-OCR", 20,
        _seeing(_OCR, rope_parameters={**_AXES, "rope_theta": 10000, "partial_rotary_factor": 0.5}),
        byte_level(*GLM_WORDS), inventory=_ocr(2),
    ),
    Variant("GLM-4.5V", 21, _seeing(_GLM4V_MOE, rope_scaling=_AXES), byte_level(*GLM_WORDS)),
)  # fmt: skip

VARIANTS = (*_OSSES, *_GLMS, *_SEEING)
