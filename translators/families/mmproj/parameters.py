"""Key-values of side files: what all that see have in common, and the projector's type.

    parameters=(VISION, projector("idefics3"), Key("clip.vision.projector.scale_factor", "scale_factor"))

Names, types and order are those of upstream's converter (llama.cpp b11434, conversion/base.py: MmprojModel).
A step finds the part's configuration in `write.config`, all of it in `write.source.whole`, and how images are
prepared in `write.source.preprocessor`. Knows nothing of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.families.parameters import FILE_TYPE, Key, Parameters, Step
from translators.metadata.checked import Checked

BLOCK_COUNT = (
    "n_layers", "num_hidden_layers", "n_layer", "num_layers", "depth", "layers", "encoder_layers",
    "vt_num_hidden_layers",
)  # fmt: skip
_SHAPE = (
    Key("clip.vision.image_size", "image_size"),
    Key("clip.vision.patch_size", "patch_size"),
    Key("clip.vision.embedding_length", ("hidden_size", "width", "vt_hidden_size")),
    Key("clip.vision.feed_forward_length", ("intermediate_size", "vt_intermediate_size")),
    Key("clip.vision.block_count", BLOCK_COUNT),
    Key(
        "clip.vision.attention.head_count",
        ("num_attention_heads", "num_heads", "heads", "vt_num_attention_heads"),
    ),
)


def VISION(write: Parameters) -> None:  # noqa: N802
    """All that upstream's vision models have in common, and the file's type."""
    FILE_TYPE(write)
    write.bool("clip.has_vision_encoder", True)
    write.u32("clip.vision.projection_dim", text_width(write), "hidden_size")
    for key in _SHAPE:
        key(write)
    for name in ("image_mean", "image_std"):
        told = prepared(write, name)
        if not isinstance(told, list):
            raise of_preprocessor(write).refusal("no list of numbers", name)
        of_preprocessor(write).array(f"clip.vision.{name}", told, name)


def projector(kind: str) -> Step:
    """The step that tells the projector's type, by llama.cpp's name for it."""
    return lambda write: write.string("clip.projector_type", kind)


def text_width(write: Parameters) -> int:
    """The width of the language model. Raises MalformedSource."""
    config = text_config(write)
    width = config.get("hidden_size", config.get("n_embd"))
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise write.checked.refusal("the language model's width is not told", "hidden_size")
    return width


def text_config(write: Parameters) -> Mapping[str, Any]:
    """The whole configuration with that of the language model laid over it."""
    text = write.source.whole.get("text_config", {})
    if not isinstance(text, dict):
        raise write.checked.refusal("no JSON object", "text_config")
    return {**write.source.whole, **text}


def prepared(write: Parameters, name: str) -> Any:
    """A setting of the preprocessor, which must be there. Raises MalformedSource."""
    value = write.source.preprocessor.get(name)
    if value is None:
        raise of_preprocessor(write).refusal("it is not told", name)
    return value


def of_preprocessor(write: Parameters) -> Checked:
    """Sets keys from settings of the preprocessor."""
    return Checked(write.kv, "preprocessor_config.json")
