"""ONNX files: the weights of a graph, which is not run.

    model = onnx.read(Path("net"), ["model.onnx"], "net")

Tensors are the initialisers and constants of the graph, under the names that they have there, in the order
of the file; texts are left out. Their bytes are read where they lie: in the file itself, or in files beside
it that it names (external data), which must be in its own directory. Where an ONNX file is a symbolic link,
as in a hub cache, what it is a link to is in such a directory as well.
Knows nothing of architectures, nor what PyTorch calls these tensors: so config.json is none of this model's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path

import numpy as np

from translators.dtypes import DTYPES, DType
from translators.errors import MalformedSource, TranslationError, Unsupported
from translators.model import Extent, FileIdentity, Model, SourceTensor, Tensor
from translators.onnx_types import NAMES
from translators.recipes import Derived, Literal, Recipe, Stored, narrow, varints
from translators.recipes.inflating import MOST_INFLATED
from translators.recipes.varints import decoded
from translators.sources.onnx_graph import Described, tensors_of
from translators.sources.protobuf import BYTES, Field
from translators.sources.side_files import side_files
from translators.sources.stored_file import StoredFile, clipped, identity_of, malformed

_STRING = 8
# By their numbers, types that safetensors has no word for: integers of so many bits, signed or not, which get
# a byte each; and others, which are refused.
_NARROW = {21: (4, False), 22: (4, True), 25: (2, False), 26: (2, True)}
_OTHERS = {15: "complex128", 23: "float4e2m1"}
# Which list of numbers holds a type; floats and doubles lie there as they are.
_PLAIN = {"F32": "float", "C64": "float", "F64": "double"}
_LISTS = {"I64": "int64", "U64": "uint64", "U32": "uint64"}
_AT_ONCE = 1 << 20
_AGAIN = "save the model again, with its weights in one file"


def read(root: Path, files: Sequence[str], name: str) -> Model:
    """The tensors of the graph in `files`, which is one file, of the directory `root`.

    Raises MalformedSource, MissingSource, or Unsupported (sparse tensors, complex128, float4e2m1).
    """
    path = root / files[0]
    tensors: dict[str, SourceTensor] = {}
    with StoredFile(path) as file:
        beside = _Beside(path, [file.identity])
        for described in tensors_of(file):
            if described.kind == _STRING:
                continue
            place = f"tensor {clipped(described.name)!r}"
            if not described.name or described.name in tensors:
                raise file.malformed("a tensor without a name of its own", place)
            try:
                tensors[described.name] = _tensor(file, described, beside)
            except TranslationError as error:
                error.path, error.place = error.path or file.shown, error.place or place
                raise
    if not tensors:
        raise malformed(path, "there is no tensor in it", remedy="name a file with weights")
    return Model(
        root=root,
        name=name,
        format="onnx",
        files=(*beside.files, *side_files(root)),
        weights=len(beside.files),
        tensors=tensors,
    )


@dataclass
class _Beside:
    """The files that hold data: the ONNX file first, then those that it names."""

    path: Path
    files: list[FileIdentity]
    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, location: str) -> int:
        """The number of the file at `location`. Raises MalformedSource (not within), MissingSource."""
        if location not in self.numbers:
            self.files.append(identity_of(self._within(location)))
            self.numbers[location] = len(self.files) - 1
        return self.numbers[location]

    def _within(self, location: str) -> Path:
        parts = location.replace("\\", "/").split("/")
        if not location or "\0" in location or parts[0] == "" or ".." in parts or ":" in parts[0]:
            raise MalformedSource(f"external data at {clipped(location)!r}, outside of the directory")
        path = self.path.parent / location
        real = os.path.realpath(path)
        homes = {os.path.realpath(self.path.parent), os.path.dirname(os.path.realpath(self.path))}  # noqa: PTH120
        if not any(real.startswith(home.rstrip(os.sep) + os.sep) for home in homes):
            raise MalformedSource(
                f"external data at {clipped(location)!r}, a symbolic link that leaves the directory",
                remedy="put the file itself there",
            )
        return path


def _tensor(file: StoredFile, described: Described, beside: _Beside) -> SourceTensor:
    """A tensor as it is said to be. Raises MalformedSource, MissingSource, Unsupported."""
    if described.kind in _NARROW:
        bits, signed = _NARROW[described.kind]
        length = -(-prod(described.shape) * bits // 8)
        packed = _recipe(file, replace(described, shape=(length,)), DTYPES["U8"], beside)
        recipe: Recipe = narrow(packed, bits, signed=signed, shape=described.shape)
    else:
        recipe = _recipe(file, described, _dtype(described.kind), beside)
    if isinstance(recipe, Stored):
        return Tensor(described.name, recipe.dtype, recipe.shape, recipe.extent)
    return Derived(described.name, recipe)


def _recipe(file: StoredFile, described: Described, dtype: DType, beside: _Beside) -> Recipe:
    """The numbers of a tensor, wherever they lie."""
    size = dtype.nbytes(prod(described.shape))
    if described.external is not None:
        return Stored(_external(described.external, size, beside), dtype.name, described.shape)
    if described.raw is None:
        return _typed(file, described, dtype)
    if described.raw.length != size:
        raise MalformedSource(
            f"{described.raw.length:,} bytes are no {dtype.name} of shape {_shape(described)}"
        )
    return Stored(Extent(0, described.raw.start, size), dtype.name, described.shape)


def _dtype(kind: int) -> DType:
    if kind in NAMES:
        return DTYPES[NAMES[kind]]
    if kind in _OTHERS:
        raise Unsupported(f"a tensor of {_OTHERS[kind]}", remedy="export the model with another type")
    raise MalformedSource(f"a tensor of type {kind}, which there is not")


def _external(told: Mapping[str, str], size: int, beside: _Beside) -> Extent:
    """Where external data lies. Raises MalformedSource, MissingSource."""
    offset, length = (_number(told, key) for key in ("offset", "length"))
    if length is not None and length != size:
        raise MalformedSource(f"{length:,} bytes of external data, {size:,} are needed")
    if "location" not in told:
        raise MalformedSource("external data without a location")
    number = beside.number(told["location"])
    held = beside.files[number].size
    start = offset or 0
    if start + size > held:
        raise MalformedSource(
            f"external data to byte {start + size:,} of a file of {held:,}: {clipped(told['location'])!r}"
        )
    return Extent(number, start, size)


def _number(told: Mapping[str, str], key: str) -> int | None:
    text = told.get(key, "")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 19:
        raise MalformedSource(f"external data with {key} {clipped(text)!r}", remedy=_AGAIN)
    return int(text)


def _typed(file: StoredFile, described: Described, dtype: DType) -> Recipe:
    """The recipe of numbers in a list. Raises MalformedSource, Unsupported."""
    wanted = _PLAIN.get(dtype.name) or _LISTS.get(dtype.name, "int32")
    fields = described.typed.pop(wanted, [])
    elements, size = prod(described.shape), dtype.nbytes(prod(described.shape))
    if described.typed:
        raise MalformedSource(f"a tensor of {dtype.name} with numbers of another type")
    if len(fields) == 1 and fields[0].wire == BYTES and wanted in _PLAIN.values():
        if fields[0].length != size:
            raise MalformedSource(
                f"{fields[0].length:,} bytes are no {dtype.name} of shape {_shape(described)}"
            )
        return Stored(Extent(0, fields[0].start, size), dtype.name, described.shape)
    if len(fields) == 1 and fields[0].wire == BYTES:
        if max(size, fields[0].length) > MOST_INFLATED:
            raise Unsupported(f"{size:,} bytes in numbers of different lengths", remedy=_AGAIN)
        if _counted(file, fields[0]) != elements:
            raise MalformedSource(f"not the {elements:,} numbers of shape {_shape(described)}")
        return varints(Extent(0, fields[0].start, fields[0].length), dtype, described.shape)
    data = b"".join(_one(file, each, dtype) for each in fields)
    if len(data) != size:
        raise MalformedSource(f"{len(data):,} bytes are no {dtype.name} of shape {_shape(described)}")
    return Literal(data, dtype.name, described.shape)


def _one(file: StoredFile, part: Field, dtype: DType) -> bytes:
    """A field of one number of its own."""
    if part.wire == BYTES:
        raise MalformedSource("numbers in lists and by themselves")
    if part.length:
        return file.read(part.start, part.length)
    return (part.value & (1 << 8 * dtype.size) - 1).to_bytes(dtype.size, "little")


def _counted(file: StoredFile, part: Field) -> int:
    """How many numbers a list has; each is seen to end."""
    count, rest = 0, np.empty(0, np.uint8)
    for at in range(part.start, part.end, _AT_ONCE):
        data = file.read(at, min(_AT_ONCE, part.end - at))
        numbers, rest = decoded(np.concatenate([rest, np.frombuffer(data, np.uint8)]))
        count += len(numbers)
    if rest.size:
        raise MalformedSource("a number does not end")
    return count


def _shape(described: Described) -> str:
    return clipped(str(list(described.shape)))
