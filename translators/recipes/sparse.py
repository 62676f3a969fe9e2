"""Densified: a sparse tensor as TensorFlow Lite has it, with zeros where it holds nothing.

Its elements are met level by level, in blocks perhaps. A level is dense: all its places are met; or it lists
the places that are (compressed sparse rows: `segments` tells which of `indices` are those below each place
that was met at the level before). The last level's places are those of the values.
Format: tensorflow/compiler/mlir/lite/schema/schema.fbs, `SparsityParameters`.

The whole is made at once and kept where the source keeps things, so it is for what is not too large.
Knows nothing of files' formats.
"""

from __future__ import annotations

from functools import partial
from math import prod

import msgspec
import numpy as np
import numpy.typing as npt

from translators.dtypes import DType
from translators.errors import MalformedSource
from translators.ranges import ElementRange
from translators.recipes.inflating import MOST_INFLATED
from translators.recipes.leaves import Stored
from translators.recipes.pieces import Bytes, Source, read_bytes
from translators.recipes.unpacking import KeepingSource

Places = npt.NDArray[np.int64]


class Level(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A level of so many places, all of which are met where nothing is listed."""

    size: int
    segments: Stored | None = None
    indices: Stored | None = None


class Densified(msgspec.Struct, frozen=True, tag="densified", tag_field="op", array_like=True, gc=False):
    """`values` at the places that the levels tell.

    order: which dimension each level is of; those from len(shape) on are of blocks.
    blocks: which dimension each dimension of blocks is within.
    """

    values: Stored
    levels: tuple[Level, ...]
    order: tuple[int, ...]
    blocks: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> DType:
        """The type of the values."""
        return self.values.dtype

    @property
    def unit(self) -> int:
        """One element: the whole is kept."""
        return 1

    @property
    def source_bytes(self) -> int:
        """Values and lists."""
        lists = (part for level in self.levels for part in (level.segments, level.indices))
        return self.values.source_bytes + sum(part.source_bytes for part in lists if part is not None)

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`. They may be kept: nobody may write to them. Raises MalformedSource."""
        extent, make = self.values.extent, partial(self._whole, source)
        if isinstance(source, KeepingSource):
            whole = source.kept(extent.file, ("densified", extent.offset), make)
        else:
            whole = make()
        size = self.dtype.size
        return whole[elements.first * size : elements.end * size]

    def places(self, source: Source) -> Places:
        """The number of the element that each value is. Raises MalformedSource."""
        count = prod(self.values.shape)
        most = max(count, *(level.segments.shape[0] if level.segments else 0 for level in self.levels))
        met, found = np.zeros(1, np.int64), dict[int, Places]()
        for level, dimension in zip(self.levels, self.order, strict=True):
            if level.segments is None or level.indices is None:
                if met.size * level.size > most:
                    raise MalformedSource(f"more places than a sparse tensor of {count:,} values lists")
                parents = np.repeat(np.arange(met.size), level.size)
                places = np.tile(np.arange(level.size), met.size)
                below = met[parents] * level.size + places
            else:
                segments, indices = (_integers(part, source) for part in (level.segments, level.indices))
                parents, below = _listed(met, segments, indices.size)
                places = indices[below]
                if places.size and not 0 <= int(places.min()) <= int(places.max()) < level.size:
                    raise MalformedSource(f"a place beyond a dimension of {level.size:,}")
            found = {each: before[parents] for each, before in found.items()} | {dimension: places}
            met = below
        if met.size != count:
            raise MalformedSource(f"{met.size:,} places for {count:,} values of a sparse tensor")
        return self._flat(found)

    def _flat(self, found: dict[int, Places]) -> Places:
        """Places by dimension, those within blocks too, as numbers of elements. Raises MalformedSource."""
        sizes = {dimension: level.size for level, dimension in zip(self.levels, self.order, strict=True)}
        rank = len(self.shape)
        flat = np.zeros(prod(self.values.shape), np.int64)
        for dimension, length in enumerate(self.shape):
            place = found[dimension]
            for number in self.order[rank:]:
                if self.blocks[number - rank] == dimension:
                    place = place * sizes[number] + found[number]
            flat = flat * length + place
        if np.unique(flat).size != flat.size:
            raise MalformedSource("two values of a sparse tensor in one place")
        return flat

    def _whole(self, source: Source) -> Bytes:
        size = self.dtype.size
        whole = np.zeros((prod(self.shape), size), np.uint8)
        values = read_bytes(self.values, 0, self.values.source_bytes, source)
        whole[self.places(source)] = np.asarray(values).reshape(-1, size)
        return whole.reshape(-1)


def densified(
    values: Stored, levels: tuple[Level, ...], order: tuple[int, ...], blocks: tuple[int, ...], *,
    shape: tuple[int, ...], source: Source,
) -> Densified:  # fmt: skip
    """`Densified`, of which the lists were looked through: reading it will not fail for them.

    Raises MalformedSource, and ValueError for more than `MOST_INFLATED` bytes: ask before.
    """
    made = Densified(values, levels, order, blocks, shape)
    rank = len(shape)
    if made.dtype.nbytes(prod(shape)) > MOST_INFLATED or made.source_bytes > MOST_INFLATED:
        raise ValueError(f"a tensor of more than {MOST_INFLATED} bytes cannot be kept")
    all_there = len(levels) == len(order) == rank + len(blocks) and sorted(order) == [*range(len(order))]
    if min((level.size for level in levels), default=0) < 0:
        raise MalformedSource("a level of fewer places than none")
    if not all_there or sorted(order[:rank]) != [*range(rank)] or not {*blocks} <= {*range(rank)}:
        raise MalformedSource("levels that do not fit a sparse tensor's shape")
    sizes = {dimension: level.size for level, dimension in zip(levels, order, strict=True)}
    for dimension, length in enumerate(shape):
        inside = prod(sizes[number] for number, within in enumerate(blocks, rank) if within == dimension)
        if sizes[dimension] * inside != length:
            raise MalformedSource(f"levels that do not make dimension {dimension} of {list(shape)}")
    made.places(source)
    return made


def _listed(met: Places, segments: Places, count: int) -> tuple[Places, Places]:
    """Of a level's listed places: the number among `met` that each is below, and its own in the list.

    Raises MalformedSource.
    """
    if segments.size <= int(met.max(initial=0)) + 1 or np.diff(segments).min(initial=0) < 0:
        raise MalformedSource("segments of a sparse tensor that do not follow one another")
    if int(segments[0]) < 0 or int(segments[-1]) > count:
        raise MalformedSource("segments beyond the places of a sparse tensor")
    starts, lengths = segments[met], segments[met + 1] - segments[met]
    parents = np.repeat(np.arange(met.size), lengths)
    first = np.cumsum(lengths) - lengths
    return parents, np.arange(parents.size) - first[parents] + starts[parents]


def _integers(part: Stored, source: Source) -> Places:
    data = np.asarray(read_bytes(part, 0, part.source_bytes, source))
    kinds = {"I32": "<i4", "U16": "<u2", "U8": "|u1"}
    return data.view(kinds[part.type]).astype(np.int64)
