"""model.safetensors: all tensors of a model in one file, as the safetensors library itself would write it.

    plan = merged(model)                                  # a checkpoint's shards merged, or why not
    layout = layout_of(files, tensors, {"format": "pt"})  # any tensors, from recipes

Promise (invariant I10): the bytes are those of the library's own writer for the same tensors and metadata.
It keeps metadata of several keys in no order; here they keep the order given, one that it can produce.
Layout and order: the library's Rust source, `safetensors/src/tensor.rs`, `prepare` (version 0.8).
Knows nothing of architectures, nor of where recipes come from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from translators.errors import Unsupported
from translators.layout import Layout, LiteralBytes, TensorBytes
from translators.model import FileIdentity, Model
from translators.plan import Plan, Refusal
from translators.recipes import Recipe, nbytes, stored

NAME = "model.safetensors"
# What transformers and others expect where a checkpoint says nothing of its own.
DEFAULT_METADATA = {"format": "pt"}
HEADER_LIMIT = 100_000_000
# What every file of this module is equal to.
WRITER = "what the safetensors library's own writer"

# The library's own order of dtypes, its `enum Dtype`; a file begins with the last of them.
_DTYPE_ORDER = (
    "BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ",
    "F8_E5M2FNUZ", "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64",
)  # fmt: skip
_RANK = {name: -rank for rank, name in enumerate(_DTYPE_ORDER)}


def merged(model: Model) -> Plan | Refusal:
    """The model's tensors in one file, in their own dtypes; a source that is such a file is that file."""
    weights = model.files[: model.weights]
    if len(weights) == 1 and Path(os.fsdecode(weights[0].path)).name == NAME:
        make = partial(Layout.whole, weights[0], NAME)
        return Plan(NAME, "the source's own file", make, equals="the source file")
    for tensor in model.tensors.values():
        if not tensor.dtype.safetensors:
            reason = f"the format has no type for {tensor.dtype.name}, as tensor {tensor.name!r} is"
            return Refusal(NAME, reason, "the Hugging Face form of this model is made by its family")
    tensors = [(tensor.name, stored(tensor)) for tensor in model.tensors.values()]
    metadata = model.metadata or DEFAULT_METADATA
    if _header_bound(tensors, metadata) > HEADER_LIMIT < len(_header(_in_order(tensors), metadata)):
        return Refusal(NAME, f"the header of all tensors exceeds the format's {HEADER_LIMIT:,} bytes")
    make = partial(layout_of, weights, tensors, metadata)
    if model.adapter is not None:
        describe = "the adapter merged into its base model"
        return Plan(NAME, describe, make, equals=f"{WRITER} makes of the merged tensors")
    return Plan(NAME, "all shards in one file", make, equals=f"{WRITER} makes of the source's tensors")


def layout_of(
    files: Sequence[FileIdentity], tensors: Sequence[tuple[str, Recipe]], metadata: Mapping[str, str]
) -> Layout:
    """A safetensors file of these named recipes; `files` are what their extents index.

    Raises Unsupported for a dtype that the format does not have, and for a header beyond its limit.
    """
    ordered = _in_order(tensors)
    header = _header(ordered, metadata)
    if len(header) > HEADER_LIMIT:
        raise Unsupported(f"a safetensors header of {len(header):,} bytes", place="header")
    segments = [TensorBytes(name, recipe) for name, recipe in ordered]
    return Layout(tuple(files), (LiteralBytes(len(header).to_bytes(8, "little") + header), *segments))


def _in_order(tensors: Sequence[tuple[str, Recipe]]) -> list[tuple[str, Recipe]]:
    for name, recipe in tensors:
        if recipe.dtype.name not in _RANK:
            raise Unsupported(f"safetensors has no type for {recipe.dtype.name}", place=f"tensor {name!r}")
    # Names sort by code points, which is the order of their UTF-8.
    return sorted(tensors, key=lambda item: (_RANK[item[1].dtype.name], item[0]))


def _header(ordered: Sequence[tuple[str, Recipe]], metadata: Mapping[str, str]) -> bytes:
    """The JSON header, padded with spaces to a multiple of eight."""
    entries = [f'"__metadata__":{_json(dict(metadata))}'] if metadata else []
    at = 0
    for name, recipe in ordered:
        end = at + nbytes(recipe)
        shape = ",".join(map(str, recipe.shape))
        entries.append(
            f'{_json(name)}:{{"dtype":"{recipe.dtype.name}","shape":[{shape}],"data_offsets":[{at},{end}]}}'
        )
        at = end
    text = f"{{{','.join(entries)}}}".encode()
    return text + b" " * (-len(text) % 8)


def _header_bound(tensors: Sequence[tuple[str, Recipe]], metadata: Mapping[str, str]) -> int:
    """What a header has at most: a character is escaped in six bytes, a number has twenty digits."""
    names = sum(6 * len(name) + 21 * len(recipe.shape) for name, recipe in tensors)
    return names + 128 * (1 + len(tensors)) + 6 * len(_json(dict(metadata)))


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
