"""TensorFlow Lite's models, without it: the constants of a `.tflite`, read where they lie.

    model = tflite.read(Path("nets"), ["mobilenet.tflite"], "mobilenet")

Names are the tensors' own; of several constants of one name the later have their place behind it (`NAME#12`,
of another graph `NAME#1.12`). Quantised tensors are what is stored, as the interpreter gives them, and beside
each are `NAME.scale` and `NAME.zero_point`, of a shape that they spread by:

    value = (NAME - NAME.zero_point) * NAME.scale

Integers of two and four bits are unpacked to bytes, sparse tensors get their zeros. Data in other files are
refused.
Knows nothing of what a graph computes. Layout: tensorflow/compiler/mlir/lite/schema/schema.fbs (version 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path

from translators.dtypes import DTYPES, DType
from translators.errors import MalformedSource, TranslationError, Unsupported
from translators.model import Extent, Model, SourceTensor, Tensor
from translators.recipes import Derived, Recipe, Stored, narrow
from translators.sources.flatbuffer import Table, Vector, root_of
from translators.sources.side_files import side_files
from translators.sources.stored_file import StoredFile, clipped
from translators.sources.tflite_sparsity import sparse

MARK = b"TFL3"
_TYPES = {
    0: "F32", 1: "F16", 2: "I32", 3: "U8", 4: "I64", 6: "BOOL", 7: "I16", 8: "C64", 9: "I8", 10: "F64",
    12: "U64", 15: "U32", 16: "U16", 18: "BF16",
}  # fmt: skip
# Integers of less than a byte: their bits, and whether they have a sign.
_NARROW = {17: (4, True), 19: (2, True), 20: (4, False)}
_NO_NUMBERS = frozenset({5, 13, 14})
_MOST_DIMENSIONS = 64
# Fields of the schema's tables.
_GRAPHS, _BUFFERS = 2, 4
_TENSORS = 0
_SHAPE, _TYPE, _BUFFER, _NAME, _QUANTIZATION, _SPARSITY, _EXTERNAL = 0, 1, 2, 3, 4, 6, 10
_SCALE, _ZERO_POINT, _AXIS = 2, 3, 6
_DATA, _OFFSET, _SIZE = 0, 1, 2


def read(root: Path, files: Sequence[str], name: str) -> Model:
    """The constants of the model that the one of `files` in `root` is.

    Raises MalformedSource, MissingSource, or Unsupported (data elsewhere, an unknown type).
    """
    tensors: dict[str, SourceTensor] = {}
    with StoredFile(root / files[0]) as file:
        model = root_of(file, MARK)
        for number, graph in enumerate(model.tables(_GRAPHS)):
            for index, table in enumerate(graph.tables(_TENSORS)):
                place = f"{number}.{index}" if number else f"{index}"
                for tensor in _tensors(file, model, table, place, tensors):
                    tensors[tensor.name] = tensor
        if not tensors:
            raise file.malformed("there is no constant in it", remedy="name a file with weights")
        identity = file.identity
    return Model(
        root=root,
        name=name,
        format="tflite",
        files=(identity, *side_files(root)),
        weights=1,
        tensors=tensors,
    )


def _tensors(
    file: StoredFile, model: Table, table: Table, place: str, others: dict[str, SourceTensor]
) -> Iterator[SourceTensor]:
    """A constant and how it is quantised; nothing for what is none, or is among `others`."""
    name = table.text(_NAME) or f"#{place}"
    try:
        recipe = _constant(file, model, table)
        if recipe is None:
            return
        parts = {"": recipe, **dict(_quantisation(table, recipe.shape))}
    except TranslationError as error:
        error.path, error.place = error.path or file.shown, f"tensor {clipped(name)!r}"
        raise
    found = [_tensor(f"{name}{suffix}", part) for suffix, part in parts.items()]
    if all(others.get(each.name) == each for each in found):
        return
    if any(each.name in others for each in found):
        found = [_tensor(f"{name}#{place}{suffix}", part) for suffix, part in parts.items()]
    if any(each.name in others for each in found):
        raise table.wrong(f"two tensors of one name, {clipped(name)!r}")
    yield from found


def _tensor(name: str, recipe: Recipe) -> SourceTensor:
    if isinstance(recipe, Stored):
        return Tensor(name, recipe.dtype, recipe.shape, recipe.extent)
    return Derived(name, recipe)


def _constant(file: StoredFile, model: Table, table: Table) -> Recipe | None:
    """The data of a tensor, None for one without data or of no numbers."""
    kind = table.number(_TYPE, "b")
    if table.number(_EXTERNAL, "I"):
        raise Unsupported("the data are in another file", remedy="save the model in one file")
    data = _data(file, model, table.number(_BUFFER, "I"))
    if not data.items or kind in _NO_NUMBERS:
        return None
    shape = table.numbers(_SHAPE, "i", _MOST_DIMENSIONS)
    if min(shape, default=0) < 0 or prod(shape) >= 1 << 62:
        raise table.wrong(f"{clipped(str(list(shape)))} is no shape")
    bits, signed = _NARROW.get(kind, (8, False))
    if bits == 8 and kind not in _TYPES:
        raise Unsupported(f"a tensor of type {kind}", remedy="convert the model to a type that others have")
    dtype = DTYPES["U8" if bits < 8 else _TYPES[kind]]
    if (sparsity := table.table(_SPARSITY)) is not None:
        if bits < 8 or data.items % dtype.size:
            raise Unsupported("a sparse tensor of such a type", remedy="convert the model without sparsity")
        values = Stored(Extent(0, data.at, data.items), dtype.name, (data.items // dtype.size,))
        return sparse(file, sparsity, values, shape)
    if data.items != _bytes(dtype, prod(shape), bits):
        shown = clipped(str(list(shape)))
        raise table.wrong(f"{data.items:,} bytes are no {dtype.name} of {bits} bits and shape {shown}")
    extent = Extent(0, data.at, data.items)
    if bits < 8:
        return narrow(Stored(extent, "U8", (data.items,)), bits, signed=signed, shape=shape)
    return Stored(extent, dtype.name, shape)


def _bytes(dtype: DType, elements: int, bits: int) -> int:
    return dtype.nbytes(elements) if bits == 8 else -(-elements * bits // 8)


def _data(file: StoredFile, model: Table, number: int) -> Vector:
    """Where a buffer's data are: in the model, or behind it where that would exceed 2 GB."""
    buffer = model.table_at(_BUFFERS, number)
    offset, size = buffer.number(_OFFSET, "Q"), buffer.number(_SIZE, "Q")
    if offset <= 1:
        return buffer.vector(_DATA, 1)
    if offset + size > file.size:
        raise buffer.wrong(f"{size:,} bytes from byte {offset:,}, beyond the file of {file.size:,}")
    return Vector(offset, size)


def _quantisation(table: Table, shape: tuple[int, ...]) -> Iterator[tuple[str, Stored]]:
    """Scales and zero points, if there are any: one for all, or one for each index of an axis."""
    found = table.table(_QUANTIZATION)
    if found is None:
        return
    axis = found.number(_AXIS, "i")
    for suffix, field, dtype in ((".scale", _SCALE, "F32"), (".zero_point", _ZERO_POINT, "I64")):
        size = DTYPES[dtype].size
        at, count = found.vector(field, size)
        spread: tuple[int, ...] = ()
        if count > 1:
            if not 0 <= axis < len(shape) or shape[axis] != count:
                raise MalformedSource(f"{count:,} scales or zero points along axis {axis} of {list(shape)}")
            spread = tuple(count if number == axis else 1 for number in range(len(shape)))
        if count:
            yield suffix, Stored(Extent(0, at, count * size), dtype, spread)
