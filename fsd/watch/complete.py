"""What is missing of a model, by what its own names say: shards of an index, parts of a split.

An index and the headers of safetensors are all that is opened here, and nothing in them is trusted: reads are
bounded, and what makes no sense counts as nothing, as planning tells what is wrong with it.
Knows nothing of when this is asked.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import msgspec

from fsd.tree.nodes import ModelSource
from fsd.tree.places import Places
from translators.sources.recognise import INDEX_SUFFIX, SAFETENSORS, part_of, recognise, set_of

_LONGEST_INDEX = 64 << 20
_LONGEST_HEADER = 100_000_000  # the format's own limit


class _Index(msgspec.Struct):
    """A safetensors index, as far as it is of interest: the file of each tensor."""

    weight_map: dict[str, str]


class _Tensor(msgspec.Struct):
    """A tensor of a safetensors header, as far as it is of interest; also `__metadata__`, which has none."""

    data_offsets: tuple[int, int] = (0, 0)


def missing(places: Places, model: ModelSource) -> str:
    """In a few words, what the model lacks; "" where nothing is known to be missing."""
    folder, own = os.path.split(model.path)
    if Path(model.path).is_dir():
        folder, names = model.path, places.look(model.path).files
        whole = [found.files for found in recognise(names) if not found.name]
        files: Collection[str] = whole[0] if whole else ()
    else:
        names = places.look(folder).files
        files = set_of(own, names).files if own in names else ()
    indices = [os.path.join(folder, name) for name in files if name.endswith(INDEX_SUFFIX)]
    wanted = {shard for index in indices for shard in _shards(index)}
    absent = sorted(shard for shard in wanted - names if "/" not in shard)
    if absent:
        return f"the index names {absent[0]}, which is not there"
    if not any(not name.endswith(INDEX_SUFFIX) for name in files):
        return "there is an index and no weights"
    for name in files:
        if not name.endswith(INDEX_SUFFIX) and _is_cut_short(os.path.join(folder, name)):
            return f"{name} ends before its last tensor does"
    parts = [part_of(name) for name in files if not name.endswith(INDEX_SUFFIX)]
    for part in parts:
        numbers = {other.number for other in parts if (other.stem, other.count) == (part.stem, part.count)}
        if part.count and len(numbers) < part.count:
            return f"{len(numbers)} of {part.count} parts are there"
    return ""


def _is_cut_short(path: str) -> bool:
    """Whether a safetensors file is shorter than its own header says. (A GGUF's would take long to read.)"""
    if not path.endswith(SAFETENSORS):
        return False
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if length > min(size - 8, _LONGEST_HEADER):
                return size < 8 + length <= _LONGEST_HEADER
            tensors = msgspec.json.decode(file.read(length), type=dict[str, _Tensor])
    except (OSError, ValueError, RecursionError):
        return False
    return size < 8 + length + max((tensor.data_offsets[1] for tensor in tensors.values()), default=0)


def _shards(path: str) -> Collection[str]:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LONGEST_INDEX)
        return set(msgspec.json.decode(data, type=_Index).weight_map.values())
    except (OSError, ValueError, RecursionError):
        return ()
