"""What sees of Gemma 3, and of SmolVLM and Idefics 3: a SigLIP each, and a projector of their own."""

from __future__ import annotations

from math import isqrt

from translators.families.mmproj.parameters import VISION, of_preprocessor, projector
from translators.families.mmproj.table import Mmproj, beginning
from translators.families.parameters import Key, Parameters
from translators.families.table import Rule
from translators.families.transforms import added

EPSILON = "clip.vision.attention.layer_norm_epsilon"
SCALE = "clip.vision.projector.scale_factor"
# What llama.cpp takes if it is told no other.
_USUAL_SCALE = 4
_LARGEST_SEQUENCE = 1 << 24


def gelu(write: Parameters) -> None:
    """The activation of the blocks, whatever the configuration calls it."""
    write.bool("clip.use_gelu", True)


def siglip(module: str) -> tuple[Rule, ...]:
    """The tower under a name."""
    layer = f"{module}.encoder.layers.{{}}"
    return (
        Rule(f"{module}.embeddings.patch_embedding", "v.patch_embd"),
        Rule(f"{module}.embeddings.position_embedding", "v.position_embd"),
        Rule(f"{layer}.layer_norm1", "v.blk.{}.ln1"),
        Rule(f"{layer}.layer_norm2", "v.blk.{}.ln2"),
        *(Rule(f"{layer}.self_attn.{part}_proj", f"v.blk.{{}}.attn_{part}") for part in "qkv"),
        Rule(f"{layer}.self_attn.out_proj", "v.blk.{}.attn_out"),
        Rule(f"{layer}.mlp.fc1", "v.blk.{}.ffn_up"),
        Rule(f"{layer}.mlp.fc2", "v.blk.{}.ffn_down"),
        Rule(f"{module}.post_layernorm", "v.post_ln"),
    )


def _gemma3_scale(write: Parameters) -> None:
    """How many patches become one along a side, where that is not as usual (test models)."""
    length = write.source.preprocessor.get("image_seq_length", 256)
    if isinstance(length, bool) or not isinstance(length, int) or not 0 < length < _LARGEST_SEQUENCE:
        raise of_preprocessor(write).refusal(f"{length!r:.40} is no count", "image_seq_length")
    patches = write.integer("image_size") // max(1, write.integer("patch_size"))
    scale = patches // isqrt(length)
    if scale not in (0, _USUAL_SCALE):
        write.u32(SCALE, scale)


GEMMA3 = Mmproj(
    architectures=("Gemma3ForConditionalGeneration",),
    includes=beginning("multi_modal_projector.", "vision_tower."),
    rules=(
        *siglip("vision_tower.vision_model"),
        Rule("multi_modal_projector.mm_input_projection", "mm.input_projection"),
        Rule("multi_modal_projector.mm_soft_emb_norm", "mm.soft_emb_norm", added(1.0)),
    ),
    parameters=(
        VISION,
        projector("gemma3"),
        Key(EPSILON, "layer_norm_eps", "f32", default=1e-6),
        gelu,
        _gemma3_scale,
    ),
    dropped=("*vision_model.head.*",),
    replaced=(("_weight", ".weight"),),
    # As checkpoints are named that transformers 5 saves; upstream finds nothing in them.
    renamed=lambda name, config: name.removeprefix("model."),
    types={"mm.input_projection.weight": "F16", "v.patch_embd.weight": "F32"},
)


def _longest_edge(write: Parameters) -> None:
    """The size that images are brought to before they are cut up."""
    size = write.source.preprocessor.get("size", {})
    if not isinstance(size, dict):
        raise of_preprocessor(write).refusal("no JSON object", "size")
    edge = size["longest_edge"] if "longest_edge" in size else write.required("image_size")
    of_preprocessor(write).u32("clip.vision.preproc_image_size", edge, "size")


def _smolvlm_scale(write: Parameters) -> None:
    write.u32(SCALE, write.source.whole.get("scale_factor", 2), "scale_factor")


IDEFICS3 = Mmproj(
    architectures=("Idefics3ForConditionalGeneration", "SmolVLMForConditionalGeneration"),
    includes=beginning("model.vision_model.", "model.connector."),
    rules=(
        *siglip("model.vision_model"),
        Rule("model.connector.modality_projection.proj", "mm.model.fc"),
    ),
    parameters=(
        VISION,
        projector("idefics3"),
        Key(EPSILON, "layer_norm_eps", "f32", default=1e-5),
        _smolvlm_scale,
        gelu,
        _longest_edge,
    ),
    types={"v.patch_embd.weight": "F32"},
    prepared=lambda source: (
        {"hidden_size": 1152, "num_attention_heads": 16, "intermediate_size": 3072, **source.config}
        if source.config.get("model_type") == "smolvlm_vision"
        else dict(source.config)
    ),
)
