"""The Hugging Face side of a GGUF: model.safetensors, config.json and the tokenizer's files.

Together they are a folder that transformers, llama.cpp's converter and every other client of such folders
read. Where one of them cannot be made right none is offered: half a folder is of no use.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from translators.errors import TranslationError
from translators.model import Model
from translators.plan import Plan, Refusal
from translators.targets.checkpoint import CONFIG, checkpoint, in_json, literal
from translators.targets.safetensors import DEFAULT_METADATA, WRITER, layout_of

WEIGHTS = "model.safetensors"


def plans(model: Model) -> Iterator[Plan | Refusal]:
    """The folder's files, or one refusal for the folder."""
    try:
        found = checkpoint(model)
    except TranslationError as error:
        yield Refusal(WEIGHTS, error.stated, error.remedy)
        return
    files = {CONFIG: in_json(found.config), **found.companions}
    stored = "the GGUF's key-values" if model.format == "gguf" else "the model's own form"
    for name, data in files.items():
        # Files that lie beside the source are there already; a GGUF has none.
        if isinstance(data, bytes) and not (name == CONFIG and model.format != "gguf" and _lies_there(model)):
            yield Plan(name, f"from {stored}", partial(literal, model.files, data))
    make = partial(layout_of, model.files, list(found.tensors.items()), DEFAULT_METADATA)
    tensors = "the GGUF's tensors, decoded to" if model.format == "gguf" else "the model's tensors in"
    equals = f"{WRITER} makes of {tensors} {found.own.name}"
    yield Plan(WEIGHTS, f"{found.own.name}, Hugging Face names", make, equals=equals)


def _lies_there(model: Model) -> bool:
    return (model.root / CONFIG).is_file()
