"""A checkpoint as the GGUF that upstream's converter makes of it, in the source's own precision.

Same tensors in the same order under the same types, same key-values (llama.cpp b11434,
`convert_hf_to_gguf.py --outtype <own precision>`). Every other type starts from this file.
Reads side files while planning, and tensor data only where a family's header depends on them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import copy
from dataclasses import replace

from translators.errors import MalformedSource, Unsupported
from translators.families import architecture_of, family_of
from translators.families.checkpoint import Checkpoint
from translators.families.defaults import completed
from translators.families.hparams import BLOCK_COUNT
from translators.families.parameters import RANKING, Parameters, Step
from translators.families.pooling import is_qwen3_reranker
from translators.families.reranking import with_judgement
from translators.families.table import Family
from translators.families.tensors import converted_tensors, names_of_blocks
from translators.gguf_file import GgufFile
from translators.keyvalues import KeyValues, ValueType
from translators.metadata import count_parameters, write_general
from translators.model import Model
from translators.quantised import OWN, is_quantised, logical
from translators.quants.filetypes import FILE_TYPES, FileType
from translators.vocab import write_tokenizer

QUANTIZATION_VERSION = 2  # ggml's GGML_QNT_VERSION
# A layer: of the model, or of the part that sees ("v.") or hears ("a.").
_BLOCK = re.compile(r"(?:[va]\.)?blk\.([0-9]+)\.")


def own_file_type(model: Model) -> FileType:
    """The type of a checkpoint's own precision: that of its first tensor of two or more dimensions.

    A quantised checkpoint's is BF16. Raises Unsupported for weights that are no plain floats.
    """
    if is_quantised(model):
        return FILE_TYPES[OWN]
    for tensor in model.tensors.values():
        if len(tensor.shape) < 2:
            continue
        name = "f32" if tensor.dtype.name == "F64" else tensor.dtype.name.lower()
        if name not in ("f32", "f16", "bf16"):
            break
        return FILE_TYPES[name]
    else:
        raise MalformedSource("no tensor has two dimensions", path=str(model.root))
    raise Unsupported(
        f"weights stored as {tensor.dtype.name} have no GGUF translation yet", place=f"tensor {tensor.name}",
        remedy="use the checkpoint in BF16, F16 or F32",
    )  # fmt: skip


def converted(model: Model) -> GgufFile:
    """The GGUF of a Hugging Face checkpoint in its own precision.

    Raises Unsupported (architecture, tokenizer, tensor, kind of quantisation), MalformedSource.
    """
    if model.unrenamed is not None:
        raise copy(model.unrenamed)
    family = family_of(model.config)
    source = _checkpoint(model, family)
    reranks = RANKING in family.parameters and is_qwen3_reranker(model.root, model.name, source.config)
    blocks = None if family.blocks is None else family.blocks(source.config)
    # First of all, as it says best what is wrong with a config.json.
    early = written(family.early, source, blocks)
    hyper_parameters = written(family.parameters, source, blocks)
    vocabulary = KeyValues()
    write_tokenizer(
        vocabulary,
        model.tokenizer or model.root,
        source.config,
        style=family.vocabulary,
        arch=family.arch,
        made=model.made,
    )
    tensors = tuple(converted_tensors(source, family))
    if reranks:
        tensors = tuple(
            with_judgement(tensors, vocabulary, tied=bool(source.config.get("tie_word_embeddings")))
        )
    layers = source.count(*BLOCK_COUNT) if blocks is None else blocks
    check_complete(family, layers, {tensor.name for tensor in tensors})
    key_values = KeyValues()
    parameters = count_parameters((tensor.name, tensor.shape) for tensor in tensors)
    key_values.string("general.architecture", family.arch)
    append(key_values, early)
    write_general(key_values, model.root, model.name, model.config, parameters, made=model.made)
    append(key_values, hyper_parameters)
    key_values.u32("general.quantization_version", QUANTIZATION_VERSION)
    _write_precisions(key_values, source, family)
    append(key_values, vocabulary)
    return GgufFile(key_values, tensors)


def _checkpoint(model: Model, family: Family) -> Checkpoint:
    file_type, tensors = own_file_type(model), logical(model)
    if tensors.file_type is not None:
        file_type = replace(file_type, number=tensors.file_type)
    config = dict(model.config) if family.native else completed(model.config, model.root)
    source = Checkpoint(model, config, family.arch, architecture_of(model.config), file_type, tensors)
    return source if family.prepared is None else replace(source, config=family.prepared(source))


def _write_precisions(key_values: KeyValues, source: Checkpoint, family: Family) -> None:
    """Which tensors of four-bit floats are multiplied with activations of more bits."""
    names = sorted(
        name for weight in source.logical.unhurried for name in names_of_blocks(source, family, weight)
    )
    if names:
        key_values.array("general.tensor_extra.name", ValueType.STRING, names)
        key_values.array("general.tensor_extra.prec_a4", ValueType.BOOL, [False] * len(names))


def written(steps: Iterable[Step], source: Checkpoint, blocks: int | None = None) -> KeyValues:
    """The key-values that steps write. Raises what they raise."""
    key_values = KeyValues()
    write = Parameters(key_values, source, blocks)
    for step in steps:
        step(write)
    return key_values


def append(key_values: KeyValues, others: KeyValues) -> None:
    """Set all of the others as well."""
    for key, value in others.items():
        key_values.set(key, value)


def check_complete(family: Family, layers: int, present: set[str], told: str = "num_hidden_layers") -> None:
    """Refuse a checkpoint that lacks layers or parts of them: its GGUF could not be loaded.

    present: names of the GGUF. told: the key of the configuration that `layers` comes from.
    """
    stems = [
        name if rule.ended else name + ".weight"
        for rule, _ in family.single
        if not rule.optional
        for name in rule.names
    ]
    # One layer beyond what there can be is enough to find one missing, whatever the number claims.
    numbers = range(min(layers, len(present) + 1))
    wanted = {name.format(layer) for name in stems for layer in (numbers if "{}" in name else [0])}
    missing = sorted(wanted - present)
    if missing:
        found = family.to_huggingface(missing[0])
        first = found.names[0] if found else missing[0]
        raise MalformedSource(
            f"{len(missing)} tensors of {len(wanted)} are missing", place=f"tensor {first}",
            remedy=f"fetch the missing shards, or check {told} in config.json",
        )  # fmt: skip
    number = max((int(found[1]) for found in map(_BLOCK.match, present) if found), default=-1) + 1
    if number > layers:
        raise MalformedSource(
            f"there are {number} layers of weights, here it says {layers}", path="config.json",
            place=told, remedy="take config.json from the model's original repository",
        )  # fmt: skip
