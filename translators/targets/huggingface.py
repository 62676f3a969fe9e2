"""The Hugging Face side of a GGUF: model.safetensors, config.json and the tokenizer's files.

Together they are a folder that transformers, llama.cpp's converter and every other client of such folders
read. Where one of them cannot be made right none is offered: half a folder is of no use.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from translators.errors import TranslationError
from translators.families.pooling import pooling_files
from translators.families.to_huggingface import config, generation_config, own_dtype, weights
from translators.layout import Layout, LiteralBytes
from translators.model import FileIdentity, Model
from translators.plan import Plan, Refusal
from translators.targets.safetensors import WRITER, layout_of
from translators.vocab.to_huggingface import huggingface_files

WEIGHTS = "model.safetensors"


def plans(model: Model) -> Iterator[Plan | Refusal]:
    """The folder's files, or one refusal for the folder."""
    assert model.key_values is not None
    try:
        tensors = tuple(weights(model))
        described = config(model)
        generation = generation_config(model, described)
        files = {"config.json": _json(described), "generation_config.json": _json(generation)}
        files |= huggingface_files(model.key_values)
        files |= {name: _json(content) for name, content in pooling_files(model.key_values).items()}
    except TranslationError as error:
        yield Refusal(WEIGHTS, error.stated, error.remedy)
        return
    for name, data in files.items():
        yield Plan(name, "from the GGUF's key-values", partial(_literal, model.files, data))
    make = partial(layout_of, model.files, tensors, {"format": "pt"})
    equals = f"{WRITER} makes of the GGUF's tensors, decoded to {own_dtype(model).name}"
    yield Plan(WEIGHTS, f"{own_dtype(model).name}, Hugging Face names", make, equals=equals)


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _literal(files: tuple[FileIdentity, ...], data: bytes) -> Layout:
    return Layout(files, (LiteralBytes(data),))
