"""The side file of a checkpoint: what sees or hears of it, as upstream's converter makes it with `--mmproj`.

    side = side_of(model)                         # None for a model of text alone
    side.converted(FILE_TYPES["f16"])             # `--outtype f16`

Same tensors in the same order under the same types, same key-values (llama.cpp b11434). Reads side files
while planning, and no tensor data. Knows nothing of the names that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.defaults import nested
from translators.families.mmproj import family_in
from translators.families.mmproj.parameters import BLOCK_COUNT
from translators.families.mmproj.table import Mmproj
from translators.families.tensors import converted_tensors
from translators.families.to_gguf import QUANTIZATION_VERSION, append, check_complete, written
from translators.gguf_file import GgufFile
from translators.keyvalues import KeyValues
from translators.metadata import count_parameters, write_general
from translators.model import Model
from translators.quantised import OWN, logical
from translators.quants.filetypes import FILE_TYPES, FileType
from translators.sources.side_files import json_object

# Each may hold another object whose settings go before its own.
_PREPROCESSORS = (
    ("preprocessor_config.json", "media_proc_cfg"),
    ("processor_config.json", "image_processor"),
)


@dataclass(frozen=True)
class Side:
    """A checkpoint's part that sees or hears, in its own precision, and the table that it follows."""

    source: Checkpoint
    family: Mmproj

    @property
    def own(self) -> FileType:
        """The type of its own precision."""
        return self.source.file_type

    def converted(self, file_type: FileType) -> GgufFile:
        """The file in a type that upstream's converter knows. Raises Unsupported, MalformedSource."""
        source, family = replace(self.source, file_type=file_type), self.family
        early, hyper_parameters = written(family.early, source), written(family.parameters, source)
        tensors = tuple(converted_tensors(source, family))
        told = next((key for key in BLOCK_COUNT if key in source.config), BLOCK_COUNT[1])
        layers = source.count(told) if family.blocks is None else family.blocks(source.config)
        check_complete(family, layers, {tensor.name for tensor in tensors}, told)
        model, key_values = source.model, KeyValues()
        parameters = count_parameters((tensor.name, tensor.shape) for tensor in tensors)
        key_values.string("general.architecture", family.arch)
        append(key_values, early)
        write_general(key_values, model.root, model.name, model.config, parameters, kind="mmproj")
        append(key_values, hyper_parameters)
        key_values.u32("general.quantization_version", QUANTIZATION_VERSION)
        return GgufFile(key_values, tensors)


def side_of(model: Model) -> Side | None:
    """The side file of a Hugging Face checkpoint; None where its configuration has no such part.

    Raises Unsupported (a part of no known architecture, or without weights), MalformedSource.
    """
    family = family_in(model.config)
    if family is None:
        return None
    whole = nested(model.config, model.root)
    part = whole.get(family.part)
    if not isinstance(part, Mapping):
        raise MalformedSource("no JSON object", path="config.json", place=family.part)
    source = Checkpoint(
        model, dict(part), family.arch, family.architectures[0], FILE_TYPES[OWN], logical(model),
        whole, _preprocessor(model.root),
    )  # fmt: skip
    if family.prepared is not None:
        source = replace(source, config=family.prepared(source))
    return Side(replace(source, file_type=_own(source, family)), family)


def _own(source: Checkpoint, family: Mmproj) -> FileType:
    """The precision of the part's first tensor of two or more dimensions. Raises Unsupported for none."""
    for name, recipe in source.logical.tensors.items():
        if len(recipe.shape) > 1 and family.kept(name, source.config) is not None:
            kind = recipe.dtype.name.lower()
            return FILE_TYPES[kind if recipe.dtype.is_float else OWN]
    raise Unsupported("the checkpoint has no weights of the part that its configuration describes")


def _preprocessor(root: Path) -> dict[str, Any]:
    """How images and sounds are prepared, as all files of the directory together tell it."""
    told: dict[str, Any] = {}
    for name, inner in _PREPROCESSORS:
        path = root / name
        if path.is_file():
            found = json_object(path)
            part = found.get(inner)
            told |= {**found, **(part if isinstance(part, dict) else {})}
    return told
