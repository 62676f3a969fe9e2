"""Llama 4 as Meta stores it, what it sees with included, under Hugging Face's names.

Rows of queries and keys stay as they are: both rotate neighbouring pairs. Queries, keys and values lie in one
matrix of each shard; the experts of a layer lie below each other in one matrix, of which a shard has part of
each; a dense layer may have gate and up in one. Facts: llama-models 0.3 (`checkpoint.py`, `llama4/`), and
transformers' `convert_llama4_weights_to_hf.py` for the names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from translators.errors import MalformedSource, Unsupported
from translators.recipes import Recipe, reshape, split, transpose2d
from translators.sources.meta.dense import DROPPED, embeddings
from translators.sources.meta.params import Params
from translators.sources.meta.shards import Shards
from translators.sources.stored_file import clipped, shown

TEXT = "language_model."
# Of Transformer Engine; counts of what the router chose.
_UNUSED = ("_extra_state", "expert_activation_DE", "gate_stats_3E")
_FFN = "feed_forward."


class Whole(NamedTuple):
    """A tensor that stays one: its name there, and the axis along which shards divide it, if they do."""

    huggingface: str
    axis: int | None


_TENSORS = {
    "norm.weight": Whole(f"{TEXT}model.norm.weight", None),
    "output.weight": Whole(f"{TEXT}lm_head.weight", 0),
    "vision_projection.weight": Whole("multi_modal_projector.linear_1.weight", 0),
}
_OF_LAYERS = {
    "attention_norm.weight": Whole("input_layernorm.weight", None),
    "attention.wqkv.layer_norm_weight": Whole("input_layernorm.weight", None),
    "attention.wo.weight": Whole("self_attn.o_proj.weight", 1),
    "ffn_norm.weight": Whole("post_attention_layernorm.weight", None),
    f"{_FFN}norm.weight": Whole("post_attention_layernorm.weight", None),
    f"{_FFN}mlp.layer_norm_weight": Whole("post_attention_layernorm.weight", None),
    f"{_FFN}w1.weight": Whole(f"{_FFN}gate_proj.weight", 0),
    f"{_FFN}w2.weight": Whole(f"{_FFN}down_proj.weight", 1),
    f"{_FFN}w3.weight": Whole(f"{_FFN}up_proj.weight", 0),
    f"{_FFN}mlp.fc2_weight": Whole(f"{_FFN}down_proj.weight", 1),
    f"{_FFN}w_in_shared_FD.weight": Whole(f"{_FFN}shared_expert.gate_proj.weight", 0),
    f"{_FFN}w_swiglu_FD.weight": Whole(f"{_FFN}shared_expert.up_proj.weight", 0),
    f"{_FFN}w_out_shared_DF.weight": Whole(f"{_FFN}shared_expert.down_proj.weight", 1),
}
_SEEN = "vision_embeddings.vision_encoder."
_EYES = {
    f"{_SEEN}conv1._linear.weight": Whole("patch_embedding.linear.weight", 0),
    f"{_SEEN}class_embedding": Whole("class_embedding", None),
    f"{_SEEN}positional_embedding_vlm": Whole("positional_embedding_vlm", None),
    "vision_embeddings.vision_adapter.mlp.c_fc.weight": Whole("vision_adapter.mlp.fc1.weight", 0),
    "vision_embeddings.vision_adapter.mlp.c_proj.weight": Whole("vision_adapter.mlp.fc2.weight", 1),
    **{
        f"{_SEEN}ln_{place}.{end}": Whole(f"layernorm_{place}.{end}", None)
        for place in ("pre", "post")
        for end in ("weight", "bias")
    },
}
# By the module: its name there, and whether its columns are divided, so that its bias is not.
_OF_EYES = {
    "attn.wq": ("self_attn.q_proj", False),
    "attn.wk": ("self_attn.k_proj", False),
    "attn.wv": ("self_attn.v_proj", False),
    "attn.wo": ("self_attn.o_proj", True),
    "mlp.c_fc": ("mlp.fc1", False),
    "mlp.c_proj": ("mlp.fc2", True),
}
_NORMS = {"ln_1": "input_layernorm", "ln_2": "post_attention_layernorm"}
_LAYER = re.compile(r"layers\.(0|[1-9][0-9]{0,4})\.(.+)")
_EYE = re.compile(re.escape(_SEEN) + r"transformer\.resblocks\.(0|[1-9][0-9]{0,4})\.(.+)\.(weight|bias)")

Parts = Iterator[tuple[str, Recipe]]


def expert_tensors(shards: Shards, params: Params) -> dict[str, Recipe]:
    """Every tensor by its Hugging Face name. Raises MalformedSource, or Unsupported (a name)."""
    found: dict[str, Recipe] = {}
    for name in shards.tensors[0]:
        if name in DROPPED or name.endswith(_UNUSED):
            continue
        for target, recipe in _made(shards, params, name):
            if target in found:
                raise shards.misfit(name, f"there are two tensors that become {target}")
            found[target] = recipe
    layers = 1 + max(
        (int(each.split(".")[3]) for each in found if each.startswith(f"{TEXT}model.layers.")), default=-1
    )
    if layers != params.layers:
        raise params.refusal(
            f"there are {layers} layers of weights, here it says {params.layers}", "n_layers"
        )
    return found


def _made(shards: Shards, params: Params, name: str) -> Parts:
    """What becomes of one tensor, or of several with the first of them."""
    if name == "tok_embeddings.weight":
        yield f"{TEXT}model.embed_tokens.weight", embeddings(shards, params)
    elif name in _TENSORS:
        yield _TENSORS[name].huggingface, shards.joined(name, _TENSORS[name].axis)
    elif layer := _LAYER.fullmatch(name):
        yield from _in_layer(shards, params, name, f"{TEXT}model.layers.{layer[1]}.", layer[2])
    elif name in _EYES:
        yield f"vision_model.{_EYES[name].huggingface}", shards.joined(name, _EYES[name].axis)
    elif eye := _EYE.fullmatch(name):
        yield _of_eye(shards, name, *eye.groups())
    else:
        raise _unknown(shards, name)


def _of_eye(shards: Shards, name: str, layer: str, module: str, end: str) -> tuple[str, Recipe]:
    before = f"vision_model.model.layers.{layer}."
    if module in _NORMS:
        return f"{before}{_NORMS[module]}.{end}", shards.joined(name, None)
    if module not in _OF_EYES:
        raise _unknown(shards, name)
    target, columns = _OF_EYES[module]
    axis = (None if end == "bias" else 1) if columns else 0
    return f"{before}{target}.{end}", shards.joined(name, axis)


def _in_layer(shards: Shards, params: Params, name: str, before: str, inner: str) -> Parts:
    special = _SPECIAL.get(inner)
    if special is not None:
        try:
            yield from ((before + target, recipe) for target, recipe in special(shards, params, name))
        except MalformedSource as error:
            raise error if error.place else shards.misfit(name, error.reason) from error
    elif inner in _OF_LAYERS:
        yield before + _OF_LAYERS[inner].huggingface, shards.joined(name, _OF_LAYERS[inner].axis)
    else:
        raise _unknown(shards, name)


def _attention(shards: Shards, params: Params, name: str) -> Parts:
    """Queries, keys and values, below each other in each shard."""
    parts = shards.parts(name)
    rows = parts[0].shape[0] if parts[0].shape else 0
    unit, rest = divmod(rows, params.heads + 2 * params.kv_heads)
    if rest:
        raise shards.misfit(
            name, f"{rows} rows cannot be divided among {params.heads} + 2 x {params.kv_heads} heads"
        )
    sizes = (unit * params.heads, unit * params.kv_heads, unit * params.kv_heads)
    divided = [split(part, 0, *sizes) for part in parts]
    for kind, each in zip("qkv", zip(*divided, strict=True), strict=True):
        yield f"self_attn.{kind}_proj.weight", shards.concat(each, 0, name)


def _one_of_qkv(kind: str) -> Callable[[Shards, Params, str], Parts]:
    def made(shards: Shards, params: Params, name: str) -> Parts:
        yield f"self_attn.{kind}_proj.weight", shards.joined(name, 0)

    return made


def _gate_and_up(shards: Shards, params: Params, name: str) -> Parts:
    """Gate and up of a dense layer, below each other in each shard."""
    divided = []
    for part in shards.parts(name):
        if not part.shape or part.shape[0] % 2:
            raise shards.misfit(name, f"shape {part.shape} has no two halves")
        divided.append(split(part, 0, part.shape[0] // 2, part.shape[0] // 2))
    for kind, each in zip(("gate", "up"), zip(*divided, strict=True), strict=True):
        yield f"{_FFN}{kind}_proj.weight", shards.concat(each, 0, name)


def _experts(shards: Shards, params: Params, name: str, axis: int) -> Recipe:
    """The experts of one kind as one tensor, of which each shard has a part of `axis`."""
    told = params.part("moe_args")
    count = params.count({} if told is None else told, "num_experts", most=1 << 14)
    shape = (count, params.dim, -1) if axis == 2 else (count, -1, params.dim)
    return shards.concat([reshape(part, shape) for part in shards.parts(name)], axis, name)


def _gate_and_up_of_experts(shards: Shards, params: Params, name: str) -> Parts:
    beside = name.replace("moe_w_in_eD_F", "moe_w_swiglu_eD_F")
    pair = [_experts(shards, params, each, 2) for each in (name, beside)]
    yield f"{_FFN}experts.gate_up_proj", shards.concat(pair, 2, name)


def _down_of_experts(shards: Shards, params: Params, name: str) -> Parts:
    yield f"{_FFN}experts.down_proj", _experts(shards, params, name, 1)


def _with_gate(shards: Shards, params: Params, name: str) -> Parts:
    """What comes with the experts' gate; that must be there."""
    shards.parts(name.replace("moe_w_swiglu_eD_F", "moe_w_in_eD_F"))
    return iter(())


def _router(shards: Shards, params: Params, name: str) -> Parts:
    yield f"{_FFN}router.weight", transpose2d(shards.joined(name, None))


_SPECIAL: dict[str, Callable[[Shards, Params, str], Parts]] = {
    "attention.wqkv.weight": _attention,
    "attention.wq.weight": _one_of_qkv("q"),
    "attention.wk.weight": _one_of_qkv("k"),
    "attention.wv.weight": _one_of_qkv("v"),
    f"{_FFN}mlp.fc1_weight": _gate_and_up,
    f"{_FFN}experts.moe_w_in_eD_F": _gate_and_up_of_experts,
    f"{_FFN}experts.moe_w_swiglu_eD_F": _with_gate,
    f"{_FFN}experts.moe_w_out_eF_D": _down_of_experts,
    f"{_FFN}router_DE": _router,
}


def _unknown(shards: Shards, name: str) -> Unsupported:
    return Unsupported(
        "a tensor that Meta's Llama 4 does not have", path=shown(shards.root),
        place=f"tensor {clipped(name)!r}", remedy="use the model in Hugging Face's form",
    )  # fmt: skip
