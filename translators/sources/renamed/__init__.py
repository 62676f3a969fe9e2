"""What transformers' classes for other frameworks saved, in the names and shapes of its PyTorch classes.

    model = renamed(model, FLAX)      # of flax_model.msgpack: its own names, no configuration yet
    model = renamed(model, KERAS)     # of tf_model.h5
    model = renamed_bert(model)       # of Google's bert_model.ckpt

Beside a config.json of a kind that is known the model comes back with that configuration, its tensors called
and turned as PyTorch has them and ordered as one file of safetensors; so every target of the family follows.
Nothing is guessed: where one tensor has no certain name, or no certain shape, all of them keep what they
have, and `Model.unrenamed` says why. No tensor data is read; a matrix is transposed when it is.

    kinds.py   the models whose names are known       flax.py    Flax's names
    names.py   what all have in common                keras.py   TensorFlow's
                                                      google.py  Google's BERT, before transformers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from translators.errors import TranslationError, Unsupported
from translators.model import Model, SourceTensor, Tensor
from translators.recipes import Derived, Recipe, Stored, reshape, stored, transpose2d, transposed
from translators.sources.renamed import flax, google, keras
from translators.sources.renamed.kinds import FLAX_KINDS, GOOGLE_KINDS, KERAS_KINDS, Kind
from translators.sources.renamed.names import Named
from translators.sources.side_files import config_of
from translators.sources.stored_file import clipped, identity_of

__all__ = ["FLAX", "GOOGLE", "KERAS", "Framework", "renamed", "renamed_bert"]

# Ends of names of classes that have a head: GPT2LMHeadModel is no base model.
_HEADED = ("HeadModel", "HeadsModel")
# Elements of a row that is read at once.
_LONGEST = 1 << 20


@dataclass(frozen=True)
class Framework:
    """Where names come from.

    kinds:   the models whose names are known, by config.json's `model_type`.
    named:   what PyTorch calls a tensor, None for one that is no weight: (its name, its shape). Raises
             Unsupported.
    placed:  all names, with or without what the configuration's class calls its base model.
    option:  how transformers is told to read such files.
    again:   whether several copies of a tensor may lie in a file, of which the last one counts.
    """

    kinds: Mapping[str, Kind]
    named: Callable[[str, tuple[int, ...]], Named | None]
    placed: Callable[[Mapping[str, str], Kind, bool], Mapping[str, str]]
    option: str
    again: bool = False


FLAX = Framework(FLAX_KINDS, flax.named, flax.placed, "from_flax")
KERAS = Framework(KERAS_KINDS, keras.named, keras.placed, "from_tf", again=True)
GOOGLE = Framework(GOOGLE_KINDS, google.named, google.placed, "from_tf")


def renamed(model: Model, framework: Framework, own: Mapping[str, str] | None = None) -> Model:
    """`model` in PyTorch's names where a config.json of a known kind lies beside it, else as it is.

    own: what the framework calls tensors, where the model calls them otherwise.
    """
    try:
        config = config_of(model.root)
        if not config:
            return model
        return replace(model, config=config, tensors=_tensors(model, framework, config, own or {}))
    except TranslationError as error:
        return replace(model, unrenamed=_told(error, framework))


def renamed_bert(model: Model) -> Model:
    """A checkpoint of TensorFlow 1 in PyTorch's names, if it is Google's BERT with its configuration.

    Where a config.json lies beside it too, that one counts.
    """
    try:
        config = config_of(model.root)
        if config:
            return renamed(model, GOOGLE)
        config = google.configuration(model.root, model.tensors)
        if not config:
            return model
        tensors = _tensors(model, GOOGLE, config, {})
        files = (*model.files, identity_of(model.root / google.CONFIG))
        made = google.made(model.root, config)
        return replace(model, config=config, tensors=tensors, files=files, made=made)
    except TranslationError as error:
        return replace(model, unrenamed=_told(error, GOOGLE))


def _told(error: TranslationError, framework: Framework) -> Unsupported:
    remedy = f"have transformers (4.40) convert it: from_pretrained(..., {framework.option}=True)"
    return Unsupported(error.reason, path=error.path, place=error.place, remedy=error.remedy or remedy)


def _tensors(
    model: Model, framework: Framework, config: Mapping[str, Any], own: Mapping[str, str]
) -> dict[str, SourceTensor]:
    kind = _kind(config, framework)
    found: dict[str, Named] = {}
    for name, tensor in model.tensors.items():
        try:
            its = framework.named(own.get(name, name), tensor.shape)
        except Unsupported as error:
            error.place = f"tensor {clipped(name)!r}"
            raise
        if its is not None:
            found[name] = its
    places = framework.placed({name: its.name for name, its in found.items()}, kind, _is_base(config))
    tensors: dict[str, SourceTensor] = {}
    for name, place in places.items():
        if not kind.has(place):
            raise Unsupported(
                f"transformers has no such tensor in a model of type {config['model_type']!r}",
                place=f"tensor {clipped(name)!r}",
            )
        tensor = _turned(model.tensors[name], place, found[name])
        same = tensors.get(place)
        if same is not None and (not framework.again or same.shape != tensor.shape):
            reason = f"another tensor is {clipped(place)!r} as well"
            raise Unsupported(reason, place=f"tensor {clipped(name)!r}")
        tensors[place] = tensor
    return dict(sorted(tensors.items()))


def _kind(config: Mapping[str, Any], framework: Framework) -> Kind:
    """The kind of a config.json. Raises Unsupported where it is none of those known."""
    named = config.get("model_type")
    if not isinstance(named, str):
        raise Unsupported("it names no model_type", path="config.json", remedy="take the model's own")
    if named not in framework.kinds:
        reason = f"what PyTorch calls the tensors of a model of type {clipped(named)!r} is not known here"
        raise Unsupported(reason, path="config.json", place="model_type")
    return framework.kinds[named]


def _is_base(config: Mapping[str, Any]) -> bool:
    """Whether the configuration's class is a model without a head."""
    classes = config.get("architectures")
    first = classes[0] if isinstance(classes, list) and classes else ""
    return isinstance(first, str) and first.endswith("Model") and not first.endswith(_HEADED)


def _turned(tensor: SourceTensor, name: str, named: Named) -> SourceTensor:
    recipe = stored(tensor)
    if named.turned:
        return Derived(name, _transposed(recipe))
    if named.flat:
        return Derived(name, reshape(recipe, recipe.shape[1:]))
    if isinstance(tensor, Tensor):
        return msgspec.structs.replace(tensor, name=name)
    return Derived(name, recipe)


def _transposed(of: Recipe) -> Recipe:
    """The columns of a matrix as rows, by strips of what lies in a file where a row can be had as a whole."""
    if isinstance(of, Stored) and min(of.shape) > 1 and of.shape[0] <= _LONGEST:
        return transposed(of)
    return transpose2d(of)
