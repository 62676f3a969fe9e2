"""A model in Mistral's own form as the GGUF of its own precision, from which Hugging Face's form is had.

    described(model)         # a model with key-values, for every target in Hugging Face's names

Names, rows and configuration go the way back that every GGUF goes. A model of other forms is returned as it
is, and so is one whose language model alone has such a way: a folder without its eyes would be half of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from translators.errors import TranslationError
from translators.families.to_gguf import converted
from translators.gguf_file import GgufFile
from translators.keyvalues import KeyValues
from translators.model import Model, SourceTensor
from translators.recipes import Derived
from translators.sources.mistral import FORMAT

_TEMPLATE = "tokenizer.chat_template"
# llama.cpp's names of templates that it has built in; no program else knows them.
_BUILT_IN = re.compile("mistral-v[0-9]+(?:-tekken)?")


@dataclass(frozen=True, eq=False)
class _Same:
    """A model that is the same as another if all of its files are."""

    model: Model

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._told == other._told

    def __hash__(self) -> int:
        return hash(self._told)

    @property
    def _told(self) -> tuple[object, ...]:
        return self.model.root, self.model.name, self.model.files


@lru_cache(1)
def _own(of: _Same) -> GgufFile:
    """The GGUF of the own precision: a listing asks several times, and the vocabulary takes seconds."""
    return converted(of.model)


def no_way(model: Model) -> str:
    """Why a model of this form has none of Hugging Face's; "" where it has one, or is of another form."""
    if model.format != FORMAT or model.key_values is not None:
        return ""
    if model.config.get("vision_encoder") is not None:
        return "Mistral's own form of a model that sees has no Hugging Face form here"
    try:
        _own(_Same(model))
    except TranslationError as error:
        return error.reason
    return ""


def described(model: Model) -> Model:
    """The model as its own GGUF if it is in Mistral's form and has a Hugging Face form, else as it is."""
    if model.format != FORMAT or model.config.get("vision_encoder") is not None:
        return model
    try:
        file = _own(_Same(model))
    except TranslationError:
        return model
    tensors: dict[str, SourceTensor] = {each.name: Derived(each.name, each.recipe) for each in file.tensors}
    kept = file.key_values.items()
    if _BUILT_IN.fullmatch(str(file.key_values.get(_TEMPLATE))):
        kept = [(key, value) for key, value in kept if key != _TEMPLATE]
    return replace(model, tensors=tensors, config={}, key_values=KeyValues(kept))


def configured(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of Mistral's class, which is Llama's in all but name where llama.cpp has one graph."""
    if config.get("model_type") != "llama":
        return config
    ours = {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None}
    absent = ("attention_bias", "mlp_bias", "pretraining_tp", "rope_scaling")
    return {key: value for key, value in {**config, **ours}.items() if key not in absent}
