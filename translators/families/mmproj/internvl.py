"""What sees of InternVL 2 to 3.5: q, k and v in one matrix in its own code, apart in transformers'."""

from __future__ import annotations

from math import isfinite
from typing import Any

from translators.families.checkpoint import Checkpoint
from translators.families.mmproj.parameters import VISION, projector
from translators.families.mmproj.pixtral import activation
from translators.families.mmproj.siglip import EPSILON, SCALE
from translators.families.mmproj.table import Mmproj, beginning
from translators.families.parameters import Key, Parameters
from translators.families.table import Rule
from translators.families.transforms import Split

_LAYER = "vision_model.encoder.layers.{}"
# transformers' names as those of InternVL's own code; the first two also where they lack "model.".
_NAMES = (
    ("model.vision_tower.", "vision_model."),
    ("vision_tower.", "vision_model."),
    ("encoder.layer.", "encoder.layers."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
    ("multi_modal_projector.layer_norm.", "mlp1.0."),
    ("multi_modal_projector.linear_1.", "mlp1.1."),
    ("multi_modal_projector.linear_2.", "mlp1.3."),
    ("embeddings.cls_token", "embeddings.class_embedding"),
    ("embeddings.position_embeddings", "embeddings.position_embedding"),
    ("embeddings.patch_embeddings.projection.", "embeddings.patch_embedding."),
    (".attention.projection_layer.", ".attn.proj."),
    (".attention.", ".attn."),
    (".layernorm_before.", ".norm1."),
    (".layernorm_after.", ".norm2."),
    (".lambda_", ".ls"),
)


def _prepared(source: Checkpoint) -> dict[str, Any]:
    """Of sizes that are told for both sides, the first."""
    sizes = {key: source.config.get(key) for key in ("image_size", "patch_size")}
    firsts = {key: size[0] for key, size in sizes.items() if isinstance(size, list | tuple) and size}
    return {**source.config, **firsts}


def _tiles(write: Parameters) -> None:
    """How much smaller an image becomes, and into how many tiles it is cut; older models do not tell."""
    whole, key = write.source.whole, "downsample_ratio"
    ratio = whole.get(key)
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not isfinite(ratio) or not ratio > 0:
        raise write.checked.refusal(f"{ratio!r:.40} is no ratio", key)
    write.u32(SCALE, int(1.0 / ratio), key)
    for end in ("min", "max"):
        number = whole.get(f"{end}_dynamic_patch", 0)
        if number != 0:
            write.u32(f"clip.vision.preproc_{end}_tiles", number, f"{end}_dynamic_patch")


INTERNVL = Mmproj(
    architectures=("InternVisionModel",),
    includes=beginning("vision_model.", "mlp1."),
    rules=(
        Rule("vision_model.embeddings.class_embedding", "v.class_embd", whole=True),
        Rule("vision_model.embeddings.patch_embedding", "v.patch_embd"),
        Rule("vision_model.embeddings.position_embedding", "v.position_embd.weight"),
        Rule(f"{_LAYER}.norm1", "v.blk.{}.ln1"),
        Rule(f"{_LAYER}.norm2", "v.blk.{}.ln2"),
        Rule(
            f"{_LAYER}.attn.qkv", tuple(f"v.blk.{{}}.attn_{part}" for part in "qkv"), Split(3), optional=True
        ),
        *(Rule(f"{_LAYER}.attn.{part}_proj", f"v.blk.{{}}.attn_{part}", optional=True) for part in "qkv"),
        Rule(f"{_LAYER}.attn.q_norm", "v.blk.{}.attn_q_norm", optional=True),
        Rule(f"{_LAYER}.attn.k_norm", "v.blk.{}.attn_k_norm", optional=True),
        Rule(f"{_LAYER}.attn.proj", "v.blk.{}.attn_out"),
        Rule(f"{_LAYER}.ls1", "v.blk.{}.ls1.weight", optional=True),
        Rule(f"{_LAYER}.ls2", "v.blk.{}.ls2.weight", optional=True),
        Rule(f"{_LAYER}.mlp.fc1", "v.blk.{}.ffn_up"),
        Rule(f"{_LAYER}.mlp.fc2", "v.blk.{}.ffn_down"),
        *(Rule(f"mlp1.{number}", f"mm.model.mlp.{number}") for number in (0, 1, 3)),
    ),
    parameters=(VISION, projector("internvl"), Key(EPSILON, "layer_norm_eps", "f32"), activation, _tiles),
    replaced=_NAMES,
    prepared=_prepared,
)
