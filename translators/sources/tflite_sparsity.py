"""Where the values of a sparse tensor of TensorFlow Lite's belong: its `SparsityParameters` as a recipe.

Knows nothing of other tensors. Layout: tensorflow/compiler/mlir/lite/schema/schema.fbs (version 3).
"""

from __future__ import annotations

from contextlib import closing
from math import prod

from translators.dtypes import DTYPES
from translators.errors import MalformedSource, Unsupported
from translators.model import Extent
from translators.reading import SourceFiles
from translators.recipes import Densified, Level, Stored, densified
from translators.recipes.inflating import MOST_INFLATED
from translators.sources.flatbuffer import Table
from translators.sources.stored_file import StoredFile

_MOST_LEVELS = 64
# Fields of the schema's tables.
_ORDER, _BLOCKS, _LEVELS = 0, 1, 2
_FORMAT, _SIZE, _SEGMENTS, _INDICES = 0, 1, (2, 3), (4, 5)
_LISTED = 1
# Of the union of vectors of integers: the type of each kind.
_KINDS = {1: "I32", 2: "U16", 3: "U8"}


def sparse(file: StoredFile, table: Table, values: Stored, shape: tuple[int, ...]) -> Densified:
    """The tensor of `shape` whose sparsity is `table`. Raises MalformedSource, Unsupported (its size)."""
    if values.dtype.nbytes(prod(shape)) > MOST_INFLATED or values.source_bytes > MOST_INFLATED:
        raise Unsupported("a sparse tensor of more than 256 MiB", remedy="convert the model without sparsity")
    order = table.numbers(_ORDER, "i", _MOST_LEVELS)
    blocks = table.numbers(_BLOCKS, "i", _MOST_LEVELS)
    found = list(table.tables(_LEVELS))
    if len(found) != len(order):
        raise MalformedSource(f"{len(order)} dimensions in {len(found)} levels")
    rank = len(shape)
    inside = [1] * rank
    for number, level in zip(order, found, strict=True):
        if rank <= number < rank + len(blocks) and 0 <= blocks[number - rank] < rank:
            inside[blocks[number - rank]] *= level.number(_SIZE, "i")
    levels = tuple(
        _level(level, shape[number] // max(1, inside[number]) if 0 <= number < rank else None)
        for number, level in zip(order, found, strict=True)
    )
    with closing(SourceFiles((file.identity,))) as source:
        return densified(values, levels, order, blocks, shape=shape, source=source)


def _level(table: Table, size: int | None) -> Level:
    """A level, of a dimension of that size or, where it is None, of a block."""
    if table.number(_FORMAT, "b") != _LISTED:
        dense = table.number(_SIZE, "i")
        if dense < 0 or size not in (None, dense):
            raise MalformedSource(f"a level of {dense:,} places for a dimension of {size}")
        return Level(dense)
    if size is None:
        raise Unsupported("a sparse tensor with sparse blocks", remedy="convert the model without sparsity")
    return Level(size, _integers(table, *_SEGMENTS), _integers(table, *_INDICES))


def _integers(table: Table, kind: int, field: int) -> Stored:
    dtype, vector = _KINDS.get(table.number(kind, "B")), table.table(field)
    if dtype is None or vector is None:
        raise MalformedSource("a level without its lists")
    at, count = vector.vector(0, DTYPES[dtype].size)
    return Stored(Extent(0, at, count * DTYPES[dtype].size), dtype, (count,))
