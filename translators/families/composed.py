"""Models that see, whose language model is of a family of its own: LLaVA (Pixtral), Idefics 3, SmolVLM, InternVL.

Which part of their config.json is the language model's, and what transformers 4.57.6 fills in around it.
Knows nothing of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.errors import MalformedSource
from translators.families.configuration import ConfigClass, Part

# Where a config.json may have its language model's part besides text_config; the last that is there counts.
_PARTS = ("llm_config", "lm_config", "thinker_config", "language_config", "lfm")
# Classes that count whatever class their language model names: upstream has one of that name, or makes an
# exception of it there.
TAKEN_WHOLE = (
    "StepVLForConditionalGeneration", "Sarashina2VisionForCausalLM", "Exaone4_5_ForConditionalGeneration",
    "Step3p7ForConditionalGeneration", "KimiK3ForConditionalGeneration", "InternS1ForConditionalGeneration",
    "GlmasrModel", "DeepseekOCRForCausalLM", "DeepseekOCR2ForCausalLM", "UnlimitedOCRForCausalLM",
)  # fmt: skip


def language_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """The language model's own configuration within one; empty where it has none of its own.

    Raises MalformedSource where it is no object.
    """
    place = next((key for key in reversed(_PARTS) if key in config), "text_config")
    part = config.get(place, {})
    if place == "thinker_config" and isinstance(part, dict):
        part = part.get("text_config")
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise MalformedSource("no JSON object", path="config.json", place=place)
    return part


def _seeing(model_type: str, language: Part, **values: Any) -> ConfigClass:
    return ConfigClass(model_type, {"text_config": None, **values}, parts={"text_config": language})


_LLAMA = Part("llama", chosen=True)
_LLAMA3 = Part("llama", chosen=True, absent={"rms_norm_eps": 1e-5})

COMPOSED: tuple[ConfigClass, ...] = (
    _seeing("llava", _LLAMA, image_token_index=32000),
    _seeing("idefics3", _LLAMA3, scale_factor=2, pad_token_id=128002),
    _seeing("smolvlm", _LLAMA3, scale_factor=2, pad_token_id=128002),
    _seeing("internvl", Part("qwen2", chosen=True), downsample_ratio=0.5),
)
