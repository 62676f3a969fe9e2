"""LoRA adapters as PEFT saves them: adapter_config.json and adapter_model.safetensors or .bin.

    model = peft.read(root, ["adapter_model.safetensors"], "my-adapter", base)

An adapter appears as the model that it makes of its base: the base's tensors with the updates merged into
them, the base's configuration, and the adapter's tokenizer where it has one. A base that is quantised counts
as what it means (`quantised.plain`), and the merged model is not. The base's files are the merged model's
files too: whatever of them changes, changes it.

    configuration.py   what adapter_config.json says, and what of it is not merged here
    modules.py         which tensor of the adapter is what
    merging.py         the merged tensors
    experts.py         what is adapted of weights that are no layers

Where the base lies is found out by `sources.bases`. Knows nothing of architectures beyond GPT-2's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from translators.errors import TranslationError, Unsupported
from translators.model import Model, SourceTensor
from translators.quantised import is_quantised
from translators.quantised.plain import plain
from translators.recipes import Derived, Stored
from translators.sources.peft.configuration import settings_of
from translators.sources.peft.merging import Merging
from translators.sources.peft.modules import sorted_out
from translators.sources.pytorch.files import tensors_of
from translators.sources.recognise import ADAPTER_CONFIG, SAFETENSORS
from translators.sources.safetensors_header import read_header
from translators.sources.side_files import TOKENIZER_FILES, VOCABULARIES, side_files
from translators.sources.stored_file import StoredFile, identity_of, malformed, shown

__all__ = ["read"]

# Where compressed-tensors told what it did before it had `quantization_config`.
_OF_OLD = "compression_config"


def read(root: Path, files: Sequence[str], name: str, base: Model) -> Model:
    """The model that the adapter in the directory `root` makes of `base`.

    Raises MalformedSource, MissingSource, or Unsupported (what cannot be merged exactly, by its name).
    """
    settings = settings_of(root)
    base = _dequantised(base)
    weights = sorted(files, key=lambda file: not file.endswith(SAFETENSORS))[0]
    tensors: dict[str, SourceTensor]
    with StoredFile(root / weights) as file:
        tensors = (
            dict(read_header(file, base.weights).tensors)
            if weights.endswith(SAFETENSORS)
            else tensors_of(file, base.weights)
        )
        own = file.identity
    try:
        modules, replaced = sorted_out(tensors)
    except TranslationError as error:
        error.path = shown(root / weights)
        raise
    if not modules and not replaced:
        raise malformed(root / weights, "there is no tensor in it")
    merging = Merging(base, settings, modules, replaced)
    merged = merging.merged()
    first, others = base.files[: base.weights], base.files[base.weights :]
    has_vocabulary = any((root / each).is_file() for each in VOCABULARIES)
    beside = side_files(root, TOKENIZER_FILES) if has_vocabulary else ()
    return replace(
        base,
        name=name,
        format="peft",
        files=(*first, own, *others, identity_of(root / ADAPTER_CONFIG), *beside),
        weights=base.weights + 1,
        tensors=merged,
        config=merging.config,
        tokenizer=root if has_vocabulary else base.tokenizer,
        adapter=merging.adapter,
        imatrices=(),
    )


def _dequantised(base: Model) -> Model:
    """The base as if nobody had quantised it. Raises Unsupported, MalformedSource."""
    where = shown(base.root)
    if base.key_values is not None or not base.config:
        remedy = "put the original checkpoint, with its config.json, beside the adapter"
        raise Unsupported("the base model is no checkpoint with a configuration", path=where, remedy=remedy)
    remedy = "name the model in its own precision as the base"
    try:
        if not is_quantised(base):
            if base.config.get(_OF_OLD):
                raise Unsupported("the base model is quantised in a way of old", place=_OF_OLD)
            return base
        found = plain(base)
    except TranslationError as error:
        error.path = shown(base.root / error.path) if error.path else where
        error.remedy = remedy
        raise
    tensors = {
        name: base.tensors[name] if isinstance(recipe, Stored) else Derived(name, recipe)
        for name, recipe in found.tensors.items()
    }
    return replace(base, tensors=tensors, config=found.config, modelopt={})
