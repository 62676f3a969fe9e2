"""What sees of Pixtral and Mistral Small in Mistral's own form: rows pair by pair already.

What llama.cpp's converter makes with `--mistral-format --mmproj` (b11434). How images are prepared no file of
this form tells: as CLIP's are. Facts of mistral-common.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.errors import MalformedSource
from translators.families.checkpoint import Checkpoint
from translators.families.mmproj.parameters import VISION, projector
from translators.families.mmproj.pixtral import BREAK, id_of_break, row_of_break
from translators.families.mmproj.siglip import EPSILON
from translators.families.mmproj.table import Mmproj, beginning
from translators.families.parameters import Key, Parameters
from translators.families.table import Rule
from translators.families.transforms import Custom
from translators.sources.mistral import ARCHITECTURE
from translators.vocab.folder import Folder

_EMBEDDINGS = "tok_embeddings.weight"
_LAYER = "vision_encoder.transformer.layers.{}"
_MERGE = "spatial_merge_size"
_PREPARED = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


def _settings(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {**config, "hidden_size": config.get("dim")}, dict(_PREPARED)


def _prepared(source: Checkpoint) -> dict[str, Any]:
    number = source.config.get("image_break_token_id")
    if isinstance(number, bool) or not isinstance(number, int):
        raise MalformedSource(
            f"{number!r:.40} is no token's id", path="params.json",
            place="vision_encoder.image_break_token_id", remedy="fetch params.json again",
        )  # fmt: skip
    if number < 0:
        number = id_of_break(Folder(source.model.root))
    return {**source.config, BREAK: number, "norm_eps": source.whole.get("norm_eps")}


def _merged(write: Parameters) -> None:
    write.bool("clip.use_silu", True)
    if write.value("mm_projector_id") == "patch_merge":
        write.u32(f"clip.vision.{_MERGE}", write.required(_MERGE), _MERGE)


PIXTRAL = Mmproj(
    architectures=(ARCHITECTURE,),
    part="vision_encoder",
    settings=_settings,
    includes=beginning(
        "vision_encoder.", "vision_language_adapter.", "patch_merger.", "pre_mm_projector_norm", _EMBEDDINGS
    ),
    rules=(
        Rule(_EMBEDDINGS, "v.token_embd.img_break", Custom(row_of_break), whole=True),
        Rule("vision_encoder.patch_conv", "v.patch_embd"),
        Rule("vision_encoder.ln_pre", "v.pre_ln"),
        Rule(f"{_LAYER}.attention_norm", "v.blk.{}.ln1"),
        Rule(f"{_LAYER}.ffn_norm", "v.blk.{}.ln2"),
        *(Rule(f"{_LAYER}.attention.w{part}", f"v.blk.{{}}.attn_{part}") for part in "qkv"),
        Rule(f"{_LAYER}.attention.wo", "v.blk.{}.attn_out"),
        *(
            Rule(f"{_LAYER}.feed_forward.w{number}", f"v.blk.{{}}.ffn_{part}")
            for number, part in ((1, "gate"), (2, "down"), (3, "up"))
        ),
        Rule("pre_mm_projector_norm", "mm.input_norm", optional=True),
        Rule("patch_merger.merging_layer", "mm.patch_merger", optional=True),
        Rule("vision_language_adapter.w_in", "mm.1"),
        Rule("vision_language_adapter.w_out", "mm.2"),
    ),
    parameters=(
        VISION,
        projector("pixtral"),
        Key(EPSILON, "norm_eps", "f32"),
        Key("clip.rope.freq_base", "rope_theta", "f32"),
        _merged,
    ),
    prepared=_prepared,
    native=True,
)
