"""Qwen2-VL, Qwen2.5-VL, with what they see by."""

from __future__ import annotations

from typing import Any

from tests.oracle.families.side_files import byte_level, config, preprocessor
from tests.oracle.families.variant import Variant

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
)
