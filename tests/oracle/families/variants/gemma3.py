"""Gemma 3 (text, and the text of one that sees), EmbeddingGemma, Gemma 3n."""

from __future__ import annotations

from tests.oracle.families.side_files import VOCABULARY, byte_level, config, fast, pieces, preprocessor
from tests.oracle.families.variant import Inventory, Variant

_TEXT = {
    "head_dim": 64,
    "rms_norm_eps": 1e-6,
    "hidden_activation": "gelu_pytorch_tanh",
    "tie_word_embeddings": None,
    "sliding_window": 512,
    "rope_theta": None,
    "hidden_act": None,
}
_SEEING = {
    key: value
    for key, value in config("", "gemma3_text", **_TEXT, num_hidden_layers=3).items()
    if key not in ("architectures", "torch_dtype")
}
_EYES = {
    "model_type": "siglip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}

_GEMMA3 = (
    Variant("gemma-3-1b-it", 12, config("Gemma3ForCausalLM", "gemma3_text", **_TEXT), pieces()),
    # A tokenizer of its own in tokenizer.json, smaller than the embedding; linear scaling; seven layers.
    Variant(
        "gemma-3-cropped",
        12,
        config(
            "Gemma3ForCausalLM",
            "gemma3_text",
            **_TEXT,
            num_hidden_layers=7,
            vocab_size=VOCABULARY + 64,
            rope_scaling={"rope_type": "linear", "factor": 8.0},
            torch_dtype="float32",
        ),
        byte_level(),
        dtype="F32",
    ),
    Variant(
        "gemma-3-4b-it",
        12,
        {
            "architectures": ["Gemma3ForConditionalGeneration"],
            "model_type": "gemma3",
            "text_config": _SEEING,
            "vision_config": _EYES,
            "mm_tokens_per_image": 16,
            "image_token_index": 7,
            "boi_token_index": 5,
            "eoi_token_index": 6,
            "torch_dtype": "bfloat16",
        },
        {**pieces(), **preprocessor(image_seq_length=4)},
        mmproj=("f32", "f16", "bf16", "q8_0"),
    ),
    Variant(
        "embeddinggemma-300m",
        12,
        config(
            "Gemma3TextModel", "gemma3_text", **_TEXT, num_hidden_layers=6, use_bidirectional_attention=True
        ),
        {
            **pieces(),
            "modules.json": '[{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},'
            ' {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]',
            "1_Pooling/config.json": '{"word_embedding_dimension": 256, "pooling_mode_mean_tokens": true}',
        },
        dtype="F32",
    ),
)

_STREAMS = {
    **_TEXT,
    "hidden_size_per_layer_input": 256,
    "vocab_size_per_layer_input": VOCABULARY - 32,
    "laurel_rank": 64,
    "num_kv_shared_layers": 2,
    "altup_num_inputs": 4,
}


def _published(inventory: Inventory) -> Inventory:
    """Published names; transformers' own class writes one of them amiss."""
    wrong, right = "per_layer_model.language_model_projection", "per_layer_model_projection"
    return {name.replace(wrong, right): shape for name, shape in inventory.items()}


_GEMMA3N = (
    Variant(
        "gemma-3n-E2B-it",
        13,
        config(
            "Gemma3nForCausalLM",
            "gemma3n_text",
            **{**_STREAMS, "num_kv_shared_layers": 1},
            num_hidden_layers=6,
        ),
        pieces(),
        changed=_published,
    ),
    Variant(
        "gemma-3n-sparse-f32",
        13,
        config(
            "Gemma3nForCausalLM",
            "gemma3n_text",
            **_STREAMS,
            num_hidden_layers=11,
            intermediate_size=[256] * 11,
            torch_dtype="float32",
        ),
        pieces(),
        dtype="F32",
        types=("q4_k_m",),
        changed=_published,
    ),
)


def _gemma4(*, moe: bool) -> Inventory:
    """Four layers: windows (two heads of 64), full attention (one key-value head of 128) in the last.

    Where layers share keys and values, one of the two that are shared has full attention too.
    """
    found: Inventory = {
        "model.language_model.embed_tokens.weight": (VOCABULARY, 256),
        "model.language_model.norm.weight": (256,),
    }
    if not moe:
        found |= {
            "model.language_model.embed_tokens_per_layer.weight": (VOCABULARY, 4 * 32),
            "model.language_model.per_layer_model_projection.weight": (4 * 32, 256),
            "model.language_model.per_layer_projection_norm.weight": (32,),
        }
    for layer in range(4):
        base = f"model.language_model.layers.{layer}."
        head, kv_heads = (128, 1) if layer in ((3,) if moe else (1, 3)) else (64, 2)
        width = 512 if layer > 1 and not moe else 256
        shapes: Inventory = {
            "self_attn.q_proj.weight": (2 * head, 256),
            "self_attn.k_proj.weight": (kv_heads * head, 256),
            "self_attn.v_proj.weight": (kv_heads * head, 256),
            "self_attn.o_proj.weight": (256, 2 * head),
            "self_attn.q_norm.weight": (head,),
            "self_attn.k_norm.weight": (head,),
            "mlp.gate_proj.weight": (width, 256),
            "mlp.up_proj.weight": (width, 256),
            "mlp.down_proj.weight": (256, width),
            "input_layernorm.weight": (256,),
            "post_attention_layernorm.weight": (256,),
            "pre_feedforward_layernorm.weight": (256,),
            "post_feedforward_layernorm.weight": (256,),
            "layer_scalar": (1,),
        }
        if moe:
            shapes |= {
                "router.proj.weight": (3, 256),
                "router.scale": (256,),
                "router.per_expert_scale": (3,),
                "experts.gate_up_proj": (3, 512, 256),
                "experts.down_proj": (3, 256, 256),
                "pre_feedforward_layernorm_2.weight": (256,),
                "post_feedforward_layernorm_1.weight": (256,),
                "post_feedforward_layernorm_2.weight": (256,),
            }
        else:
            shapes |= {
                "per_layer_input_gate.weight": (32, 256),
                "per_layer_projection.weight": (256, 32),
                "post_per_layer_input_norm.weight": (256,),
            }
        found |= {base + name: shape for name, shape in shapes.items()}
    return found


_GEMMA4_TEXT = {
    **config("", "gemma4_text", **_TEXT, num_attention_heads=2, num_hidden_layers=4),
    "global_head_dim": 128,
    "num_global_key_value_heads": 1,
    "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
    "final_logit_softcapping": 30.0,
    "rope_parameters": {
        "full_attention": {
            "rope_type": "proportional",
            "rope_theta": 1000000.0,
            "partial_rotary_factor": 0.25,
        },
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    },
    "num_experts": None,
    "top_k_experts": None,
    "moe_intermediate_size": None,
}


def _gemma4_config(**changes: object) -> dict[str, object]:
    text = {key: value for key, value in {**_GEMMA4_TEXT, **changes}.items() if key != "architectures"}
    return {
        "architectures": ["Gemma4ForConditionalGeneration"],
        "model_type": "gemma4",
        "text_config": text,
        "torch_dtype": "bfloat16",
    }


_GEMMA4 = (
    Variant(
        "gemma-4-E2B-it",
        14,
        _gemma4_config(
            hidden_size_per_layer_input=32,
            num_kv_shared_layers=2,
            use_double_wide_mlp=True,
            layer_types=["sliding_attention", "full_attention"] * 2,
        ),
        fast(),
        inventory=_gemma4(moe=False),
    ),
    Variant(
        "gemma-4-26B-A4B-it",
        14,
        _gemma4_config(
            hidden_size_per_layer_input=0,
            num_kv_shared_layers=0,
            num_experts=3,
            top_k_experts=2,
            moe_intermediate_size=256,
        ),
        fast(),
        inventory=_gemma4(moe=True),
    ),
)

VARIANTS = (*_GEMMA3, *_GEMMA3N, *_GEMMA4)
