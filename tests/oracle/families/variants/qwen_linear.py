"""Qwen3-Next and Qwen3.5: linear and full attention, with and without a layer that predicts tokens ahead."""

from __future__ import annotations

from typing import Any

from tests.oracle.families.side_files import VOCABULARY, byte_level, config
from tests.oracle.families.variant import Inventory, Variant

_LINEAR: dict[str, Any] = {
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 64,
    "linear_value_head_dim": 64,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
_EXPERTS: dict[str, Any] = {
    "moe_intermediate_size": 256,
    "shared_expert_intermediate_size": 256,
    "num_experts": 3,
    "num_experts_per_tok": 2,
}
_TYPES = ["linear_attention", "linear_attention", "linear_attention", "full_attention"]
_CLOSE = ("ssm_a",)
# llama.cpp runs no heads of keys and values that differ in size; the way of their rows differs all the same.
_NARROW = {"linear_key_head_dim": 32}


def _linear_attention(prefix: str, *, separate: bool, key: int) -> Inventory:
    """Four value heads of 64 on two key heads of `key`; a width of 256."""
    base, mixed = f"{prefix}linear_attn.", 4 * key + 256
    projections = {"in_proj_qkv": mixed, "in_proj_z": 256, "in_proj_b": 4, "in_proj_a": 4} if separate else {}
    return {
        base + "A_log": (4,),
        base + "dt_bias": (4,),
        base + "conv1d.weight": (mixed, 1, 4),
        base + "norm.weight": (64,),
        base + "out_proj.weight": (256, 256),
        **{f"{base}{name}.weight": (rows, 256) for name, rows in projections.items()},
    }


def _full_attention(prefix: str) -> Inventory:
    """Four heads of 64 whose queries come with gates, two of keys and values."""
    base = f"{prefix}self_attn."
    rows = {"q_proj": 512, "k_proj": 128, "v_proj": 128}
    return {
        **{f"{base}{name}.weight": (count, 256) for name, count in rows.items()},
        base + "o_proj.weight": (256, 256),
        base + "q_norm.weight": (64,),
        base + "k_norm.weight": (64,),
    }


def _feed_forward(prefix: str) -> Inventory:
    base = f"{prefix}mlp."
    return {base + name: (256, 256) for name in ("gate_proj.weight", "up_proj.weight", "down_proj.weight")}


def _fused_experts(prefix: str) -> Inventory:
    base = f"{prefix}mlp."
    shared = {f"{base}shared_expert.{name}_proj.weight": (256, 256) for name in ("gate", "up", "down")}
    return {
        base + "gate.weight": (3, 256),
        base + "shared_expert_gate.weight": (1, 256),
        base + "experts.gate_up_proj": (3, 512, 256),
        base + "experts.down_proj": (3, 256, 256),
        **shared,
    }


def _norms(prefix: str) -> Inventory:
    return {f"{prefix}input_layernorm.weight": (256,), f"{prefix}post_attention_layernorm.weight": (256,)}


def _predicting(inventory: Inventory, layer: Inventory) -> Inventory:
    """With a layer that predicts the token after the next."""
    ahead: Inventory = {
        "mtp.fc.weight": (256, 512),
        "mtp.pre_fc_norm_embedding.weight": (256,),
        "mtp.pre_fc_norm_hidden.weight": (256,),
        "mtp.norm.weight": (256,),
    }
    return {**inventory, **ahead, **layer}


def _qwen35(prefix: str, *, moe: bool, key: int = 64) -> Inventory:
    """Four layers, the last with full attention, and a predicting one."""
    rest = _fused_experts if moe else _feed_forward
    found: Inventory = {f"{prefix}embed_tokens.weight": (VOCABULARY, 256), f"{prefix}norm.weight": (256,)}
    for layer in range(4):
        base = f"{prefix}layers.{layer}."
        attention = _full_attention(base) if layer == 3 else _linear_attention(base, separate=True, key=key)
        found |= {**_norms(base), **attention, **rest(base)}
    ahead = "mtp.layers.0."
    whole = _predicting(found, {**_norms(ahead), **_full_attention(ahead), **rest(ahead)})
    return {**whole, "lm_head.weight": (VOCABULARY, 256)}


def _next_with_prediction(inventory: Inventory) -> Inventory:
    layer = {
        name.replace("model.layers.3.", "mtp.layers.0."): shape
        for name, shape in inventory.items()
        if name.startswith("model.layers.3.")
    }
    return _predicting(inventory, layer)


_NEXT = config(
    "Qwen3NextForCausalLM",
    "qwen3_next",
    **_LINEAR,
    **_EXPERTS,
    head_dim=64,
    num_hidden_layers=4,
    rms_norm_eps=1e-6,
)
_TEXT = {
    **config(
        "Qwen3_5ForCausalLM", "qwen3_5_text", **_LINEAR, head_dim=64, num_hidden_layers=4, rope_theta=None
    ),
    "layer_types": _TYPES,
    "full_attention_interval": 4,
    "mtp_num_hidden_layers": 1,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10000000,
        "partial_rotary_factor": 0.25,
        "mrope_section": [11, 11, 10],
        "mrope_interleaved": True,
    },
}
_DENSE_INSIDE = {
    **{key: value for key, value in _TEXT.items() if key not in ("architectures", "rope_parameters")},
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000000, "partial_rotary_factor": 0.5},
}

VARIANTS = (
    Variant(
        "Qwen3-Next-80B-A3B-Instruct", 7, _NEXT, byte_level(), changed=_next_with_prediction, close=_CLOSE
    ),
    Variant(
        "qwen3-next-plain-f16",
        7,
        {
            **_NEXT,
            **_NARROW,
            "tie_word_embeddings": True,
            "full_attention_interval": 2,
            "torch_dtype": "float16",
        },
        byte_level(),
        dtype="F16",
        options=("--no-nextn",),
        close=_CLOSE,
        note="has no layer that predicts ahead: upstream fails without `--no-nextn`, and is compared with it",
    ),
    Variant(
        "Qwen3.5-9B",
        8,
        {
            "architectures": ["Qwen3_5ForConditionalGeneration"],
            "model_type": "qwen3_5",
            "text_config": _DENSE_INSIDE,
            "tie_word_embeddings": False,
        },
        byte_level(),
        inventory=_qwen35("model.language_model.", moe=False),
        close=_CLOSE,
    ),
    Variant(
        "Qwen3.5-35B-A3B",
        8,
        {**_TEXT, **_EXPERTS, "architectures": ["Qwen3_5MoeForCausalLM"], "model_type": "qwen3_5_moe_text"},
        byte_level(),
        inventory=_qwen35("model.", moe=True),
        close=_CLOSE,
    ),
    Variant(
        "qwen3.5-narrow-keys",
        8,
        {**_TEXT, **_NARROW},
        byte_level(),
        inventory=_qwen35("model.", moe=False, key=32),
        close=_CLOSE,
    ),
)
