"""What sees of Llama 4.

Upstream's converter (b11434) writes each layer's second norm under the name of Gemma 4's norm behind the
attention, where llama.cpp's graph applies it in the wrong place; here it has the name that llama.cpp means.
"""

from __future__ import annotations

from math import isfinite

from translators.errors import Unsupported
from translators.families.mmproj.parameters import VISION, projector
from translators.families.mmproj.siglip import EPSILON, SCALE, gelu
from translators.families.mmproj.table import Mmproj
from translators.families.parameters import Key, Parameters
from translators.families.table import Rule

_LAYER = "vision_model.model.layers.{}"


def _scale(write: Parameters) -> None:
    ratio = write.number("pixel_shuffle_ratio")
    if not ratio > 0 or not isfinite(1.0 / ratio):
        raise write.checked.refusal(f"{ratio!r:.40} is no ratio", "pixel_shuffle_ratio")
    write.u32(SCALE, int(1.0 / ratio), "pixel_shuffle_ratio")
    if write.value("hidden_act") != "gelu":
        raise Unsupported(
            "another activation than GELU", path="config.json", place="vision_config.hidden_act"
        )


LLAMA4 = Mmproj(
    architectures=("Llama4ForConditionalGeneration",),
    includes=lambda name: "multi_modal_projector" in name or "vision_model" in name,
    rules=(
        Rule("vision_model.class_embedding", "v.class_embd", whole=True),
        Rule("vision_model.positional_embedding_vlm", "v.position_embd.weight"),
        Rule("vision_model.patch_embedding.linear", "v.patch_embd"),
        Rule("vision_model.layernorm_pre", "v.pre_ln"),
        Rule("vision_model.layernorm_post", "v.post_ln"),
        Rule(f"{_LAYER}.input_layernorm", "v.blk.{}.ln1"),
        Rule(f"{_LAYER}.post_attention_layernorm", "v.blk.{}.ln2"),
        *(Rule(f"{_LAYER}.self_attn.{part}_proj", f"v.blk.{{}}.attn_{part}") for part in "qkv"),
        Rule(f"{_LAYER}.self_attn.o_proj", "v.blk.{}.attn_out"),
        Rule(f"{_LAYER}.mlp.fc1", "v.blk.{}.ffn_up"),
        Rule(f"{_LAYER}.mlp.fc2", "v.blk.{}.ffn_down"),
        Rule("vision_model.vision_adapter.mlp.fc1", "mm.model.mlp.1"),
        Rule("vision_model.vision_adapter.mlp.fc2", "mm.model.mlp.2"),
        Rule("multi_modal_projector.linear_1", "mm.model.fc"),
    ),
    parameters=(VISION, projector("llama4"), Key(EPSILON, "norm_eps", "f32"), _scale, gelu),
    renamed=lambda name, config: name.removeprefix("model."),
)
