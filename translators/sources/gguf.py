"""GGUF files: one, or the splits that llama-gguf-split and the converter write.

    model = gguf.read(Path("models"), ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"], "m")

The key-values are those of the first split, without `split.*`: a merged model is no split. That all
splits are there, in their places and with all their tensors is checked by what each says of itself.
Reads headers alone. Knows nothing of architectures or vocabularies.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from translators.errors import MissingSource, Unsupported
from translators.keyvalues import KeyValues
from translators.model import FileIdentity, Model, Tensor
from translators.sources.gguf_header import Header, read_header
from translators.sources.recognise import part_of
from translators.sources.stored_file import StoredFile, malformed, shown

SPLIT_KEYS = SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS = "split.no", "split.count", "split.tensors.count"
_FETCH_MODEL = "fetch the model again, with all its files"


def read(root: Path, files: Sequence[str], name: str) -> Model:
    """The model `name` that `files` in `root` hold: one GGUF, or all splits of one, in any order.

    Raises MalformedSource, MissingSource, or Unsupported (version 1, big endian, an unknown tensor type,
    no tensors at all).
    """
    paths = [root / file for file in sorted(files)]
    identities: list[FileIdentity] = []
    headers: list[Header] = []
    _check_names(paths)
    for number, path in enumerate(paths):
        with StoredFile(path) as file:
            headers.append(read_header(file, number))
            identities.append(file.identity)
        if headers[-1].key_values.get("general.type") == "imatrix":
            reason, remedy = "is an importance matrix, no model", "call it imatrix.gguf, beside the model"
            raise Unsupported(reason, path=shown(path), remedy=remedy)
        _check_split(path, number, len(paths), headers[-1].key_values)
    tensors = _merged(paths, headers)
    key_values = headers[0].key_values.copy()
    for key in SPLIT_KEYS:
        key_values.remove(key)
    return Model(
        root=paths[0].parent,
        name=name,
        format="gguf",
        files=tuple(identities),
        weights=len(paths),
        tensors=tensors,
        key_values=key_values,
    )


def _check_names(paths: Sequence[Path]) -> None:
    """The files are one file, or by their names splits 1 to n of one model."""
    parts = [part_of(path.name) for path in paths]
    first = parts[0]
    if len(paths) == max(first.count, 1) and all(
        (part.stem, part.count, part.number) == (first.stem, first.count, number)
        for number, part in enumerate(parts, start=1 if first.count else 0)
    ):
        return
    absent = next(number for number in range(1, first.count + 2) if number not in {p.number for p in parts})
    raise MissingSource(
        f"split {absent} of {first.count} is missing, {len(paths)} are here",
        path=shown(paths[0].parent / first.stem), remedy=_FETCH_MODEL,
    )  # fmt: skip


def _check_split(path: Path, number: int, count: int, key_values: KeyValues) -> None:
    """What the file says of itself agrees with its name."""
    told = _integer(path, key_values, SPLIT_COUNT, 1)
    if told != count:
        reason = f"the file is one of {told:,} splits, by its name one of {count:,}"
        remedy = "give it back the name that it was published under"
        raise malformed(path, reason, f"key {SPLIT_COUNT!r}", remedy)
    place = _integer(path, key_values, SPLIT_NO, 0 if count == 1 else -1)
    if place != number and count > 1:
        reason = f"the file is split {place + 1:,}, by its name split {number + 1:,}"
        raise malformed(path, reason, f"key {SPLIT_NO!r}")


def _merged(paths: Sequence[Path], headers: Sequence[Header]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path, header in zip(paths, headers, strict=True):
        for name in header.tensors.keys() & tensors.keys():
            other = paths[tensors[name].extent.file].name
            raise malformed(path, f"the tensor is in {other!r} as well", f"tensor {name!r}")
        tensors |= header.tensors
    if not tensors:
        reason, remedy = "holds a vocabulary and no tensors", "use the GGUF with the weights"
        raise Unsupported(reason, path=shown(paths[0]), remedy=remedy)
    if len(paths) > 1:
        told = _integer(paths[0], headers[0].key_values, SPLIT_TENSORS, len(tensors))
        if told != len(tensors):
            reason = f"{told:,} tensors are announced, all splits hold {len(tensors):,}"
            raise malformed(paths[0], reason, f"key {SPLIT_TENSORS!r}", _FETCH_MODEL)
    return tensors


def _integer(path: Path, key_values: KeyValues, key: str, default: int) -> int:
    value = key_values.get(key, default)
    if type(value) is not int:
        raise malformed(path, "the value is no whole number", f"key {key!r}")
    return value
