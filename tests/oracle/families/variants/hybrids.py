"""Mamba, Mamba-2, Granite 4, Bamba, Falcon-H1, Jamba, Nemotron and Nemotron-H, Falcon."""

from __future__ import annotations

from typing import Any

from tests.oracle.families.side_files import VOCABULARY, byte_level, config, fast, pieces
from tests.oracle.families.variant import Inventory, Variant

_CLOSE = (".ssm_a",)
_MAMBA: dict[str, Any] = {
    "architectures": ["MambaForCausalLM"], "model_type": "mamba", "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2, "state_size": 16, "conv_kernel": 4, "time_step_rank": 16, "expand": 2,
    "layer_norm_epsilon": 1e-5, "vocab_size": VOCABULARY, "use_conv_bias": True, "bos_token_id": 0,
    "eos_token_id": 0, "pad_token_id": 0, "tie_word_embeddings": True, "torch_dtype": "float32",
}  # fmt: skip


def _with_head(inventory: Inventory) -> Inventory:
    return {**inventory, "lm_head.weight": (VOCABULARY, 256)}


_MAMBAS = (
    Variant("mamba-130m-hf", 25, _MAMBA, byte_level(), dtype="F32", close=_CLOSE),
    Variant(
        "falcon-mamba-7b", 25,
        {
            **_MAMBA, "architectures": ["FalconMambaForCausalLM"], "model_type": "falcon_mamba",
            "use_bias": True, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
            "vocab_size": VOCABULARY - 3,
        },
        byte_level(), close=_CLOSE,
    ),
    # A head of its own; what is left out has upstream's defaults.
    Variant(
        "mamba-head-f16", 25,
        {
            key: value for key, value in _MAMBA.items()
            if key not in ("state_size", "conv_kernel", "time_step_rank", "intermediate_size")
        },
        byte_level(), dtype="F16", vectors="F32", close=_CLOSE, changed=_with_head,
    ),
)  # fmt: skip
_MAMBA2: dict[str, Any] = {
    "architectures": ["Mamba2ForCausalLM"], "model_type": "mamba2", "hidden_size": 256,
    "num_hidden_layers": 2,
    "state_size": 64, "conv_kernel": 4, "expand": 2, "head_dim": 64, "num_heads": 8, "n_groups": 2,
    "layer_norm_epsilon": 1e-5, "vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0,
    "pad_token_id": 0, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "rms_norm": True,
    "use_conv_bias": True, "use_bias": False,
}  # fmt: skip


def _codestral(inventory: Inventory) -> Inventory:
    return {f"model.{name}": shape for name, shape in inventory.items()}


_MAMBA2S = (
    Variant(
        "Mamba-Codestral-7B-v0.1", 24, _MAMBA2, pieces(), close=_CLOSE, changed=_codestral,
    ),
    Variant(
        "mamba2-f32", 24, {**_MAMBA2, "n_groups": 1, "use_bias": True},
        byte_level(), dtype="F32", close=_CLOSE,
    ),
)  # fmt: skip
_GRANITE4: dict[str, Any] = {
    "attention_multiplier": 0.015625, "embedding_multiplier": 12, "logits_scaling": 8,
    "residual_multiplier": 0.22,
    "mamba_n_heads": 8, "mamba_d_head": 64, "mamba_n_groups": 1, "mamba_d_state": 64, "mamba_d_conv": 4,
    "mamba_expand": 2, "shared_intermediate_size": 256, "num_hidden_layers": 3, "num_local_experts": 4,
    "num_experts_per_tok": 2, "layer_types": ["mamba", "attention", "mamba"], "pad_token_id": 0,
    "position_embedding_type": "nope",
}  # fmt: skip


def _granite4(**changes: Any) -> dict[str, Any]:
    return config("GraniteMoeHybridForCausalLM", "granitemoehybrid", **{**_GRANITE4, **changes})


_BAMBA: dict[str, Any] = {
    "mamba_n_heads": 8, "mamba_d_head": 64, "mamba_n_groups": 1, "mamba_d_state": 64, "mamba_d_conv": 4,
    "mamba_expand": 2, "num_hidden_layers": 3, "attn_layer_indices": [1], "attn_rotary_emb": 32,
    "pad_token_id": 0,
}  # fmt: skip
_GRANITES = (
    Variant("granite-4.0-h-tiny", 24, _granite4(tie_word_embeddings=True), byte_level(), close=_CLOSE),
    # No experts: the shared one is all there is. Groups, biases, F16.
    Variant(
        "granite-4.0-h-1b", 24,
        _granite4(
            num_local_experts=0, num_experts_per_tok=0, mamba_n_groups=2, mamba_proj_bias=True,
            torch_dtype="float16",
        ),
        byte_level(), dtype="F16", vectors="F32", close=_CLOSE,
    ),
    Variant(
        "granite-4.0-1b", 24,
        _granite4(
            num_local_experts=0, num_experts_per_tok=0, layer_types=["attention"] * 3,
            position_embedding_type="rope", tie_word_embeddings=True,
        ),
        byte_level(),
    ),
    Variant(
        "granite-4.0-attention-moe", 24,
        _granite4(layer_types=["attention"] * 3, position_embedding_type="rope"),
        byte_level(), dtype="F32",
    ),
    Variant("Bamba-9B-v2", 24, config("BambaForCausalLM", "bamba", **_BAMBA), byte_level(), close=_CLOSE),
    Variant(
        "bamba-f32", 24, config("BambaForCausalLM", "bamba", **{**_BAMBA, "mamba_n_groups": 4}), byte_level(),
        dtype="F32", close=_CLOSE,
    ),
)  # fmt: skip
_FALCON_H1: dict[str, Any] = {
    "mamba_d_ssm": 512, "mamba_n_heads": 8, "mamba_d_head": 64, "mamba_n_groups": 1, "mamba_d_state": 64,
    "mamba_d_conv": 4, "mamba_expand": 2, "head_dim": 64, "pad_token_id": 0, "mamba_rms_norm": False,
    "attention_in_multiplier": 0.7, "attention_out_multiplier": 0.9375,
    "embedding_multiplier": 5.656854249492381,
    "key_multiplier": 0.39062, "lm_head_multiplier": 0.0390625, "mlp_multipliers": [0.8838, 0.5859375],
    "ssm_in_multiplier": 1.25, "ssm_out_multiplier": 0.2357,
    "ssm_multipliers": [0.3535533905932738, 0.25, 0.3535, 0.5, 0.35355],
}  # fmt: skip
_FALCON_H1S = (
    Variant("Falcon-H1-0.5B-Base", 24, config("FalconH1ForCausalLM", "falcon_h1", **_FALCON_H1),
        byte_level(), close=_CLOSE),
    Variant(
        "falcon-h1-f16", 24,
        config(
            "FalconH1ForCausalLM", "falcon_h1",
            **{**_FALCON_H1, "mamba_rms_norm": True, "mamba_n_groups": 2, "num_key_value_heads": 4},
            tie_word_embeddings=True, torch_dtype="float16",
        ),
        byte_level(), dtype="F16", close=_CLOSE,
    ),
)  # fmt: skip
_JAMBA: dict[str, Any] = {
    "num_hidden_layers": 4, "attn_layer_period": 4, "attn_layer_offset": 1, "expert_layer_period": 2,
    "expert_layer_offset": 1, "num_experts": 4, "num_experts_per_tok": 2, "mamba_d_state": 16,
    "mamba_d_conv": 4,
    "mamba_expand": 2, "mamba_dt_rank": 16, "use_mamba_kernels": False, "pad_token_id": 0,
}  # fmt: skip
_JAMBAS = (
    Variant("Jamba-v0.1", 25, config("JambaForCausalLM", "jamba", **_JAMBA), pieces(), close=_CLOSE),
    Variant(
        "jamba-f32", 25,
        config(
            "JambaForCausalLM", "jamba", **{**_JAMBA, "num_experts": 11, "mamba_dt_rank": "auto"},
            tie_word_embeddings=True, torch_dtype="float32",
        ),
        fast(), dtype="F32", close=_CLOSE,
    ),
)  # fmt: skip


def _nemotron_h(pattern: str, experts: int = 0, latent: int = 0, further: bool = False) -> Inventory:
    shapes: Inventory = {
        "backbone.embeddings.weight": (VOCABULARY, 256), "backbone.norm_f.weight": (256,),
        "lm_head.weight": (VOCABULARY, 256),
    }  # fmt: skip
    for number, kind in enumerate(pattern):
        layer = f"backbone.layers.{number}."
        shapes[f"{layer}norm.weight"] = (256,)
        shapes |= {f"{layer}mixer.{name}": shape for name, shape in _mixer(kind, experts, latent).items()}
    if further:
        shapes |= {f"mtp.layers.0.mixer.{name}": shape for name, shape in _mixer("*", 0, 0).items()}
        shapes |= {
            f"mtp.layers.1.mixer.{name}": shape for name, shape in _mixer("E", experts, latent).items()
        }
        for name in ("0.norm", "0.enorm", "0.hnorm", "1.norm", "1.final_layernorm"):
            shapes[f"mtp.layers.{name}.weight"] = (256,)
        shapes["mtp.layers.0.eh_proj.weight"] = (256, 512)
    return shapes


def _mixer(kind: str, experts: int, latent: int) -> Inventory:
    if kind == "M":  # 8 heads of 64, 2 groups of 64 states
        return {
            "in_proj.weight": (2 * 512 + 4 * 64 + 8, 256), "conv1d.weight": (768, 1, 4),
            "conv1d.bias": (768,),
            "A_log": (8,), "D": (8,), "dt_bias": (8,), "norm.weight": (512,), "out_proj.weight": (256, 512),
        }  # fmt: skip
    if kind == "*":
        return {
            "q_proj.weight": (512, 256), "k_proj.weight": (256, 256), "v_proj.weight": (256, 256),
            "o_proj.weight": (256, 512),
        }  # fmt: skip
    if kind == "-":
        return {"up_proj.weight": (512, 256), "down_proj.weight": (256, 512)}
    width = latent or 256
    made: Inventory = {"gate.weight": (experts, 256), "gate.e_score_correction_bias": (experts,)}
    if latent:
        made |= {"fc1_latent_proj.weight": (latent, 256), "fc2_latent_proj.weight": (256, latent)}
    made |= {"shared_experts.up_proj.weight": (512, 256), "shared_experts.down_proj.weight": (256, 512)}
    for expert in range(experts):
        made[f"experts.{expert}.up_proj.weight"] = (256, width)
        made[f"experts.{expert}.down_proj.weight"] = (width, 256)
    return made


def _nemotron(pattern: str, **changes: Any) -> dict[str, Any]:
    base = {
        "num_hidden_layers": len(pattern), "hybrid_override_pattern": pattern, "head_dim": 128,
        "mamba_head_dim": 64, "mamba_num_heads": 8, "n_groups": 2, "ssm_state_size": 64, "conv_kernel": 4,
        "expand": 2, "intermediate_size": 512, "layer_norm_epsilon": 1e-5, "rms_norm_eps": None,
        "rope_theta": None,
    }  # fmt: skip
    return config("NemotronHForCausalLM", "nemotron_h", **{**base, **changes})


_EXPERTS: dict[str, Any] = {
    "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 256, "n_shared_experts": 1,
    "moe_shared_expert_intermediate_size": 512, "norm_topk_prob": True, "routed_scaling_factor": 2.5,
    "n_group": 1, "topk_group": 1,
}  # fmt: skip
_NEMOTRONS = (
    Variant(
        "Minitron-4B-Base", 24,
        config("NemotronForCausalLM", "nemotron", norm_eps=1e-5, rms_norm_eps=None, head_dim=64,
            pad_token_id=0),
        pieces(),
    ),
    Variant(
        "nemotron-f16", 24,
        config(
            "NemotronForCausalLM", "nemotron", norm_eps=1e-6, rms_norm_eps=None, head_dim=128, pad_token_id=0,
            attention_bias=True, mlp_bias=True, partial_rotary_factor=0.25, tie_word_embeddings=True,
        ),
        pieces(), dtype="F16",
    ),
    Variant(
        "Nemotron-H-8B-Base-8K", 24, _nemotron("M-*-"), byte_level(), inventory=_nemotron_h("M-*-"),
        close=_CLOSE
    ),
    Variant(
        "nemotron-h-f32", 24, _nemotron("*M-M", attention_head_dim=128, head_dim=None), byte_level(),
        dtype="F32",
        inventory=_nemotron_h("*M-M"), close=_CLOSE,
    ),
    Variant(
        "Nemotron-3-Nano-30B-A3B", 24, _nemotron("ME*E", **_EXPERTS), byte_level(),
        inventory=_nemotron_h("ME*E", experts=4), close=_CLOSE,
    ),
    Variant(
        "Nemotron-3-Super-120B-A12B", 24, _nemotron("ME*E", **_EXPERTS, num_nextn_predict_layers=1),
        byte_level(),
        inventory=_nemotron_h("ME*E", experts=4, further=True), close=_CLOSE,
    ),
    # Experts behind a narrower space, a pattern in words, eleven of them.
    Variant(
        "nemotron-3-latent-f16", 24,
        _nemotron(
            "ME*", hybrid_override_pattern=None, layers_block_type=["mamba", "moe", "attention"],
            moe_latent_size=256, **{**_EXPERTS, "n_routed_experts": 11},
        ),
        byte_level(), dtype="F16", vectors="F32", inventory=_nemotron_h("ME*", experts=11, latent=256),
        close=_CLOSE,
    ),
)  # fmt: skip


def _falcon(**changes: Any) -> dict[str, Any]:
    base = {
        "architectures": ["FalconForCausalLM"], "model_type": "falcon", "hidden_size": 256, "bias": False,
        "num_attention_heads": 4, "num_hidden_layers": 2, "layer_norm_epsilon": 1e-5, "parallel_attn": True,
        "multi_query": True, "alibi": False, "new_decoder_architecture": False, "vocab_size": VOCABULARY,
        "torch_dtype": "bfloat16", "bos_token_id": 11, "eos_token_id": 11,
    }  # fmt: skip
    return {**base, **changes}


_FALCONS = (
    # With the number that upstream takes from transformers; without it, see test_families_values.
    Variant(
        "falcon-7b", 26, _falcon(num_kv_heads=1), byte_level(),
        note="upstream fails unless told num_kv_heads; here it is not needed",
    ),
    Variant(
        "falcon-40b", 26,
        _falcon(num_kv_heads=2, new_decoder_architecture=True, multi_query=False, tie_word_embeddings=False),
        byte_level(), dtype="F16",
    ),
    Variant(
        "falcon-rw-old-names-f32", 26,
        {
            **{key: value for key,
                value in _falcon().items() if key not in ("num_attention_heads", "num_hidden_layers")},
            "architectures": ["RWForCausalLM"], "model_type": "RefinedWebModel", "n_head": 4, "n_layer": 2,
        },
        byte_level(), dtype="F32",
        inventory={
            "transformer.word_embeddings.weight": (VOCABULARY, 256), "transformer.ln_f.weight": (256,),
            "transformer.ln_f.bias": (256,), "lm_head.weight": (VOCABULARY, 256),
            **{
                f"transformer.h.{layer}.{name}": shape
                for layer in range(2)
                for name, shape in {
                    "input_layernorm.weight": (256,), "input_layernorm.bias": (256,),
                    "self_attention.query_key_value.weight": (384, 256),
                    "self_attention.dense.weight": (256, 256),
                    "mlp.dense_h_to_4h.weight": (1024, 256), "mlp.dense_4h_to_h.weight": (256, 1024),
                }.items()
            },
        },
    ),
)  # fmt: skip

VARIANTS = (
    *_MAMBAS, *_MAMBA2S, *_GRANITES, *_FALCON_H1S, *_JAMBAS, *_NEMOTRONS, *_FALCONS,
)  # fmt: skip
