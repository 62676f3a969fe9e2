"""Qwen2-VL, Qwen2.5-VL, the language models: Qwen2's tensors; rotary sections for time, height, width."""

from __future__ import annotations

from translators.families.configuration import ConfigClass, Part
from translators.families.parameters import COMMON
from translators.families.qwen import DENSE
from translators.families.table import Family

_TEXT = {
    "vocab_size": 152064, "hidden_size": 8192, "intermediate_size": 29568, "num_hidden_layers": 80,
    "num_attention_heads": 64, "num_key_value_heads": 8, "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "rope_theta": 1000000.0, "use_sliding_window": False,
    "sliding_window": 4096, "max_window_layers": 80, "layer_types": None, "rope_scaling": None,
}  # fmt: skip
_QWEN2_EYES = ConfigClass(
    "qwen2_vl", {"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "num_heads": 16, "patch_size": 14}
)
_QWEN25_EYES = ConfigClass(
    "qwen2_5_vl",
    {
        "depth": 32, "hidden_size": 3584, "intermediate_size": 3420, "num_heads": 16, "patch_size": 14,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
)  # fmt: skip


def _classes(model_type: str, eyes: ConfigClass) -> tuple[ConfigClass, ConfigClass]:
    """A class whose language model is told in a part, or flat; and the part's."""
    text = f"{model_type}_text"
    parts = {"text_config": Part(text, whole=True), "vision_config": Part(model_type, of=eyes)}
    return ConfigClass(model_type, {}, parts=parts), ConfigClass(text, _TEXT, rope=True, layers="checked")


QWEN2_VL = Family(
    architectures=(
        "Qwen2VLForConditionalGeneration", "Qwen2VLModel", "Qwen2_5_VLForConditionalGeneration",
    ),
    arch="qwen2vl",
    vocabulary="qwen",
    rules=DENSE,
    parameters=(COMMON,),
    configurations=(*_classes("qwen2_vl", _QWEN2_EYES), *_classes("qwen2_5_vl", _QWEN25_EYES)),
)  # fmt: skip
