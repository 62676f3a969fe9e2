"""A checkpoint as if nobody had quantised it, whole: its tensors, and its configuration without a word of it.

    found = plain(model)            # weights that were quantised are in the model's own precision
    found = plain(model, BF16)      # every float is in that one

What is not quantised stays as it is stored, where no precision is asked for. The model's own precision is
that of its matrices that nobody quantised: what its library dequantises the others to.
Knows nothing of architectures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from translators.dtypes import F32, DType
from translators.model import Model
from translators.quantised import is_quantised, logical
from translators.quantised.blocks import unblocked
from translators.quantised.configuration import MLX_PLACE, PLACE
from translators.recipes import Recipe, Stored, cast, stored
from translators.torch_types import TORCH_NAMES

_OF_QUANTISATION = (PLACE, MLX_PLACE, "compression_config")
_TOLD = ("torch_dtype", "dtype")


@dataclass(frozen=True)
class Plain:
    """own: the model's precision, or the one that was asked for. tensors: by name. config: config.json."""

    own: DType
    tensors: Mapping[str, Recipe]
    config: dict[str, Any]


def plain(model: Model, dtype: DType | None = None) -> Plain:
    """A Hugging Face checkpoint that nobody quantised.

    Raises Unsupported (a kind of quantisation that is not read, or for GGUF files alone), MalformedSource.
    """
    found = logical(model) if is_quantised(model) else None
    if found is None:
        tensors = {name: stored(each) for name, each in model.tensors.items()}
    else:
        tensors = unblocked(found.tensors, found.first)
    own = dtype or _own(tensors)
    if dtype is not None:
        tensors = {name: _in(recipe, own) for name, recipe in tensors.items()}
    elif found is not None:
        tensors = {
            name: recipe if isinstance(recipe, Stored) else _in(recipe, own)
            for name, recipe in tensors.items()
        }
    return Plain(own, tensors, _configured(model.config, own))


def _own(tensors: Mapping[str, Recipe]) -> DType:
    floats = [each for each in tensors.values() if len(each.shape) > 1 and each.dtype.is_float]
    as_they_are = (each for each in floats if isinstance(each, Stored))
    return next((each.dtype for each in chain(as_they_are, floats)), F32)


def _in(recipe: Recipe, dtype: DType) -> Recipe:
    is_float = recipe.dtype.is_float or recipe.dtype.name == "F64"
    return cast(recipe, dtype) if is_float else recipe


def _configured(config: Mapping[str, Any], own: DType) -> dict[str, Any]:
    """The source's config.json, also of the models within it, for tensors of that precision."""
    made = _told(config, own)
    return {key: _told(value, own) if isinstance(value, dict) else value for key, value in made.items()}


def _told(part: Mapping[str, Any], own: DType) -> dict[str, Any]:
    kept = {key: value for key, value in part.items() if key not in _OF_QUANTISATION}
    return kept | {key: TORCH_NAMES[own.name] for key in _TOLD if key in kept}
