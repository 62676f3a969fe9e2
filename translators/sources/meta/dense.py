"""Llama 1 to 3 as Meta stores it, under Hugging Face's names and in its order of rows.

Matrices that devices shared by rows are joined by rows, the others by columns; what each device had whole is
taken once. Rows of queries and keys lie pair by pair, and half by half in Hugging Face's order. The
embeddings are divided among devices by columns (Llama 1 and 2) or by tokens: their width tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from translators.errors import MissingSource, Unsupported
from translators.recipes import Recipe, swap_rows
from translators.sources.meta.params import Params
from translators.sources.meta.shards import Shards
from translators.sources.stored_file import clipped, shown

EMBEDDINGS, HEAD = "tok_embeddings.weight", "output.weight"
_LAYER = re.compile(r"layers\.(0|[1-9][0-9]{0,4})\.(.+)")
# Tables of rotations, which are computed.
DROPPED = ("rope.freqs", "freqs_cis")


class Kind(NamedTuple):
    """A tensor of a layer: its name there, the axis along which shards divide it, and its shape in letters.

    D the width, Q and K that of all queries or keys, F of the feed-forward, V the number of tokens.
    """

    huggingface: str
    axis: int | None
    shape: str


_OF_LAYERS = {
    "attention.wq.weight": Kind("self_attn.q_proj.weight", 0, "QD"),
    "attention.wk.weight": Kind("self_attn.k_proj.weight", 0, "KD"),
    "attention.wv.weight": Kind("self_attn.v_proj.weight", 0, "KD"),
    "attention.wo.weight": Kind("self_attn.o_proj.weight", 1, "DQ"),
    "feed_forward.w1.weight": Kind("mlp.gate_proj.weight", 0, "FD"),
    "feed_forward.w2.weight": Kind("mlp.down_proj.weight", 1, "DF"),
    "feed_forward.w3.weight": Kind("mlp.up_proj.weight", 0, "FD"),
    "attention_norm.weight": Kind("input_layernorm.weight", None, "D"),
    "ffn_norm.weight": Kind("post_attention_layernorm.weight", None, "D"),
}
_OTHERS = {
    EMBEDDINGS: Kind("model.embed_tokens.weight", 0, "VD"),
    "norm.weight": Kind("model.norm.weight", None, "D"),
    HEAD: Kind("lm_head.weight", 0, "VD"),
}


def dense_tensors(shards: Shards, params: Params) -> dict[str, Recipe]:
    """Every tensor by its Hugging Face name. Raises MissingSource, MalformedSource, Unsupported."""
    found: dict[str, Recipe] = {}
    sizes = {"D": params.dim, "Q": params.heads * params.head_dim, "K": params.kv_heads * params.head_dim}
    for name in shards.tensors[0]:
        if name in DROPPED:
            continue
        target, kind = _kind(shards, name)
        recipe = _whole(shards, params, name, kind)
        for letter, size in zip(kind.shape, recipe.shape, strict=False):
            sizes.setdefault(letter, size)
        wanted = tuple(sizes.get(letter, 0) for letter in kind.shape)
        if recipe.shape != wanted:
            raise shards.misfit(name, f"all shards' parts make {recipe.shape}, and {wanted} should be there")
        found[target] = _by_halves(recipe, params, name)
    for name in _wanted(params.layers, len(found)):
        if name not in found:
            raise MissingSource(
                "a tensor is missing", path=shown(shards.root), place=f"tensor {name!r}",
                remedy="fetch the model again, or check n_layers in params.json",
            )  # fmt: skip
    layers = 1 + max(
        (int(each.split(".")[2]) for each in found if each.startswith("model.layers.")), default=-1
    )
    if layers > params.layers:
        raise params.refusal(
            f"there are {layers} layers of weights, here it says {params.layers}", "n_layers"
        )
    return found


def embeddings(shards: Shards, params: Params) -> Recipe:
    """The embeddings: divided by tokens where each part has the model's width, else by columns."""
    parts = shards.parts(EMBEDDINGS)
    by_columns = len(parts[0].shape) == 2 and parts[0].shape[1] != params.dim
    return shards.joined(EMBEDDINGS, 1 if by_columns else 0)


def keys_or_values(shards: Shards, params: Params, name: str) -> Recipe:
    """Rows of keys or values, which more devices than there are heads of them have several times."""
    parts = shards.parts(name)
    rows = sum(part.shape[0] if part.shape else 0 for part in parts)
    again, rest = divmod(rows, params.kv_heads * params.head_dim)
    if again > 1 and not rest and shards.count % again == 0:
        firsts = parts[::again]
        if not all(shards.alike(part, firsts[number // again]) for number, part in enumerate(parts)):
            raise shards.misfit(name, f"{rows} rows are no {params.kv_heads} heads of {params.head_dim}")
        parts = firsts
    return shards.concat(parts, 0, name)


def _kind(shards: Shards, name: str) -> tuple[str, Kind]:
    if name in _OTHERS:
        return _OTHERS[name].huggingface, _OTHERS[name]
    layer = _LAYER.fullmatch(name)
    kind = _OF_LAYERS.get(layer[2]) if layer else None
    if layer is None or kind is None:
        raise Unsupported(
            "a tensor that Meta's models of text, Llama 1 to 4, do not have", path=shown(shards.root),
            place=f"tensor {clipped(name)!r}", remedy="use the model in Hugging Face's form",
        )  # fmt: skip
    return f"model.layers.{layer[1]}.{kind.huggingface}", kind


def _whole(shards: Shards, params: Params, name: str, kind: Kind) -> Recipe:
    if name == EMBEDDINGS:
        return embeddings(shards, params)
    if kind.shape == "KD":
        return keys_or_values(shards, params, name)
    return shards.joined(name, kind.axis)


def _by_halves(recipe: Recipe, params: Params, name: str) -> Recipe:
    heads = {"wq": params.heads, "wk": params.kv_heads}.get(name.removesuffix(".weight").rpartition(".")[2])
    return recipe if heads is None else swap_rows(recipe, heads, params.head_dim // 2, 2)


def _wanted(layers: int, present: int) -> Iterator[str]:
    """The names that must be there; of layers one more than there can be, whatever the number claims."""
    yield from (kind.huggingface for name, kind in _OTHERS.items() if name != HEAD)
    for layer in range(min(layers, present + 1)):
        yield from (f"model.layers.{layer}.{kind.huggingface}" for kind in _OF_LAYERS.values())
