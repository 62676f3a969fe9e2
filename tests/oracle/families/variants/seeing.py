"""Models that see, whose language model is of another family: SmolVLM, Idefics 3, Pixtral, InternVL."""

from __future__ import annotations

import json
from typing import Any

from tests.oracle.families.side_files import VOCABULARY, byte_level, config, fast, pieces, preprocessor
from tests.oracle.families.variant import Inventory, Variant


def _text(model_type: str, architecture: str | None = None, **changes: Any) -> dict[str, Any]:
    """A language model's part, with the class of its own where it names one."""
    whole = config(architecture or "", model_type, **changes)
    return {key: value for key, value in whole.items() if key != "architectures" or architecture}


_ALL = ("f32", "f16", "bf16", "q8_0")
_SIGLIP = {
    "hidden_size": 64,
    "image_size": 64,
    "intermediate_size": 80,  # not of whole blocks
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "patch_size": 16,
}

_SMOLVLM = (
    Variant(
        "SmolVLM-256M-Instruct",
        1,
        {
            "architectures": ["Idefics3ForConditionalGeneration"],
            "model_type": "idefics3",
            "image_token_id": 5,
            "pad_token_id": 0,
            "scale_factor": 4,
            "text_config": _text(
                "llama", "VLlama3ForCausalLM", head_dim=64, pad_token_id=0, rope_theta=100000.0,
                is_llama_config=True, pixel_shuffle_factor=4,
            ),
            "tie_word_embeddings": False,
            "vision_config": {**_SIGLIP, "model_type": "idefics3", "size": {"longest_edge": 256}},
            "vocab_size": VOCABULARY,
        },
        {
            **byte_level(),
            **preprocessor(size={"longest_edge": 256}, max_image_size={"longest_edge": 64}),
        },
        mmproj=_ALL,
    ),
    # What the configuration leaves out transformers fills in.
    Variant(
        "SmolVLM2-2.2B-f32",
        1,
        {
            "architectures": ["SmolVLMForConditionalGeneration"],
            "model_type": "smolvlm",
            "image_token_id": 5,
            "pad_token_id": 0,
            "text_config": {
                "architectures": ["VLlama3ForCausalLM"],
                "model_type": "llama",
                "hidden_size": 256,
                "intermediate_size": 512,
                "num_hidden_layers": 2,
                "num_key_value_heads": 32,
                "vocab_size": VOCABULARY,
                "pad_token_id": 0,
                "max_position_embeddings": 8192,
            },
            "vision_config": {
                "model_type": "smolvlm_vision",
                "hidden_size": 64,
                "intermediate_size": 96,
                "num_hidden_layers": 1,
                "image_size": 56,
                "patch_size": 14,
            },
        },
        {**byte_level(), **preprocessor()},
        dtype="F32",
        mmproj=("f32", "f16"),
    ),
)  # fmt: skip

_BREAK = (
    "upstream's `--mmproj` leaves out the embedding of [IMG_BREAK], without which llama.cpp does not load it "
    "(ggml-org/llama.cpp#22901); here it is there"
)
_PIXTRAL = (
    Variant(
        "pixtral-12b",
        1,
        {
            "architectures": ["LlavaForConditionalGeneration"],
            "model_type": "llava",
            "image_seq_length": 1,
            "image_token_index": 10,
            "text_config": _text(
                "mistral",
                head_dim=64,
                rope_theta=1000000000.0,
                sliding_window=None,
                vocab_size=VOCABULARY + 3,
            ),
            "torch_dtype": "bfloat16",
            "vision_config": {
                "model_type": "pixtral",
                "head_dim": 32,
                "hidden_act": "silu",
                "hidden_size": 64,
                "image_size": 64,
                "intermediate_size": 128,
                "num_attention_heads": 2,
                "num_hidden_layers": 3,  # upstream knows mm.2 only where there is a layer 2
                "patch_size": 16,
                "rope_theta": 10000.0,
            },
            "vision_feature_layer": -1,
            "vision_feature_select_strategy": "full",
        },
        {**fast("[IMG]", "[IMG_BREAK]", "[IMG_END]"), **preprocessor()},
        mmproj=_ALL,
        note=_BREAK,
    ),
)


def _intern_vit(layers: int, width: int, wide: int, *, normed: bool, mixed: int, text: int) -> Inventory:
    """The vision tower of InternVL's own code; `normed`: with norms of q and k, as the one of 6B."""
    found: Inventory = {
        "vision_model.embeddings.class_embedding": (1, 1, width),
        "vision_model.embeddings.patch_embedding.weight": (width, 3, 14, 14),
        "vision_model.embeddings.patch_embedding.bias": (width,),
        "vision_model.embeddings.position_embedding": (1, 5, width),
    }
    for layer in range(layers):
        base = f"vision_model.encoder.layers.{layer}."
        shapes: Inventory = {
            "attn.qkv.weight": (3 * width, width),
            "attn.proj.weight": (width, width),
            "attn.proj.bias": (width,),
            "ls1": (width,),
            "ls2": (width,),
            "mlp.fc1.weight": (wide, width),
            "mlp.fc1.bias": (wide,),
            "mlp.fc2.weight": (width, wide),
            "mlp.fc2.bias": (width,),
            "norm1.weight": (width,),
            "norm2.weight": (width,),
        }
        if normed:
            shapes |= {"attn.q_norm.weight": (width,), "attn.k_norm.weight": (width,)}
        else:
            shapes |= {"attn.qkv.bias": (3 * width,), "norm1.bias": (width,), "norm2.bias": (width,)}
        found |= {base + name: shape for name, shape in shapes.items()}
    return found | {
        "mlp1.0.weight": (mixed,),
        "mlp1.0.bias": (mixed,),
        "mlp1.1.weight": (text, mixed),
        "mlp1.1.bias": (text,),
        "mlp1.3.weight": (text, text),
        "mlp1.3.bias": (text,),
    }


def _qwen2_text(prefix: str) -> Inventory:
    found: Inventory = {
        f"{prefix}model.embed_tokens.weight": (VOCABULARY, 256),
        f"{prefix}model.norm.weight": (256,),
        f"{prefix}lm_head.weight": (VOCABULARY, 256),
    }
    for layer in range(2):
        base = f"{prefix}model.layers.{layer}."
        for name, rows in (("q", 256), ("k", 128), ("v", 128)):
            found |= {f"{base}self_attn.{name}_proj.weight": (rows, 256)}
            found |= {f"{base}self_attn.{name}_proj.bias": (rows,)}
        matrices = ("self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
        found |= {f"{base}{name}.weight": (256, 256) for name in matrices}
        found |= {f"{base}{name}.weight": (256,) for name in ("input_layernorm", "post_attention_layernorm")}
    return found


def _internlm2_text(prefix: str) -> Inventory:
    found: Inventory = {
        f"{prefix}model.tok_embeddings.weight": (VOCABULARY, 256),
        f"{prefix}model.norm.weight": (256,),
        f"{prefix}output.weight": (VOCABULARY, 256),
    }
    for layer in range(2):
        base = f"{prefix}model.layers.{layer}."
        matrices = {"attention.wqkv": 512, "attention.wo": 256}
        matrices |= {f"feed_forward.w{number}": 256 for number in (1, 2, 3)}
        found |= {f"{base}{name}.weight": (rows, 256) for name, rows in matrices.items()}
        found |= {f"{base}{name}.weight": (256,) for name in ("attention_norm", "ffn_norm")}
    return found


def _chat(language: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A configuration of InternVL's own code."""
    return {
        "architectures": ["InternVLChatModel"],
        "auto_map": {
            "AutoConfig": "configuration_internvl_chat.InternVLChatConfig",
            "AutoModel": "modeling_internvl_chat.InternVLChatModel",
        },
        "downsample_ratio": 0.5,
        "dynamic_image_size": True,
        "force_image_size": 28,
        "hidden_size": 256,
        "llm_config": language,
        "max_dynamic_patch": 12,
        "min_dynamic_patch": 1,
        "model_type": "internvl_chat",
        "torch_dtype": "bfloat16",
        "vision_config": {
            "architectures": ["InternVisionModel"],
            "hidden_act": "gelu",
            "hidden_size": 64,
            "image_size": 28,
            "intermediate_size": 96,
            "layer_norm_eps": 1e-6,
            "model_type": "intern_vit_6b",
            "norm_type": "layer_norm",
            "num_attention_heads": 2,
            "num_channels": 3,
            "num_hidden_layers": 4,
            "patch_size": 14,
            "qk_normalization": False,
            "qkv_bias": True,
        },
        **changes,
    }


def _older(config: dict[str, Any]) -> dict[str, Any]:
    eyes = {**config["vision_config"], "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 11}
    kept = {key: value for key, value in config.items() if not key.endswith("dynamic_patch")}
    return {**kept, "eos_token_id": 2, "torch_dtype": "float16", "vision_config": eyes}


def _newer_name(name: str) -> str:
    """A name as later versions of transformers write it."""
    name = name.replace("language_model.model.", "language_model.").replace(
        "language_model.lm_head", "lm_head"
    )
    return name if name.startswith(("model.", "lm_head.")) else f"model.{name}"


_INTERNVL = (
    Variant(
        "InternVL3-1B",
        4,
        _chat(_text("qwen2", "Qwen2ForCausalLM", rope_theta=1000000.0)),
        {**byte_level(), **preprocessor()},
        inventory=_intern_vit(4, 64, 96, normed=False, mixed=256, text=256) | _qwen2_text("language_model."),
        mmproj=_ALL,
    ),
    # The vision tower of 6B: norms of q and k, no biases; older ones tell no number of tiles.
    Variant(
        "InternVL2-26B-f16",
        29,
        _older(_chat(_text("internlm2", "InternLM2ForCausalLM"))),
        {
            **pieces(added_tokens_decoder={"330": {"content": "<|im_end|>", "special": True}}),
            "special_tokens_map.json": json.dumps({"bos_token": "<s>"}),
            **preprocessor(),
        },
        dtype="F16",
        inventory=_intern_vit(11, 32, 64, normed=True, mixed=128, text=256)
        | _internlm2_text("language_model."),
        mmproj=("f16", "q8_0"),
    ),
    Variant(
        "InternVL3_5-1B-HF",
        5,
        {
            "architectures": ["InternVLForConditionalGeneration"],
            "model_type": "internvl",
            "downsample_ratio": 0.5,
            "image_seq_length": 4,
            "image_token_id": 5,
            "text_config": _text("qwen3", "Qwen3ForCausalLM", head_dim=64),
            "torch_dtype": "bfloat16",
            "vision_config": {
                "architectures": ["InternVisionModel"],
                "attention_bias": True,
                "hidden_act": "gelu",
                "hidden_size": 64,
                "image_size": [56, 56],
                "intermediate_size": 96,
                "layer_norm_eps": 1e-6,
                "model_type": "internvl_vision",
                "num_attention_heads": 2,
                "num_hidden_layers": 4,
                "patch_size": [14, 14],
                "use_absolute_position_embeddings": True,
            },
        },
        {**byte_level(), **preprocessor()},
        mmproj=("bf16", "q8_0"),
        changed=lambda inventory: {_newer_name(name): shape for name, shape in inventory.items()},
        note="upstream's `--mmproj` finds nothing in checkpoints whose names lack the `model.` of these; "
        "here it is found in those as well",
    ),
)

VARIANTS = (*_SMOLVLM, *_PIXTRAL, *_INTERNVL)
