"""Where a dataset's data are, as a recipe: in one run, in its header, or in chunks.

    recipe = recipe_of(header, number)     # None for a dataset of texts, records and the like

Data in other files (external storage, virtual datasets) are refused: nothing else is ever opened. So are
filters other than deflate, shuffle and checksums, and compressed chunks of which a row of the tensor touches
more than can be kept. Every extent is checked against the file.
Knows nothing of names.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from translators.dtypes import DType
from translators.model import Extent
from translators.recipes import Recipe, Stored, chunked, expand, fill, reshape
from translators.recipes.chunks import CHECKSUM, DEFLATE, NOWHERE, PLACE, SHUFFLE, Chunks
from translators.recipes.inflating import MOST_INFLATED
from translators.sources.hdf5.chunk_index import ChunkPlace, Grid, new_index, old_index
from translators.sources.hdf5.datatypes import Kind, Space, dataspace, datatype
from translators.sources.hdf5.headers import (
    DATASPACE,
    DATATYPE,
    EXTERNAL,
    FILL,
    FILTERS,
    LAYOUT,
    OLD_FILL,
    Header,
)
from translators.sources.hdf5.region import Cursor, Hdf5File

# Of each filter its number, and for SHUFFLE an element's bytes.
Filters = tuple[tuple[int, int], ...]

_COMPACT, _CONTIGUOUS, _CHUNKED = 0, 1, 2
_FILTERS = {4: "szip", 5: "n-bit", 6: "scale-offset", 32000: "LZF"}
_MOST_FILTERS = 8
# A dataset that was never written may claim any size.
_LARGEST = 1 << 50
_MOST_CHUNKS = 1 << 20
# What a chunk takes of memory, and its place of time.
_COST = 64
# Chunks side by side that a row of the tensor touches, decoded: each reader of it has to have them all.
_MOST_BESIDE = 64 << 20
_REPACK = "write the file anew: h5repack -l CONTI"


@dataclass(frozen=True)
class Dataset:
    """What a dataset's header says. `shape` has an array type's dimensions at its end."""

    header: Header
    number: int
    space: Space
    kind: Kind
    dtype: DType

    @property
    def file(self) -> Hdf5File:
        """The file that it is in."""
        return self.header.file

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return self.space.shape + self.kind.inner

    @property
    def size(self) -> int:
        """Bytes of data."""
        return self.dtype.nbytes(prod(self.shape))


def recipe_of(header: Header, number: int) -> Recipe | None:
    """The data of a dataset in file `number` of a model; None where they are no numbers.

    Raises MalformedSource, Unsupported.
    """
    space, kind = header.first(DATASPACE), header.first(DATATYPE)
    if space is None or kind is None:
        raise header.file.malformed("a dataset without shape or type", header.file.base + header.address)
    if header.has(EXTERNAL):
        reason = "a dataset whose data are in other files, which are not opened"
        raise header.file.unsupported(reason, _REPACK)
    its, shape = datatype(kind), dataspace(space)
    if its.dtype is None or shape.null:
        return None
    dataset = Dataset(header, number, shape, its, its.dtype)
    if dataset.size > _LARGEST:
        reason = f"a dataset of {dataset.size:,} bytes"
        raise header.file.malformed(reason, header.file.base + header.address)
    return _laid_out(dataset)


def _laid_out(dataset: Dataset) -> Recipe:
    file, layout = dataset.file, dataset.header.first(LAYOUT)
    assert layout is not None
    version = layout.uint(1)
    if not 1 <= version <= 5:
        raise file.unsupported(f"data that are laid out as version {version} of the format has it")
    if version < 3:
        return _old_layout(dataset, layout)
    kind = layout.uint(1)
    if kind == _COMPACT:
        length = layout.uint(2)
        return _inline(dataset, layout, length)
    if kind == _CONTIGUOUS:
        address, length = layout.address(), layout.length()
        return _run(dataset, address, length)
    if kind != _CHUNKED:
        reason = "a virtual dataset, whose data are in other files, which are not opened"
        raise file.unsupported(reason, _REPACK)
    flags = layout.uint(1) if version > 3 else 0
    rank = layout.uint(1)
    filters = _pipeline(dataset)
    if version == 3:
        address = layout.address()
        grid = _grid(dataset, [layout.uint(4) for _ in range(rank)])
        return _in_chunks(dataset, grid, filters, old_index(file, address, grid))
    width = layout.uint(1)
    grid = _grid(dataset, [layout.uint(width) for _ in range(rank)])
    wide = file.length_width if version > 4 else 0
    places = new_index(layout, grid, flags, filtered=bool(filters), width=wide)
    return _in_chunks(dataset, grid, filters, places, unfiltered_edges=bool(flags & 1))


def _old_layout(dataset: Dataset, layout: Cursor) -> Recipe:
    """Of versions 1 and 2, which HDF5 wrote before 2004."""
    rank, kind = layout.uint(1), layout.uint(1)
    layout.take(5)
    address = None if kind == _COMPACT else layout.address()
    steps = [layout.uint(4) for _ in range(rank)]
    if kind == _COMPACT:
        length = layout.uint(4)
        return _inline(dataset, layout, length)
    if kind == _CONTIGUOUS:
        return _run(dataset, address, dataset.size)
    if kind != _CHUNKED:
        raise layout.malformed("data that are laid out in no way there is")
    filters, grid = _pipeline(dataset), _grid(dataset, steps)
    return _in_chunks(dataset, grid, filters, old_index(dataset.file, address, grid))


def _inline(dataset: Dataset, layout: Cursor, length: int) -> Recipe:
    if length < dataset.size or layout.left < dataset.size:
        raise layout.malformed(f"{dataset.size:,} bytes of data are more than there are")
    return _at(dataset, layout.place + layout.at)


def _run(dataset: Dataset, address: int | None, length: int) -> Recipe:
    size = dataset.size
    if address is None or not size:
        return _never_written(dataset)
    if length < size:
        place = dataset.file.base + dataset.header.address
        raise dataset.file.malformed(f"{size:,} bytes of data are more than there are", place)
    return _at(dataset, dataset.file.placed(address, size))


def _at(dataset: Dataset, place: int) -> Recipe:
    swap, elements = dataset.kind.swap, prod(dataset.shape)
    if not dataset.size:
        return _never_written(dataset)
    if not swap:
        return Stored(Extent(dataset.number, place, dataset.size), dataset.dtype.name, dataset.shape)
    # As much of one chunk as there is, which goes through nothing: any range of it is read.
    one = dataset.dtype.size
    pieces = PLACE.pack(place, min(dataset.size, (1 << 32) - 1), 0)
    return reshape(
        Chunks(dataset.number, pieces, dataset.dtype.name, elements, (), bytes(one), swap), dataset.shape
    )


def _never_written(dataset: Dataset) -> Recipe:
    value = _fill_value(dataset)
    if not prod(dataset.shape) or not any(value):
        return fill(dataset.shape, dataset.dtype)
    one = Chunks(dataset.number, NOWHERE, dataset.dtype.name, 1, (), value, dataset.kind.swap)
    return expand(reshape(one, (1,) * len(dataset.shape)), dataset.shape)


def _in_chunks(
    dataset: Dataset, grid: Grid, filters: Filters, found: list[ChunkPlace], *, unfiltered_edges: bool = False
) -> Recipe:
    """The tensor that chunks make up. `unfiltered_edges`: those that reach beyond it went through nothing."""
    file, inner = dataset.file, dataset.kind.inner
    if not prod(dataset.shape):
        return _never_written(dataset)
    places = bytearray(NOWHERE) * grid.count
    for chunk in found:
        length = chunk.length if filters else grid.bytes
        if not 0 < length <= 2 * grid.bytes + (1 << 20):
            raise file.malformed(f"a chunk of {length:,} bytes", file.base + chunk.address)
        mask = 0xFFFFFFFF if unfiltered_edges and grid.is_partial(chunk.number) else chunk.mask
        at = chunk.number * PLACE.size
        if places[at : at + PLACE.size] != NOWHERE:
            raise file.malformed("a chunk that is there twice", file.base + chunk.address)
        PLACE.pack_into(places, at, file.placed(chunk.address, length), length, mask)
    _check_width(dataset, grid, bool(filters))
    leaf = Chunks(
        dataset.number, bytes(places), dataset.dtype.name, prod(grid.chunk + inner), filters,
        _fill_value(dataset), dataset.kind.swap,
    )  # fmt: skip
    return chunked(leaf, dataset.shape, grid.chunk + inner)


def _grid(dataset: Dataset, steps: list[int]) -> Grid:
    """The grid of chunks: sizes of a chunk, the last of which is an element's. Raises MalformedSource."""
    file, shape = dataset.file, dataset.space.shape
    place = file.base + dataset.header.address
    if len(steps) != len(shape) + 1 or not shape or min(steps) < 1 or steps[-1] != dataset.kind.size:
        raise file.malformed("chunks whose shape is not the dataset's", place)
    grid = Grid(shape, dataset.space.most, tuple(steps[:-1]), prod(steps))
    if grid.count > _MOST_CHUNKS:
        raise file.unsupported(f"a dataset in {grid.count:,} chunks, more than {_MOST_CHUNKS:,}", _REPACK)
    if grid.bytes > MOST_INFLATED:
        reason = f"chunks of {grid.bytes:,} bytes, more than {MOST_INFLATED:,}"
        raise file.unsupported(reason, _REPACK)
    file.charge(grid.count * _COST)
    return grid


def _check_width(dataset: Dataset, grid: Grid, filtered: bool) -> None:
    """Refuse compressed chunks of which too many lie side by side."""
    band = grid.bytes * prod(grid.counts[1:])
    if filtered and band > max(_MOST_BESIDE, grid.bytes):
        reason = f"{band:,} bytes of compressed chunks side by side, of which any row needs all"
        raise dataset.file.unsupported(reason, _REPACK)


def _pipeline(dataset: Dataset) -> Filters:
    """What chunks went through. Raises Unsupported for what cannot be undone here."""
    body = dataset.header.first(FILTERS)
    if body is None:
        return ()
    version, count = body.uint(1), body.uint(1)
    if version not in (1, 2) or count > _MOST_FILTERS:
        raise body.malformed("filters that are none")
    body.take(6 if version == 1 else 0)
    found: list[tuple[int, int]] = []
    for _ in range(count):
        number = body.uint(2)
        name = body.uint(2) if version == 1 or number >= 256 else 0
        body.take(2)
        values = body.uint(2)
        body.take(name + (-name % 8 if version == 1 else 0))
        numbers = [body.uint(4) for _ in range(values)]
        body.take(4 if version == 1 and values % 2 else 0)
        if number not in (DEFLATE, SHUFFLE, CHECKSUM):
            what = _FILTERS.get(number, f"filter {number}")
            remedy = "write the file anew: h5repack -f GZIP=1, or -f NONE"
            raise dataset.file.unsupported(f"chunks that went through {what}", remedy)
        width = numbers[0] if numbers and number == SHUFFLE else dataset.kind.size
        if not 0 < width <= 1 << 20:
            raise body.malformed("elements without a size")
        found.append((number, width if number == SHUFFLE else 0))
    return tuple(found)


def _fill_value(dataset: Dataset) -> bytes:
    """The bytes of an element that was never written."""
    size, value = dataset.dtype.size, b""
    body = dataset.header.first(FILL)
    if body is not None:
        version = body.uint(1)
        if version == 3:
            has = bool(body.uint(1) & 0x20)
        else:
            body.take(2)
            has = bool(body.uint(1)) or version == 1
        value = body.take(body.uint(4)) if has and body.left >= 4 else b""
    elif (old := dataset.header.first(OLD_FILL)) is not None:
        value = old.take(old.uint(4))
    if dataset.kind.inner and any(value):
        raise dataset.file.unsupported(
            "arrays as elements that were never written, and are not zero", _REPACK
        )
    return value if len(value) == size else bytes(size)
