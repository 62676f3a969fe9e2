"""Safetensors checkpoints: one file, shards with an index, or shards without.

    model = safetensors.read(Path("SmolLM2-135M"))

The order of tensors is upstream's visiting order: shards sorted by name, in each its tensors sorted by
name. Where there is an index it decides which files are the shards, and it and the shards must name the
same tensors; without one, the numbers in the shards' names must be complete.
Reads headers, config.json and the index. Knows nothing of architectures.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from translators.errors import MissingSource
from translators.model import FileIdentity, Model, Tensor
from translators.sources.indexed import shards_of
from translators.sources.recognise import INDEX, SAFETENSORS, recognise
from translators.sources.safetensors_header import Header, read_header
from translators.sources.side_files import config_of, modelopt_of, side_files
from translators.sources.stored_file import StoredFile, malformed, shown, unreadable

_FETCH_MODEL = "fetch the model again, with all its files"


def read(root: Path, files: Sequence[str] = (), name: str = "") -> Model:
    """The checkpoint in the directory `root`, or the one that `files` of it make (see `recognise.Found`).

    `name` is the model's, the directory's unless given. Raises MalformedSource or MissingSource.
    """
    files = files or _recognised(root)
    shards, placed = shards_of(root, files, SAFETENSORS)
    index = next((file for file in files if file.endswith(INDEX)), None)
    identities: list[FileIdentity] = []
    headers: list[Header] = []
    for number, shard in enumerate(shards):
        with StoredFile(root / shard) as file:
            headers.append(read_header(file, number))
            identities.append(file.identity)
    tensors = _merged(root, shards, headers)
    if index:
        _check_index(root, index, placed, shards, tensors)
    return Model(
        root=root,
        name=name or Path(os.path.abspath(root)).name,
        format="safetensors",
        files=(*identities, *side_files(root)),
        weights=len(shards),
        tensors=tensors,
        config=config_of(root),
        modelopt=modelopt_of(root),
        metadata=_common_metadata(headers),
    )


def _recognised(root: Path) -> tuple[str, ...]:
    try:
        names = [entry.name for entry in root.iterdir()]
    except OSError as error:
        raise unreadable(root, error) from error
    for found in recognise(names):
        if found.format == "safetensors" and not found.name:
            return found.files
    raise MissingSource("holds no safetensors checkpoint", path=shown(root), remedy=_FETCH_MODEL)


def _merged(root: Path, shards: Sequence[str], headers: Sequence[Header]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for shard, header in zip(shards, headers, strict=True):
        for name in header.tensors.keys() & tensors.keys():
            reason = f"the tensor is in {shards[tensors[name].extent.file]!r} as well"
            raise malformed(root / shard, reason, f"tensor {name!r}", "keep one set of weights here")
        tensors |= header.tensors
    return tensors


def _check_index(
    root: Path, index: str, placed: dict[str, str], shards: Sequence[str], tensors: dict[str, Tensor]
) -> None:
    """Index and shards name the same tensors, each in the same file."""
    for name, shard in placed.items():
        tensor = tensors.get(name)
        if tensor is None or shards[tensor.extent.file] != shard:
            reason = f"the tensor is not in {shard!r}, where the index has it"
            raise malformed(root / index, reason, f"tensor {name!r}", _FETCH_MODEL)
    for name, tensor in tensors.items():
        if name not in placed:
            reason = f"the index lacks a tensor that {shards[tensor.extent.file]!r} holds"
            raise malformed(root / index, reason, f"tensor {name!r}", _FETCH_MODEL)


def _common_metadata(headers: Sequence[Header]) -> dict[str, str]:
    first = headers[0].metadata if headers else {}
    return first if all(header.metadata == first for header in headers) else {}
