"""A decoder as a graph: tokens and what was computed of those before them, in; logits, out.

Inputs and outputs have the names that onnxruntime-genai and transformers' exporters use: input_ids,
attention_mask, past_key_values.N.key, present.N.key and so on. Attention is ONNX Runtime's
GroupQueryAttention, which OpenVINO knows too; it turns queries and keys by two tables of cosines and sines.
"""

from __future__ import annotations

import math

from translators.onnx_types import NUMBERS
from translators.recipes import cast, rotary
from translators.recipes.rotary import Function
from translators.targets.onnx.graph import MICROSOFT, Graph
from translators.targets.onnx.layers import Layers
from translators.targets.onnx.settings import Decoder

PAST, PRESENT = "past_key_values.{}.{}", "present.{}.{}"
# Of old checkpoints; and the head of a model whose embedding it is.
_UNUSED = (".rotary_emb.inv_freq", ".attention.masked_bias")
_BATCH, _LENGTH, _TOTAL = "batch_size", "sequence_length", "total_sequence_length"
_HEAD = "lm_head.weight"
_INT32 = NUMBERS["I32"]
_FUNCTIONS: tuple[Function, Function] = ("cos", "sin")


def decoder(settings: Decoder, layers: Layers) -> Graph:
    """The graph, in `layers.graph`. Raises MalformedSource, Unsupported for tensors that do not fit."""
    graph = layers.graph
    ids = graph.input("input_ids", "I64", (_BATCH, _LENGTH))
    mask = graph.input("attention_mask", "I64", (_BATCH, _TOTAL))
    shared = (*_lengths(graph, mask), *_tables(settings, layers))
    rows, size = settings.vocab, settings.hidden
    x = layers.embedding(ids, "model.embed_tokens.weight", rows, size, "model/embed_tokens")
    for number in range(settings.layers):
        x = _layer(settings, layers, number, x, shared)
    x = layers.rms_norm(x, "model.norm.weight", size, settings.epsilon, "model/norm")
    layers.product(x, "model.embed_tokens.weight" if settings.tied else _HEAD, rows, size, "logits")
    graph.output("logits", layers.kind, (_BATCH, _LENGTH, rows))
    for number in range(settings.layers):
        for part in ("key", "value"):
            past = (_BATCH, settings.kv_heads, "past_sequence_length", settings.head)
            graph.input(PAST.format(number, part), layers.kind, past)
            present = (_BATCH, settings.kv_heads, _TOTAL, settings.head)
            graph.output(PRESENT.format(number, part), layers.kind, present)
    layers.rest((*_UNUSED, _HEAD) if settings.tied else _UNUSED)
    return graph


def _lengths(graph: Graph, mask: str) -> tuple[str, str]:
    """For attention: the index of each text's last token, and the longest text's length."""
    one = graph.constant([1])
    sums = graph.node("ReduceSum", (mask, one), "lengths/sums", keepdims=0)
    last = graph.node("Sub", (sums, one), "lengths/last")
    shape = graph.node("Shape", (mask,), "lengths/shape")
    total = graph.node("Gather", (shape, graph.constant(1)), "lengths/total")
    return (
        graph.node("Cast", (last,), "lengths/last_32", to=_INT32),
        graph.node("Cast", (total,), "lengths/total_32", to=_INT32),
    )


def _tables(settings: Decoder, layers: Layers) -> tuple[str, str]:
    """Cosines and sines of every position."""
    turn = settings.rotation
    cos, sin = (
        layers.graph.weight(
            f"{function}_cache",
            cast(rotary(turn.frequencies, turn.context, function, turn.scale), layers.form.dtype),
        )
        for function in _FUNCTIONS
    )
    return cos, sin


def _layer(settings: Decoder, layers: Layers, number: int, x: str, shared: tuple[str, ...]) -> str:
    graph, place = layers.graph, f"model.layers.{number}"
    at, size, inner = f"layers.{number}", settings.hidden, settings.inner
    normal = layers.rms_norm(x, f"{place}.input_layernorm.weight", size, settings.epsilon, f"{at}/norm")
    seen = _attention(settings, layers, number, normal, shared)
    x = graph.node("Add", (x, seen), f"{at}/attended")
    place_mlp = f"{place}.mlp"
    normal = layers.rms_norm(
        x, f"{place}.post_attention_layernorm.weight", size, settings.epsilon, f"{at}/mlp_norm"
    )
    gate, up = (
        layers.linear(normal, f"{place_mlp}.{name}_proj", inner, size, f"{at}/{name}", bias=settings.mlp_bias)
        for name in ("gate", "up")
    )
    curve = graph.node("Sigmoid", (gate,), f"{at}/sigmoid")
    gate = graph.node("Mul", (gate, curve), f"{at}/silu")
    x_inner = graph.node("Mul", (gate, up), f"{at}/gated")
    down = layers.linear(x_inner, f"{place_mlp}.down_proj", size, inner, f"{at}/down", bias=settings.mlp_bias)
    return graph.node("Add", (x, down), f"{at}/done")


def _attention(settings: Decoder, layers: Layers, number: int, x: str, shared: tuple[str, ...]) -> str:
    at, place = f"layers.{number}", f"model.layers.{number}.self_attn"
    heads = {"q": settings.heads, "k": settings.kv_heads, "v": settings.kv_heads}
    parts = []
    for name, count in heads.items():
        rows, linear = count * settings.head, f"{place}.{name}_proj"
        part = layers.linear(x, linear, rows, settings.hidden, f"{at}/{name}", bias=settings.qkv_bias)
        if settings.normed and name != "v":
            part = _normed(settings, layers, part, f"{place}.{name}_norm.weight", count)
        parts.append(part)
    past = tuple(PAST.format(number, part) for part in ("key", "value"))
    present = tuple(PRESENT.format(number, part) for part in ("key", "value"))
    window = {"local_window_size": settings.windows[number]} if settings.windows[number] else {}
    seen = layers.graph.node(
        "GroupQueryAttention", (*parts, *past, *shared), f"{at}/attention", *present, domain=MICROSOFT,
        num_heads=settings.heads, kv_num_heads=settings.kv_heads, scale=1 / math.sqrt(settings.head),
        do_rotary=1, rotary_interleaved=0, **window,
    )  # fmt: skip
    columns = settings.heads * settings.head
    return layers.linear(seen, f"{place}.o_proj", settings.hidden, columns, f"{at}/o", bias=settings.out_bias)


def _normed(settings: Decoder, layers: Layers, x: str, name: str, heads: int) -> str:
    """Queries or keys, each head normed by itself."""
    apart = layers.graph.constant([0, 0, heads, settings.head])
    together = layers.graph.constant([0, 0, heads * settings.head])
    each = layers.graph.node("Reshape", (x, apart), f"{x}/heads")
    normal = layers.rms_norm(each, name, settings.head, settings.epsilon, f"{x}/norm")
    return layers.graph.node("Reshape", (normal, together), f"{x}/normed")
