"""Configurations of models that see: what transformers 4.57.6 fills in of their towers, and around the parts.

LLaVA (Pixtral), Idefics 3, SmolVLM and InternVL have a language model of another family; the classes of
others that see (Gemma 3, Mistral 3, Llama 4) take their towers from here. Knows nothing of tensors.
"""

from __future__ import annotations

from typing import Any

from translators.families.configuration import ConfigClass, Part

_SIGLIP = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "image_size": 224, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
}  # fmt: skip
_PIXTRAL = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "image_size": 1024, "patch_size": 16, "hidden_act": "gelu", "rope_theta": 10000.0,
}  # fmt: skip
_IDEFICS3 = {**_SIGLIP, "hidden_size": 1152, "num_attention_heads": 16, "patch_size": 32}
_CLIP = {
    **_SIGLIP, "projection_dim": 512, "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
}  # fmt: skip
_INTERN_VIT = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "hidden_act": "gelu", "layer_norm_eps": 1e-6, "image_size": [448, 448], "patch_size": [14, 14],
}  # fmt: skip
_LLAMA4 = {
    "hidden_size": 768, "intermediate_size": 5632, "num_hidden_layers": 34, "num_attention_heads": 16,
    "hidden_act": "gelu", "image_size": 448, "patch_size": 14, "norm_eps": 1e-5, "pixel_shuffle_ratio": 0.5,
}  # fmt: skip

# Towers of models of other modules.
GEMMA3_EYES = Part("siglip_vision_model")
LLAMA4_EYES = Part("llama4_vision_model", of=ConfigClass("llama4_vision_model", _LLAMA4))
MISTRAL3_EYES = Part("pixtral", chosen=True, absent={"patch_size": 14, "image_size": 1540})
# LLaVA 1.5's own, which upstream's converter does not know.
_LLAVA_EYES = Part(
    "clip_vision_model", chosen=True,
    absent={
        "intermediate_size": 4096, "hidden_size": 1024, "patch_size": 14, "image_size": 336,
        "num_hidden_layers": 24, "num_attention_heads": 16, "projection_dim": 768,
    },
)  # fmt: skip
_LLAMA = Part("llama", chosen=True)
_LLAMA3 = Part("llama", chosen=True, absent={"rms_norm_eps": 1e-5})


def _seeing(model_type: str, language: Part, eyes: Part, **values: Any) -> ConfigClass:
    return ConfigClass(model_type, values, parts={"text_config": language, "vision_config": eyes})


COMPOSED: tuple[ConfigClass, ...] = (
    ConfigClass("siglip_vision_model", _SIGLIP),
    ConfigClass("clip_vision_model", _CLIP),
    ConfigClass("pixtral", _PIXTRAL),
    ConfigClass("idefics3_vision", _IDEFICS3),
    ConfigClass("smolvlm_vision", _IDEFICS3),
    ConfigClass("internvl_vision", _INTERN_VIT),
    _seeing("llava", _LLAMA, _LLAVA_EYES),
    _seeing("idefics3", _LLAMA3, Part("idefics3_vision"), scale_factor=2),
    _seeing("smolvlm", _LLAMA3, Part("smolvlm_vision"), scale_factor=2),
    _seeing("internvl", Part("qwen2", chosen=True), Part("internvl_vision"), downsample_ratio=0.5),
)
