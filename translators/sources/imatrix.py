"""Importance matrices: the GGUF that llama-imatrix writes, and the .dat that it wrote before.

    matrix = imatrix.read(Path("imatrix.gguf"), number)     # `number` is the file's among a layout's files

Which of the two a file is, is told by its first bytes, as upstream tells it; names and sizes of entries,
counts and the name of the data set are read, and every sum is looked at once. What llama-quantize takes
without a word and nobody can mean (a negative sum, a count of -3) is an error here, with its place.
Facts: common/imatrix-loader.cpp and load_imatrix of tools/quantize (b11434).
Knows nothing of which tensors a model has.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from translators.dtypes import F32
from translators.importance import WIDTH, Importance, ImportanceMatrix
from translators.keyvalues import KeyValues, ValueType
from translators.model import Extent, Tensor
from translators.quants import LARGEST_COLUMN
from translators.sources.gguf_header import MAGIC, read_header
from translators.sources.stored_file import StoredFile, clipped

DATASETS, CHUNKS, CHUNK_SIZE = "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"
_SUMS, _COUNTS, _MEANS = ".in_sum2", ".counts", ".in_sum"
# The largest public model has some thousand tensors, of some hundred experts each.
_MOST_ENTRIES = 1 << 16
_MOST_COUNTS = 1 << 20
_LARGEST_COUNT = 2**53
_NAME_LIMIT = 65_535
_PIECE = 1 << 18
_I32 = struct.Struct("<i")


def read(path: Path, number: int) -> ImportanceMatrix:
    """The matrix in the file at `path`. Raises MalformedSource, MissingSource, Unsupported."""
    with StoredFile(path) as file:
        if file.size >= len(MAGIC) and file.read(0, len(MAGIC)) == MAGIC:
            matrix = _gguf(file, number)
        else:
            matrix = _legacy(file, number)
        for name, entry in matrix.entries.items():
            _check_sums(file, name, entry)
    return matrix


def _gguf(file: StoredFile, number: int) -> ImportanceMatrix:
    header = read_header(file, number)
    for key in (DATASETS, CHUNKS, CHUNK_SIZE):
        if key not in header.key_values:
            raise file.malformed("no importance matrix: the key is missing", f"key {key!r}")
    tensors = header.tensors
    stems = sorted({name.removesuffix(end) for name in tensors for end in _ends(name)})
    if not stems:
        raise file.malformed("no importance matrix: it holds no sums")
    if len(stems) > _MOST_ENTRIES:
        raise file.malformed(f"{len(stems):,} entries; {_MOST_ENTRIES:,} are allowed")
    entries: dict[str, Importance] = {}
    left = _MOST_COUNTS
    for stem in stems:
        entries[stem] = _entry(file, stem, tensors, left)
        left -= len(entries[stem].counts)
    chunks = _number(file, header.key_values, CHUNKS)
    return ImportanceMatrix(
        file.identity, entries, _dataset(header.key_values), chunks if chunks < 1 << 31 else 0
    )


def _ends(name: str) -> Iterator[str]:
    yield from (end for end in (_SUMS, _COUNTS, _MEANS) if name.endswith(end))


def _entry(file: StoredFile, stem: str, tensors: dict[str, Tensor], left: int) -> Importance:
    """The entry `stem`, of at most `left` counts."""
    place = f"tensor {stem + _SUMS!r}"
    sums, counts, means = (tensors.get(stem + end) for end in (_SUMS, _COUNTS, _MEANS))
    if sums is None or counts is None:
        lacking = _SUMS if sums is None else _COUNTS
        raise file.malformed("the tensor is missing", f"tensor {stem + lacking!r}")
    if sums.dtype is not F32 or counts.dtype is not F32:
        kinds = f"{sums.dtype.name} and {counts.dtype.name}"
        raise file.malformed(f"sums and counts must be F32, they are {kinds}", place)
    if means is not None and means.elements != sums.elements:
        raise file.malformed(f"{sums.elements:,} squares are summed, and {means.elements:,} values", place)
    if sums.elements % counts.elements or counts.elements > left:
        raise file.malformed(f"{sums.elements:,} sums have {counts.elements:,} counts", place)
    values = np.frombuffer(file.read(counts.extent.offset, counts.extent.length), "<f4").astype(np.float64)
    bad = ~((values >= 0) & (values < _LARGEST_COUNT))  # written so that NaN is bad
    if bad.any():
        at = int(bad.argmax())
        raise file.malformed(f"a count of {values[at]:g}", f"tensor {stem + _COUNTS!r}, value {at}")
    # As C's lround does it; numbers of this size and their halves are exact.
    return Importance(sums.extent, tuple(int(count) for count in np.floor(values + 0.5)))


def _dataset(key_values: KeyValues) -> bytes | None:
    value = key_values[DATASETS]
    names = value.strings if value.element is ValueType.STRING else []
    return names[0] if names else None


def _number(file: StoredFile, key_values: KeyValues, key: str) -> int:
    value = key_values[key]
    if value.type is not ValueType.U32:
        raise file.malformed("the value is no unsigned 32-bit number", f"key {key!r}")
    number: int = value.decoded
    return number


def _legacy(file: StoredFile, number: int) -> ImportanceMatrix:
    """A count of entries; of each its name, how often it was called, and its sums; then chunks, data set."""
    walk = _Walk(file)
    count = walk.i32("the number of entries")
    if not 0 < count <= _MOST_ENTRIES:
        raise file.malformed(f"no importance matrix: it would have {count:,} entries", "byte 0")
    entries: dict[str, Importance] = {}
    for index in range(count):
        walk.place = f"entry {index}"
        name = walk.text().decode("utf-8", "surrogateescape")
        walk.place = f"entry {index}, {name!r}"
        calls, values = walk.i32("how often it was called"), walk.i32("how many sums there are")
        if calls < 0 or values < 1:
            raise walk.wrong(f"{values:,} sums of {calls:,} calls")
        extent = Extent(number, walk.take(values * WIDTH, f"{values:,} sums"), values * WIDTH)
        # Without a number of calls the sums are averages already.
        entries[name] = Importance(extent, (max(calls, 1),))
    walk.place = "the end"
    chunks = walk.i32("the number of chunks") if walk.at < file.size else 0
    dataset = walk.text() if file.size - walk.at >= _I32.size else b""
    return ImportanceMatrix(file.identity, entries, dataset or None, max(chunks, 0))


class _Walk:
    """A place in the file that only moves forward."""

    def __init__(self, file: StoredFile) -> None:
        self.file = file
        self.at = 0
        self.place = "byte 0"

    def wrong(self, reason: str) -> Exception:
        return self.file.malformed(reason, f"{clipped(self.place)} (byte {self.at:,})")

    def take(self, length: int, what: str) -> int:
        """Where the next `length` bytes are; the place moves behind them."""
        if length > self.file.size - self.at:
            raise self.wrong(f"{what}: the file ends after {self.file.size:,} bytes")
        self.at += length
        return self.at - length

    def i32(self, what: str) -> int:
        number: int = _I32.unpack(self.file.read(self.take(_I32.size, what), _I32.size))[0]
        return number

    def text(self) -> bytes:
        """A string with its length before it, up to its first NUL, as C reads it."""
        length = self.i32("a name's length")
        if not 0 <= length <= _NAME_LIMIT:
            raise self.wrong(f"a name of {length:,} bytes")
        return self.file.read(self.take(length, "a name"), length).partition(b"\0")[0]


def _check_sums(file: StoredFile, name: str, entry: Importance) -> None:
    """Every weight is a number that sums of squares can have, and that the kernels survive."""
    for first in range(0, entry.size, _PIECE):
        count = min(_PIECE, entry.size - first)
        sums = np.frombuffer(file.read(entry.extent.offset + first * WIDTH, count * WIDTH), "<f4")
        bad = ~((weights := entry.averaged(sums, first)) >= 0) | (weights > LARGEST_COLUMN)
        if bad.any():
            at = int(bad.argmax())
            offset = entry.extent.offset + (first + at) * WIDTH
            place = f"entry {name!r}, value {first + at} (byte {offset:,})"
            raise file.malformed(f"a column cannot have a weight of {weights[at]:g}", place)
