"""What sees of Qwen2-VL and Qwen2.5-VL: q, k and v apart, the kernel over two frames as two kernels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from translators.errors import Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.mmproj.parameters import VISION, projector
from translators.families.mmproj.table import Mmproj, beginning
from translators.families.parameters import Parameters
from translators.families.table import Rule
from translators.families.transforms import Custom, Place, Split
from translators.recipes import Recipe, reshape, slice_

_FRAMES = 2


def _by_frame(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    if len(of.shape) != 5 or of.shape[2] != _FRAMES:
        raise at.misfit(f"no kernel over {_FRAMES} frames")
    channels, rest = of.shape[:2], of.shape[3:]
    frames = (slice_(of, 2, frame, frame + 1) for frame in range(_FRAMES))
    return tuple(reshape(frame, (*channels, *rest)) for frame in frames)


PATCHES = (
    Rule(
        "visual.patch_embed.proj.weight", ("v.patch_embd.weight", "v.patch_embd.weight.1"), Custom(_by_frame)
    ),
    Rule("visual.patch_embed.proj.bias", "v.patch_embd.bias", optional=True),
)
NORMS = (
    Rule("visual.blocks.{}.norm1", "v.blk.{}.ln1"),
    Rule("visual.blocks.{}.norm2", "v.blk.{}.ln2"),
)
_BLOCK = (
    *NORMS,
    Rule("visual.blocks.{}.attn.qkv", tuple(f"v.blk.{{}}.attn_{part}" for part in "qkv"), Split(3)),
    Rule("visual.blocks.{}.attn.proj", "v.blk.{}.attn_out"),
)
_MERGER = (
    Rule("visual.merger.ln_q", "v.post_ln"),
    Rule("visual.merger.mlp.0", "mm.0"),
    Rule("visual.merger.mlp.2", "mm.2"),
)
_PLAIN = (
    Rule("visual.blocks.{}.mlp.fc1", "v.blk.{}.ffn_up"),
    Rule("visual.blocks.{}.mlp.fc2", "v.blk.{}.ffn_down"),
)
_GATED = (
    Rule("visual.blocks.{}.mlp.gate_proj", "v.blk.{}.ffn_gate"),
    Rule("visual.blocks.{}.mlp.up_proj", "v.blk.{}.ffn_up"),
    Rule("visual.blocks.{}.mlp.down_proj", "v.blk.{}.ffn_down"),
)


def _prepared(source: Checkpoint) -> dict[str, Any]:
    """The part's numbers under the names that others use; Qwen2-VL's hidden_size is what comes out of it."""
    config = {"image_size": 560, **source.config}
    config |= {"num_attention_heads": config.get("num_heads"), "num_hidden_layers": config.get("depth")}
    if "embed_dim" in config:
        config |= {"intermediate_size": config.get("hidden_size"), "hidden_size": config["embed_dim"]}
    return config


def _projector(write: Parameters) -> None:
    kind = write.source.whole.get("model_type")
    if kind == "qwen2_vl":
        projector("qwen2vl_merger")(write)
    elif kind == "qwen2_5_vl":
        projector("qwen2.5vl_merger")(write)
        write.bool("clip.use_silu", True)
        write.u32("clip.vision.n_wa_pattern", _period(write), "fullatt_block_indexes")
    else:
        raise Unsupported(f"a model of type {kind!r:.40}", path="config.json", place="model_type")
    epsilon = write.source.whole.get("rms_norm_eps", 1e-6)
    write.f32("clip.vision.attention.layer_norm_epsilon", epsilon, "rms_norm_eps")


def _period(write: Parameters) -> int:
    """Every how many layers one attends to all patches. Raises MalformedSource where that differs."""
    key = "fullatt_block_indexes"
    layers = write.required(key)
    if not isinstance(layers, list) or not layers or not all(isinstance(layer, int) for layer in layers):
        raise write.checked.refusal("no list of layers", key)
    period = int(layers[0]) + 1
    if any(after - before != period for before, after in pairwise(layers)):
        raise write.checked.refusal("the layers do not come in equal distances", key)
    return period


QWEN2_VL = Mmproj(
    architectures=("Qwen2VLForConditionalGeneration", "Qwen2VLModel"),
    includes=beginning("visual."),
    rules=(*PATCHES, *_BLOCK, *_PLAIN, *_MERGER),
    parameters=(VISION, _projector),
    types={"v.position_embd.weight": "F32"},
    prepared=_prepared,
)

QWEN25_VL = Mmproj(
    architectures=("Qwen2_5_VLForConditionalGeneration",),
    includes=beginning("visual."),
    rules=(*PATCHES, *_BLOCK, *_GATED, *_MERGER),
    parameters=(VISION, _projector),
    types={"v.position_embd.weight": "F32"},
    prepared=_prepared,
)
