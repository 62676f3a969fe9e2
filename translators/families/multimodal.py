"""Tensors of a multimodal checkpoint that are not the text model's: upstream's converter leaves them out.

The names are those of llama.cpp b11434 (conversion/base.py, TextModel.filter_tensors). Knows nothing of
what the parts do.
"""

from __future__ import annotations

_STARTS = (
    "mlp", "vit.", "vpm.", "siglip2.", "conformer.", "merger.", "resampler.", "sound_encoder.",
    "sound_projection.", "speech_embeddings.",
)  # fmt: skip
_PARTS = (
    "visual.", "vision.", "audio.", "talker.", "vision_", "audio_", "token2wav.", "code2wav.", "projector.",
    "pre_mm_projector_norm", "image_newline", "view_seperator", "patch_embed", "patch_merger.",
    "patch_merge_mlp.", "model.connector.",
)  # fmt: skip


def is_multimodal(name: str) -> bool:
    """Whether a tensor of this name belongs to another part than the language model."""
    return name.startswith(_STARTS) or any(part in name for part in _PARTS)
