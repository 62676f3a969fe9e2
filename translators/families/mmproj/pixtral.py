"""What sees of Pixtral, Mistral Small 3.1 and later: rotary rows pair by pair, and the row of [IMG_BREAK].

llama.cpp puts the token [IMG_BREAK] behind each row of patches, so its embedding is part of the side file.
Upstream's converter (b11434) leaves the language model out before it looks for that row, and llama.cpp then
refuses the file ("unable to find tensor v.token_embd.img_break"); what is made here is what it means to make.
"""

from __future__ import annotations

import re
from typing import Any

from translators.errors import MissingSource, Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.mmproj.parameters import VISION, projector
from translators.families.mmproj.siglip import EPSILON
from translators.families.mmproj.table import Mmproj, beginning
from translators.families.parameters import Key, Parameters
from translators.families.table import Rule
from translators.families.transforms import Custom, Place, Rotary
from translators.recipes import Recipe, reshape, slice_
from translators.vocab.folder import Folder

_BREAK = "[IMG_BREAK]"
_EMBEDDING = "embed_tokens.weight"
# Tokenizers after tokenizer_config.json: where they list special tokens, what an id and a text are called.
_TOKENIZERS = (
    ("tokenizer.json", "added_tokens", "id", "content"),
    ("tekken.json", "special_tokens", "rank", "token_str"),
)
_ID = re.compile("[0-9]{1,9}")
_LAYER = "vision_tower.transformer.layers.{}"


def _id_of_break(folder: Folder) -> int:
    """The id of the token. Raises MissingSource where the tokenizer has none.

    Mistral's own file counts too, where it lies alone beside the weights; upstream fails on that.
    """
    listed = folder.json("tokenizer_config.json").get("added_tokens_decoder")
    known = [(number, _text(token, "content")) for number, token in _items(listed)]
    for name, place, key, text in _TOKENIZERS:
        tokens = folder.json(name).get(place)
        known += [(_text(token, key), _text(token, text)) for token in _values(tokens)]
    for number, text in known:
        if text == _BREAK and _ID.fullmatch(number):
            return int(number)
    raise MissingSource(
        f"the tokenizer has no token {_BREAK}", path=folder.shown("tokenizer.json"),
        remedy="fetch tokenizer.json and tokenizer_config.json from the model's original repository",
    )  # fmt: skip


def _items(listed: object) -> list[tuple[str, object]]:
    return list(listed.items()) if isinstance(listed, dict) else []


def _values(listed: object) -> list[object]:
    return listed if isinstance(listed, list) else []


def _text(token: object, key: str) -> str:
    return str(token.get(key)) if isinstance(token, dict) else ""


def _prepared(source: Checkpoint) -> dict[str, Any]:
    config = dict(source.config)
    if config.get("model_type") != "pixtral":
        raise Unsupported(
            f"a vision tower of type {config.get('model_type')!r:.40}", path="config.json",
            place="vision_config.model_type",
        )  # fmt: skip
    return {"layer_norm_eps": 1e-5, **config, _BREAK: _id_of_break(Folder(source.model.root))}


def _row_of_break(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    row = at.config[_BREAK]
    if len(of.shape) != 2 or row >= of.shape[0]:
        raise at.misfit(f"it has no row {row}, that of {_BREAK}")
    return (reshape(slice_(of, 0, row, row + 1), of.shape[1:]),)


def activation(write: Parameters) -> None:
    """The activation of the blocks. Raises Unsupported for one that llama.cpp does not have there."""
    kind = write.required("hidden_act")
    if kind not in ("silu", "gelu"):
        raise Unsupported(f"an activation {kind!r:.40}", path="config.json", place="vision_config.hidden_act")
    write.bool(f"clip.use_{kind}", True)


def _merged(write: Parameters) -> None:
    key = "spatial_merge_size"
    if key in write.source.whole:
        write.u32(f"clip.vision.{key}", write.source.whole[key], key)


PIXTRAL = Mmproj(
    architectures=("Mistral3ForConditionalGeneration", "LlavaForConditionalGeneration"),
    includes=beginning("multi_modal_projector.", "vision_tower.", _EMBEDDING),
    rules=(
        Rule(_EMBEDDING, "v.token_embd.img_break", Custom(_row_of_break), whole=True),
        Rule("vision_tower.patch_conv", "v.patch_embd"),
        Rule("vision_tower.ln_pre", "v.pre_ln"),
        Rule(f"{_LAYER}.attention_norm", "v.blk.{}.ln1"),
        Rule(f"{_LAYER}.ffn_norm", "v.blk.{}.ln2"),
        Rule(f"{_LAYER}.attention.q_proj", "v.blk.{}.attn_q", Rotary("num_attention_heads")),
        Rule(f"{_LAYER}.attention.k_proj", "v.blk.{}.attn_k", Rotary("num_attention_heads")),
        Rule(f"{_LAYER}.attention.v_proj", "v.blk.{}.attn_v"),
        Rule(f"{_LAYER}.attention.o_proj", "v.blk.{}.attn_out"),
        *(
            Rule(f"{_LAYER}.feed_forward.{part}_proj", f"v.blk.{{}}.ffn_{part}")
            for part in ("gate", "up", "down")
        ),
        Rule("multi_modal_projector.norm", "mm.input_norm", optional=True),
        Rule("multi_modal_projector.patch_merger.merging_layer", "mm.patch_merger", optional=True),
        Rule("multi_modal_projector.linear_1", "mm.1"),
        Rule("multi_modal_projector.linear_2", "mm.2"),
    ),
    parameters=(VISION, projector("pixtral"), Key(EPSILON, "layer_norm_eps", "f32"), activation, _merged),
    multimodal=lambda name: "language_model." in name and not name.endswith(f".{_EMBEDDING}"),
    renamed=lambda name, config: name.removeprefix("model."),
    prepared=_prepared,
)
