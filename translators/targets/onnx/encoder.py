"""An encoder as a graph: tokens in, the last layer's numbers for each of them out.

Inputs are those of transformers' exporters: input_ids, attention_mask, and token_type_ids where the model has
kinds of tokens (RoBERTa and DistilBERT have none); the output is last_hidden_state. A pooler is left out.
All operations but the linear layers' are ONNX's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from translators.onnx_types import NUMBERS
from translators.targets.onnx.graph import Graph
from translators.targets.onnx.layers import Layers
from translators.targets.onnx.settings import Encoder

_BATCH, _LENGTH = "batch_size", "sequence_length"
_UNUSED = ("pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids", "embeddings.token_type_ids")
_LEAST = float(np.finfo(np.float32).min)
# What a layer's parts are called, for both ways of naming.
_BERT = {
    "layer": "encoder.layer", "query": "attention.self.query", "key": "attention.self.key",
    "value": "attention.self.value", "out": "attention.output.dense", "norm": "attention.output.LayerNorm",
    "up": "intermediate.dense", "down": "output.dense", "last": "output.LayerNorm",
}  # fmt: skip
_DISTILBERT = {
    "layer": "transformer.layer", "query": "attention.q_lin", "key": "attention.k_lin",
    "value": "attention.v_lin", "out": "attention.out_lin", "norm": "sa_layer_norm", "up": "ffn.lin1",
    "down": "ffn.lin2", "last": "output_layer_norm",
}  # fmt: skip


@dataclass(frozen=True)
class _Layer:
    """One layer: its number, what its parts are called, and what is added to its scores."""

    number: int
    names: Mapping[str, str]
    hidden: str

    def name(self, part: str) -> str:
        """The name of a part's tensors."""
        return f"{self.names['layer']}.{self.number}.{self.names[part]}"


def encoder(settings: Encoder, layers: Layers) -> Graph:
    """The graph, in `layers.graph`. Raises MalformedSource, Unsupported for tensors that do not fit."""
    graph = layers.graph
    ids = graph.input("input_ids", "I64", (_BATCH, _LENGTH))
    mask = graph.input("attention_mask", "I64", (_BATCH, _LENGTH))
    x = _embeddings(settings, layers, ids)
    hidden = _hidden(graph, mask)
    names = _DISTILBERT if settings.kind == "distilbert" else _BERT
    for number in range(settings.layers):
        last = number == settings.layers - 1
        out = "last_hidden_state" if last else f"layers.{number}/done"
        x = _layer(settings, layers, _Layer(number, names, hidden), x, out)
    graph.output(x, layers.kind, (_BATCH, _LENGTH, settings.hidden))
    layers.rest(_UNUSED)
    return graph


def _embeddings(settings: Encoder, layers: Layers, ids: str) -> str:
    """Of words, of positions and of kinds of tokens, summed and normed."""
    graph, size = layers.graph, settings.hidden
    positions = _positions(settings, graph, ids)
    place = "embeddings.{}_embeddings.weight"
    x = layers.embedding(ids, place.format("word"), settings.vocab, size, "embeddings/words")
    if settings.types:
        kinds: str = ""
        if settings.kind == "bert":
            kinds = graph.input("token_type_ids", "I64", (_BATCH, _LENGTH))
        else:
            kinds = graph.node("Sub", (ids, ids), "embeddings/first_kind")
        kind = layers.embedding(kinds, place.format("token_type"), settings.types, size, "embeddings/kinds")
        x = graph.node("Add", (x, kind), "embeddings/words_and_kinds")
    where = layers.embedding(
        positions, place.format("position"), settings.context, size, "embeddings/positions"
    )
    x = graph.node("Add", (x, where), "embeddings/sum")
    return layers.layer_norm(x, "embeddings.LayerNorm", size, settings.epsilon, "embeddings/done")


def _positions(settings: Encoder, graph: Graph, ids: str) -> str:
    """0, 1, 2 ...; or counted behind the padding token's number, which padding itself keeps."""
    if settings.padding is None:
        shape = graph.node("Shape", (ids,), "positions/shape")
        length = graph.node("Gather", (shape, graph.constant(1)), "positions/length")
        return graph.node("Range", (graph.constant(0), length, graph.constant(1)), "positions/all")
    padding = graph.constant(settings.padding)
    is_padding = graph.node("Equal", (ids, padding), "positions/is_padding")
    is_word = graph.node("Not", (is_padding,), "positions/is_word")
    ones = graph.node("Cast", (is_word,), "positions/ones", to=NUMBERS["I64"])
    counted = graph.node("CumSum", (ones, graph.constant(1)), "positions/counted")
    only = graph.node("Mul", (counted, ones), "positions/of_words")
    return graph.node("Add", (only, padding), "positions/all")


def _hidden(graph: Graph, mask: str) -> str:
    """What is added to scores: nothing, or all but minus infinity for padding."""
    wide = graph.node("Unsqueeze", (mask, graph.constant([1, 2])), "mask/wide")
    is_padding = graph.node("Equal", (wide, graph.constant(0)), "mask/is_padding")
    least, zero = graph.constant(_LEAST, np.float32), graph.constant(0, np.float32)
    return graph.node("Where", (is_padding, least, zero), "mask/added")


def _layer(settings: Encoder, layers: Layers, part: _Layer, x: str, out: str) -> str:
    graph, size, inner, at = layers.graph, settings.hidden, settings.inner, f"layers.{part.number}"
    seen = _attention(settings, layers, part, x)
    x = graph.node("Add", (x, seen), f"{at}/attended")
    x = layers.layer_norm(x, part.name("norm"), size, settings.epsilon, f"{at}/norm")
    up = layers.linear(x, part.name("up"), inner, size, f"{at}/up", bias=True)
    if settings.activation == "relu":
        up = graph.node("Relu", (up,), f"{at}/relu")
    else:
        curve = "none" if settings.activation == "gelu" else "tanh"
        up = graph.node("Gelu", (up,), f"{at}/gelu", approximate=curve)
    down = layers.linear(up, part.name("down"), size, inner, f"{at}/down", bias=True)
    x = graph.node("Add", (x, down), f"{at}/sum")
    return layers.layer_norm(x, part.name("last"), size, settings.epsilon, out)


def _attention(settings: Encoder, layers: Layers, part: _Layer, x: str) -> str:
    graph, size, at = layers.graph, settings.hidden, f"layers.{part.number}"
    head = size // settings.heads
    apart, together = graph.constant([0, 0, settings.heads, head]), graph.constant([0, 0, size])
    # Keys lie the other way round, so that the product needs no exchange of axes.
    turned = {"query": (0, 2, 1, 3), "key": (0, 2, 3, 1), "value": (0, 2, 1, 3)}
    made = {}
    for name, axes in turned.items():
        each = layers.linear(x, part.name(name), size, size, f"{at}/{name}", bias=True)
        each = graph.node("Reshape", (each, apart), f"{at}/{name}_heads")
        made[name] = graph.node("Transpose", (each,), f"{at}/{name}_turned", perm=axes)
    scale = graph.constant(1 / math.sqrt(head), np.float32)
    query = graph.node("Mul", (made["query"], scale), f"{at}/query_scaled")
    scores = graph.node("MatMul", (query, made["key"]), f"{at}/scores")
    scores = graph.node("Add", (scores, part.hidden), f"{at}/masked")
    shares = graph.node("Softmax", (scores,), f"{at}/shares", axis=-1)
    seen = graph.node("MatMul", (shares, made["value"]), f"{at}/seen")
    seen = graph.node("Transpose", (seen,), f"{at}/seen_turned", perm=(0, 2, 1, 3))
    seen = graph.node("Reshape", (seen, together), f"{at}/together")
    return layers.linear(seen, part.name("out"), size, size, f"{at}/out", bias=True)
