"""Qwen2-VL, Qwen2.5-VL, Qwen3-VL, with what they see by."""

from __future__ import annotations

from typing import Any

from tests.oracle.families.side_files import byte_level, config, preprocessor
from tests.oracle.families.variant import Inventory, Variant
from tests.oracle.families.variants.qwen_linear import VARIANTS as QWEN_LINEAR

_EYES = {
    "depth": 3, "embed_dim": 64, "hidden_size": 256, "mlp_ratio": 2, "num_heads": 4, "in_channels": 3,
    "patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip
_EYES25 = {
    "depth": 4, "hidden_size": 64, "intermediate_size": 96, "out_hidden_size": 256, "num_heads": 4,
    "in_channels": 3, "patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 32,
    "fullatt_block_indexes": [1, 3],
}  # fmt: skip
_SECTIONS = {"type": "mrope", "mrope_section": [8, 12, 12]}
_FILES = {**byte_level(), **preprocessor()}
_ALL = ("f32", "f16", "bf16", "q8_0")


def _flat(architecture: str, model_type: str, eyes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    changes = {"rope_scaling": _SECTIONS, **changes}
    return {**config(architecture, model_type, **changes), "vision_config": eyes}


_EYES3 = {
    "depth": 12, "hidden_size": 64, "intermediate_size": 96, "num_heads": 4, "in_channels": 3,
    "patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 256,
    "num_position_embeddings": 144, "deepstack_visual_indexes": [1, 5, 11],
}  # fmt: skip
_EXPERTS = {"moe_intermediate_size": 256, "num_experts": 12, "num_experts_per_tok": 2, "head_dim": 64}


def _nested(
    architecture: str, model_type: str, eyes: dict[str, Any], precision: str, **changes: Any
) -> dict[str, Any]:
    sections = {"rope_type": "default", "mrope_section": [12, 10, 10], "mrope_interleaved": True}
    text = config("", f"{model_type}_text", rope_scaling=sections, **changes)
    return {
        "architectures": [architecture],
        "model_type": model_type,
        "text_config": {key: value for key, value in text.items() if key != "architectures"},
        "vision_config": eyes,
        "tie_word_embeddings": bool(changes.get("tie_word_embeddings")),
        "torch_dtype": precision,
    }


# transformers 4.57.6 has no class of Qwen3.5's: what sees is Qwen3-VL's, without mergers for several layers.
_SEEING_LINEAR = next(each for each in QWEN_LINEAR if each.name == "Qwen3.5-9B")


def _eyes_of(prefix: str, depth: int) -> Inventory:
    """The tensors of Qwen3-VL's eyes, of the sizes in `_EYES3`."""
    width, inner, patches, merged = 64, 96, 144, 256
    ends: Inventory = {
        "patch_embed.proj": (width, 3, 2, 8, 8), "merger.norm": (width,),
        "merger.linear_fc1": (merged, merged), "merger.linear_fc2": (256, merged),
    }  # fmt: skip
    for layer in range(depth):
        ends |= {
            f"blocks.{layer}.attn.proj": (width, width), f"blocks.{layer}.attn.qkv": (3 * width, width),
            f"blocks.{layer}.mlp.linear_fc1": (inner, width),
            f"blocks.{layer}.mlp.linear_fc2": (width, inner),
            f"blocks.{layer}.norm1": (width,), f"blocks.{layer}.norm2": (width,),
        }  # fmt: skip
    found = {f"{prefix}{end}.weight": shape for end, shape in ends.items()}
    found |= {f"{prefix}{end}.bias": shape[:1] for end, shape in ends.items()}
    return {**found, f"{prefix}pos_embed.weight": (patches, width)}


VARIANTS = (
    Variant(
        "Qwen2-VL-2B-Instruct",
        9,
        _flat("Qwen2VLForConditionalGeneration", "qwen2_vl", _EYES, tie_word_embeddings=True),
        _FILES,
        mmproj=_ALL,
    ),
    Variant(
        "Qwen2.5-VL-3B-Instruct",
        9,
        _flat("Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl", _EYES25),
        _FILES,
        mmproj=_ALL,
    ),
    # Eleven layers, for their order; a language model in a part of its own; halves, and rows of 24 columns.
    Variant(
        "qwen2-vl-nested-f16",
        9,
        {
            **_flat("Qwen2VLForConditionalGeneration", "qwen2_vl", {**_EYES, "depth": 11, "embed_dim": 48}),
            "text_config": {
                key: value
                for key, value in config("", "qwen2_vl_text", rms_norm_eps=1e-6).items()
                if key != "architectures"
            },
            "rms_norm_eps": 1e-4,
            "torch_dtype": "float16",
        },
        {
            **byte_level(),
            **preprocessor(image_mean=[0, 1, 0]),
            "processor_config.json": '{"image_processor": {"image_std": [0.5, 0.5, 0.25]}, "image_std": [1]}',
        },
        dtype="F16",
        made_as="Qwen2VLForConditionalGeneration",
        mmproj=("f16", "q8_0"),
    ),
    Variant(
        "qwen2.5-vl-mixed-f32",
        9,
        _flat(
            "Qwen2_5_VLForConditionalGeneration",
            "qwen2_5_vl",
            {**_EYES25, "image_size": 224},
            tie_word_embeddings=True,
            rms_norm_eps=1e-6,
            torch_dtype="float32",
        ),
        {**byte_level(), **preprocessor(media_proc_cfg={"image_mean": [0.25, 0.5, 0.75]})},
        dtype="F32",
        dtypes={"mlp.0.weight": "BF16"},
        shards=2,
        mmproj=("f32", "bf16"),
    ),
    Variant(
        "Qwen3-VL-4B-Instruct",
        10,
        _nested(
            "Qwen3VLForConditionalGeneration",
            "qwen3_vl",
            _EYES3,
            "bfloat16",
            head_dim=64,
            tie_word_embeddings=True,
        ),
        _FILES,
        mmproj=_ALL,
    ),
    Variant(
        "Qwen3-VL-30B-A3B-Instruct",
        10,
        _nested(
            "Qwen3VLMoeForConditionalGeneration",
            "qwen3_vl_moe",
            {**_EYES3, "depth": 3, "deepstack_visual_indexes": [0]},
            "bfloat16",
            **_EXPERTS,
        ),
        _FILES,
        mmproj=("bf16", "q8_0"),
    ),
    Variant(
        "qwen3-vl-plain-f16",
        10,
        _nested(
            "Qwen3VLForConditionalGeneration",
            "qwen3_vl",
            {**_EYES3, "depth": 2, "deepstack_visual_indexes": [], "image_size": 64},
            "float16",
            head_dim=64,
            num_hidden_layers=11,
            rms_norm_eps=1e-6,
        ),
        _FILES,
        dtype="F16",
        mmproj=("f16",),
    ),
    Variant(
        "Qwen3.5-2B",
        8,
        {**_SEEING_LINEAR.config, "vision_config": {**_EYES3, "depth": 3, "deepstack_visual_indexes": []}},
        _FILES,
        inventory={**(_SEEING_LINEAR.inventory or {}), **_eyes_of("model.visual.", 3)},
        close=_SEEING_LINEAR.close,
        mmproj=("bf16", "q8_0"),
    ),
)
