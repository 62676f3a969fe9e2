"""Shards of a checkpoint: which files hold its weights, by the index beside them or by their own numbers.

    shards, placed = shards_of(root, ("model.safetensors.index.json", ...), ".safetensors")
    model = joined(root, files, ".npz", tensors_of, name="net", kind="npz")      # what is in all of them

Where there is an index it decides; without one, the numbers in the shards' names must be complete. An index
was written by whoever made the model: its names are plain names of files of the format, never paths.
Knows nothing of how a shard is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from translators.errors import MissingSource
from translators.model import FileIdentity, Model, SourceTensor
from translators.sources.recognise import INDEX_SUFFIX, part_of
from translators.sources.side_files import config_of, modelopt_of, side_files
from translators.sources.stored_file import StoredFile, clipped, malformed, shown

# The largest index among public models has about 10 MB.
INDEX_LIMIT = 100_000_000
_FETCH_MODEL = "fetch the model again, with all its files"


class _Index(msgspec.Struct, frozen=True):
    """An index: which shard holds which tensor. What else is in it is of no use here."""

    weight_map: dict[str, str]


_INDEX = msgspec.json.Decoder(_Index)


def shards_of(root: Path, files: Sequence[str], suffix: str) -> tuple[list[str], dict[str, str]]:
    """The shards among `files` of the directory `root`, sorted, and where the index has each tensor.

    `suffix` is what the shards' names end in. Raises MalformedSource, MissingSource.
    """
    index = next((file for file in files if file.endswith(INDEX_SUFFIX)), None)
    if index is not None:
        placed = _weight_map(root / index, suffix)
        return sorted(set(placed.values())), placed
    shards = sorted(files)
    _check_complete(root, shards)
    return shards, {}


def joined(
    root: Path, files: Sequence[str], suffix: str,
    tensors_of: Callable[[StoredFile, int], Mapping[str, SourceTensor]], *,
    name: str, kind: str, configured: bool = True, called: Callable[[str], str] = str,
) -> Model:  # fmt: skip
    """The model whose shards hold what `tensors_of` finds in each, given the file and its number.

    `kind` is its format; `configured` says whether a config.json beside the shards is about it; `called` is
    what a shard calls a tensor that its index names. Raises what `shards_of` and `tensors_of` raise, and
    MalformedSource for a tensor that is in two shards, or is not where the index has it, and where there is
    none at all.
    """
    shards, placed = shards_of(root, files, suffix)
    identities: list[FileIdentity] = []
    tensors: dict[str, SourceTensor] = {}
    for number, shard in enumerate(shards):
        with StoredFile(root / shard) as file:
            found = tensors_of(file, number)
            identities.append(file.identity)
        for tensor in found.keys() & tensors.keys():
            place = f"tensor {clipped(tensor)!r}"
            raise malformed(root / shard, "the tensor is in another shard as well", place)
        tensors |= found
    for tensor in (each for each in placed if called(each) not in tensors):
        reason = f"the tensor is not in {placed[tensor]!r}, where the index has it"
        raise malformed(root, reason, f"tensor {clipped(tensor)!r}", _FETCH_MODEL)
    if not tensors:
        raise malformed(root / shards[0], "there is no tensor in it", remedy="name a file with weights")
    return Model(
        root=root,
        name=name,
        format=kind,
        files=(*identities, *side_files(root)),
        weights=len(shards),
        tensors=tensors,
        config=config_of(root) if configured else {},
        modelopt=modelopt_of(root) if configured else {},
    )


def _weight_map(index: Path, suffix: str) -> dict[str, str]:
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
        if not shard.endswith(suffix) or not shard.isprintable() or set(shard) & {"/", "\\"}:
            reason = f"the shard {shard!r} is not the plain name of a {suffix[1:]} file"
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
