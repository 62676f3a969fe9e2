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

import msgspec

from translators.errors import MissingSource
from translators.model import FileIdentity, Model, Tensor
from translators.sources.recognise import INDEX, SAFETENSORS, part_of, recognise
from translators.sources.safetensors_header import Header, read_header
from translators.sources.side_files import config_of, side_files
from translators.sources.stored_file import StoredFile, malformed, shown, unreadable

# The largest index among public models has about 10 MB.
INDEX_LIMIT = 100_000_000
_FETCH_MODEL = "fetch the model again, with all its files"


class _Index(msgspec.Struct, frozen=True):
    """An index: which shard holds which tensor. What else is in it is of no use here."""

    weight_map: dict[str, str]


_INDEX = msgspec.json.Decoder(_Index)


def read(root: Path, files: Sequence[str] = (), name: str = "") -> Model:
    """The checkpoint in the directory `root`, or the one that `files` of it make (see `recognise.Found`).

    `name` is the model's, the directory's unless given. Raises MalformedSource or MissingSource.
    """
    files = files or _recognised(root)
    index = next((file for file in files if file.endswith(INDEX)), None)
    placed = _weight_map(root / index) if index else {}
    shards = sorted(set(placed.values())) if index else sorted(files)
    if not index:
        _check_complete(root, shards)
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


def _weight_map(index: Path) -> dict[str, str]:
    """Which shard holds which tensor, as the index says; file names are names, never paths."""
    with StoredFile(index) as file:
        if file.size > INDEX_LIMIT:
            raise file.malformed(f"{file.size:,} bytes are too many for an index")
        try:
            placed = _INDEX.decode(file.read(0, file.size)).weight_map
        except (ValueError, RecursionError) as error:
            raise file.malformed(f"no valid index: {error}") from error
    if not placed:
        raise malformed(index, "the weight_map is empty")
    for tensor, shard in placed.items():
        if not shard.endswith(SAFETENSORS) or not shard.isprintable() or set(shard) & {"/", "\\"}:
            reason = f"the shard {shard!r} is not the plain name of a safetensors file"
            raise malformed(index, reason, f"weight_map, tensor {tensor!r}")
    return placed


def _check_complete(root: Path, shards: Sequence[str]) -> None:
    """Without an index, the shards' own numbers must be all there."""
    present: dict[tuple[str, int], set[int]] = {}
    for part in map(part_of, shards):
        present.setdefault((part.stem, part.count), set()).add(part.number)
    for (stem, count), numbers in present.items():
        if count and len(numbers) != count:
            # At most as many as there are files, and one: a name may claim 999,999.
            absent = next(number for number in range(1, count + 1) if number not in numbers)
            reason = f"shard {absent} of {count} of {stem!r} is missing, {len(numbers)} are here"
            raise MissingSource(reason, path=shown(root), remedy=_FETCH_MODEL)


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
