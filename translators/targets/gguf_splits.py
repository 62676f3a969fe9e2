"""A GGUF in several files, as `llama-gguf-split --split-max-size` makes them of the whole one.

    plans(model, "gguf-q4_k_m-by-2000m")    # files of at most 2000 MB of tensors, more for one tensor only
    plans(model, "gguf-q4_k_m-of-3")        # three: by the smallest size in whole megabytes that gives three

All key-values are in the first file; each says by `split.*` which it is, of how many. Directories of these
names are in no listing, as there are as many as sizes: who asks for splits knows how they should be.
Knows nothing of what the files are called in the end, beyond the number that llama.cpp finds them by.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import partial

from translators.errors import Unsupported
from translators.gguf_file import DEFAULT_ALIGNMENT, GgufFile, GgufTensor, without_unit_dimensions
from translators.keyvalues import KeyValues, ValueType, scalar
from translators.model import Model
from translators.plan import Folder, Plan, Refusal
from translators.quants.carried import copied_key_values
from translators.recipes import nbytes
from translators.targets.folder import FolderTarget
from translators.targets.gguf import PREFIX, UPSTREAM, file_of

MEGABYTE = 1_000_000  # of llama-gguf-split
_MOST = 65_535  # split.count is a 16-bit number
_FOLDER = re.compile(r"gguf-(?P<kind>\w+?(?:-noimat)?)-(?:by-(?P<megabytes>\d{1,9})m|of-(?P<count>\d{1,5}))")


def folders(model: Model) -> Iterator[Folder | Refusal]:
    """None that a listing would name."""
    return iter(())


def plans(model: Model, folder: str) -> Iterator[Plan | Refusal]:
    """The splits of one type, by size or by number.

    Raises TranslationError for a type that the model does not have, a size that is smaller than the first
    tensor (llama-gguf-split gives up then), and a number that no size gives.
    """
    asked = _FOLDER.fullmatch(folder)
    if asked is None:
        return
    file, files = file_of(model, asked["kind"])
    lengths = [_padded(tensor) for tensor in file.tensors]
    count = int(asked["count"] or 0)
    megabytes = _size_for(lengths, count) if asked["count"] else int(asked["megabytes"])
    pieces = _cut(lengths, megabytes * MEGABYTE)
    whole = PREFIX + asked["kind"]
    tool = f"llama-gguf-split --split-max-size {megabytes}M"
    stem = f"{folder}/{model.name}-{asked['kind'].upper().replace('-NOIMAT', '-noimat')}"
    for number, split in enumerate(_splits(file, pieces)):
        yield Plan(
            f"{stem}-{number + 1:05d}-of-{len(pieces):05d}.gguf",
            f"split {number + 1} of {len(pieces)} of {whole}, as {tool} makes them",
            partial(split.layout, files),
            equals=f"{tool} ({UPSTREAM}) of {whole}",
        )


def _padded(tensor: GgufTensor) -> int:
    length = nbytes(tensor.recipe)
    return length + -length % DEFAULT_ALIGNMENT


def _cut(lengths: Sequence[int], limit: int) -> list[range]:
    """Which tensors go into which file: the next one begins where `limit` bytes would be passed."""
    if lengths and lengths[0] > limit:
        need = -(-lengths[0] // MEGABYTE)
        raise Unsupported(
            f"llama-gguf-split makes no files of {limit // MEGABYTE}M of it, as the first tensor is larger",
            remedy=f"{need}M is the smallest size that it takes",
        )
    starts, size = [0], 0
    for number, length in enumerate(lengths):
        if size + length > limit:
            starts.append(number)
            size = 0
        size += length
    if len(starts) > _MOST:
        raise Unsupported(
            f"{len(starts):,} splits are more than a GGUF can count", remedy="choose a larger size"
        )
    return [range(*ends) for ends in zip(starts, [*starts[1:], len(lengths)], strict=True)]


def _size_for(lengths: Sequence[int], count: int) -> int:
    """The smallest size in megabytes that gives `count` files; the larger the size, the fewer there are."""
    smallest = max(1, -(-lengths[0] // MEGABYTE)) if lengths else 1
    sizes = range(smallest, max(smallest, -(-sum(lengths) // MEGABYTE)) + 1)

    def files(megabytes: int) -> int:
        return len(_cut(lengths, megabytes * MEGABYTE))

    at = bisect_left(sizes, -count, key=lambda megabytes: -files(megabytes))
    found = files(sizes[min(at, len(sizes) - 1)])
    if found != count:
        others = sorted({found, *([files(sizes[at - 1])] if at else [])})
        raise Unsupported(
            f"no size in whole megabytes gives {count} splits",
            remedy=f"{' or '.join(map(str, others))} can be had",
        )
    return sizes[at]


def _splits(file: GgufFile, pieces: Sequence[range]) -> Iterator[GgufFile]:
    """The files. Keys of a split are in the order in which llama-gguf-split sets them, the count last."""
    for number, piece in enumerate(pieces):
        key_values = copied_key_values(file.key_values) if number == 0 else KeyValues()
        for key, kind, value in (
            ("split.no", ValueType.U16, number),
            ("split.tensors.count", ValueType.I32, len(file.tensors)),
            ("split.count", ValueType.U16, len(pieces)),
        ):
            key_values.moved_to_end(key, scalar(kind, value))
        tensors = (file.tensors[at] for at in piece)
        shaped = (GgufTensor(each.name, without_unit_dimensions(each.shape), each.recipe) for each in tensors)
        yield GgufFile(key_values, tuple(shaped))


TARGET = FolderTarget(folders, plans, as_stored=True)
