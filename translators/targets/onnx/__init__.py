"""`onnx-fp32/`, `onnx-fp16/`, `onnx-int4/`: a model as a graph that ONNX Runtime, onnxruntime-genai and
OpenVINO run, of any source.

    model.onnx          the graph: some kilobytes for each layer
    model.onnx.data     the weights, as the graph refers to them; computed as they are read
    genai_config.json   of decoders, for onnxruntime-genai
    config.json, ...    configuration and tokenizer

Decoders are those of the Llama, Mistral, Qwen2 and Qwen3 families, in all three; encoders BERT, RoBERTa,
XLM-R and DistilBERT, in float32. onnx-int4 has linear layers in blocks of 32 with one scale each, bit for bit
as onnxruntime's own quantiser makes them of float32, and everything else in float32.

    frequencies.py, settings.py     what config.json says, checked
    layers.py, decoder.py, encoder.py     operations of a model
    graph.py, protobuf.py           a graph as bytes
    genai.py                        onnxruntime-genai's own configuration
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from translators.dtypes import F16, F32
from translators.errors import TranslationError
from translators.families import to_huggingface
from translators.model import FileIdentity, Model
from translators.plan import Folder, Plan, Refusal
from translators.quantised import is_quantised
from translators.recipes import Recipe
from translators.targets import checkpoint
from translators.targets.folder import FolderTarget
from translators.targets.onnx.decoder import decoder
from translators.targets.onnx.encoder import encoder
from translators.targets.onnx.genai import genai_config
from translators.targets.onnx.graph import Graph
from translators.targets.onnx.layers import Form, Layers
from translators.targets.onnx.settings import Decoder, Encoder, is_decoder

GRAPH, WEIGHTS, GENAI = "model.onnx", "model.onnx.data", "genai_config.json"
_FORMS = {"onnx-fp32": Form(F32), "onnx-fp16": Form(F16), "onnx-int4": Form(F32, 4)}
_DESCRIBED = {
    "onnx-fp32": "for ONNX Runtime, in float32",
    "onnx-fp16": "for ONNX Runtime, in float16",
    "onnx-int4": "for ONNX Runtime, linear layers in 4 bits",
}
_OF_ENCODERS = "onnx-fp32"
_GENERATION = "generation_config.json"
_LARGEST = 1 << 20


def folders(model: Model) -> Iterator[Folder | Refusal]:
    """One for each form; a refusal for each that the model does not have."""
    found = _settings(model)
    for name in _FORMS:
        if isinstance(found, str):
            yield Refusal(f"{name}/", found)
        elif isinstance(found, Encoder) and name != _OF_ENCODERS:
            yield Refusal(f"{name}/", f"encoders are made in float32 alone: {_OF_ENCODERS}/")
        else:
            yield Folder(name, _DESCRIBED[name])


def plans(model: Model, folder: str) -> Iterator[Plan | Refusal]:
    """config.json, tokenizer and what else there is, then the graph and the weights."""
    form, settings = _FORMS.get(folder), _settings(model)
    if form is None or isinstance(settings, str):
        return
    if isinstance(settings, Encoder) and folder != _OF_ENCODERS:
        return
    plain = form.bits and model.key_values is None and not is_quantised(model)
    found = checkpoint.checkpoint(model, None if plain else form.dtype)
    tensors = _unprefixed(found.tensors, settings)
    graph = Graph(f"{settings.kind} of {settings.layers} layers")
    layers = Layers(graph, tensors, form)
    if isinstance(settings, Decoder):
        decoder(settings, layers)
        generation = _content(found.companions.get(_GENERATION))
        content = checkpoint.in_json(genai_config(settings, found.config, generation, GRAPH))
        told = {**found.companions, GENAI: content}
        found = checkpoint.HuggingFace(model, found.own, found.config, found.tensors, told)
    else:
        encoder(settings, layers)
    yield from checkpoint.companion_plans(found, folder)
    bare = partial(checkpoint.literal, found.files, graph.model(WEIGHTS))
    yield Plan(f"{folder}/{GRAPH}", "the graph, without weights", bare)
    yield Plan(f"{folder}/{WEIGHTS}", f"weights {_DESCRIBED[folder]}", partial(graph.data, found.files))


def _settings(model: Model) -> Decoder | Encoder | str:
    """What a graph is made by; why there is none."""
    reason = checkpoint.refused(model)
    if reason:
        return reason
    try:
        config: Mapping[str, Any] = model.config
        if model.key_values is not None:
            config = to_huggingface.config(model)
        return Decoder.of(config) if is_decoder(config) else Encoder.of(config)
    except TranslationError as error:
        return error.stated


def _unprefixed(tensors: Mapping[str, Recipe], settings: Decoder | Encoder) -> Mapping[str, Recipe]:
    """An encoder's tensors without what stands before them in checkpoints that had a head."""
    if isinstance(settings, Decoder):
        return tensors
    prefix = ("roberta" if settings.kind == "xlm-roberta" else settings.kind) + "."
    return {name.removeprefix(prefix): recipe for name, recipe in tensors.items()}


def _content(companion: bytes | FileIdentity | None) -> Mapping[str, Any]:
    """A small JSON file's content; {} where it is none."""
    if isinstance(companion, FileIdentity):
        if companion.size > _LARGEST:
            return {}
        try:
            companion = Path(companion.shown).read_bytes()
        except OSError:
            return {}
    try:
        content = json.loads(companion or b"{}")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


TARGET = FolderTarget(folders, plans)
