"""What sees of Qwen3-VL and Qwen3.5: q, k and v together, a table of positions, some layers' features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.errors import MalformedSource
from translators.families.checkpoint import Checkpoint
from translators.families.mmproj.parameters import VISION, projector
from translators.families.mmproj.qwen_vl import NORMS, PATCHES
from translators.families.mmproj.table import Mmproj, beginning
from translators.families.parameters import Key, Parameters
from translators.families.table import Rule
from translators.families.transforms import Place
from translators.keyvalues import ValueType

_RULES = (
    *PATCHES,
    Rule("visual.pos_embed", "v.position_embd"),
    *NORMS,
    Rule("visual.blocks.{}.attn.qkv", "v.blk.{}.attn_qkv"),
    Rule("visual.blocks.{}.attn.proj", "v.blk.{}.attn_out"),
    Rule("visual.blocks.{}.mlp.linear_fc1", "v.blk.{}.ffn_up"),
    Rule("visual.blocks.{}.mlp.linear_fc2", "v.blk.{}.ffn_down"),
    Rule("visual.merger.norm", "v.post_ln"),
    Rule("visual.merger.linear_fc1", "mm.0"),
    Rule("visual.merger.linear_fc2", "mm.2"),
    Rule("visual.deepstack_merger_list.{}.norm", "v.deepstack.{}.norm", optional=True),
    Rule("visual.deepstack_merger_list.{}.linear_fc1", "v.deepstack.{}.fc1", optional=True),
    Rule("visual.deepstack_merger_list.{}.linear_fc2", "v.deepstack.{}.fc2", optional=True),
)
_LIST = "visual.deepstack_merger_list."
_DEEP = "deepstack_visual_indexes"


def _by_layer(name: str, config: Mapping[str, Any]) -> str:
    """Mergers are numbered one after the other; a GGUF numbers them by the layer that they take from."""
    if not name.startswith(_LIST):
        return name
    number, _, rest = name.removeprefix(_LIST).partition(".")
    layers = _deep_layers(config)
    if not number.isdecimal() or int(number) >= len(layers):
        raise MalformedSource(
            f"{name!r:.80} is not one of {len(layers)}", path="config.json", place=_DEEP,
            remedy="take config.json from the model's original repository",
        )  # fmt: skip
    return f"{_LIST}{layers[int(number)]}.{rest}"


def _deep_layers(config: Mapping[str, Any]) -> list[int]:
    layers, count = config.get(_DEEP, []), config["num_hidden_layers"]
    good = isinstance(layers, list) and all(
        isinstance(layer, int) and isinstance(count, int) and 0 <= layer < count for layer in layers
    )
    if not good:
        raise MalformedSource(
            f"no list of layers below {count!r:.20}", path="config.json", place=_DEEP,
            remedy="take config.json from the model's original repository",
        )  # fmt: skip
    return list(layers)


def _prepared(source: Checkpoint) -> dict[str, Any]:
    """The part's numbers under the names that others use; the image's side from the table of positions."""
    config = dict(source.config)
    config |= {"num_attention_heads": config.get("num_heads"), "num_hidden_layers": config.get("depth")}
    if "image_size" not in config:
        told = Place({"num_position_embeddings": 2304, "patch_size": 16, **config})
        config["image_size"] = int(told.count("num_position_embeddings") ** 0.5 * told.count("patch_size"))
    return config


def _features(write: Parameters) -> None:
    write.bool("clip.use_gelu", True)
    Key("clip.vision.spatial_merge_size", "spatial_merge_size", optional=True)(write)
    text = write.source.whole.get("text_config", {})
    epsilon = text.get("rms_norm_eps", 1e-6) if isinstance(text, dict) else 1e-6
    write.f32("clip.vision.attention.layer_norm_epsilon", epsilon, "rms_norm_eps")
    deep = _deep_layers(write.config)
    flags = [layer in deep for layer in range(write.integer("num_hidden_layers"))]
    write.array("clip.vision.is_deepstack_layers", ValueType.BOOL, flags)


QWEN3_VL = Mmproj(
    architectures=(
        "Qwen3VLForConditionalGeneration", "Qwen3VLMoeForConditionalGeneration",
        "Qwen3_5ForConditionalGeneration", "Qwen3_5MoeForConditionalGeneration",
    ),
    includes=beginning("visual."),
    replaced=(("model.visual.", "visual."),),
    renamed=_by_layer,
    rules=_RULES,
    parameters=(VISION, projector("qwen3vl_merger"), _features),
    prepared=_prepared,
)  # fmt: skip
