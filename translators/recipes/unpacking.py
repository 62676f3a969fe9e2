"""Small codes out of the words that they are packed in, and words that lie column by column.

Quantised checkpoints pack codes of 1 to 8 bits into bytes or 32-bit words: along the input
(compressed-tensors), along the input of a matrix that is stored transposed (GPTQ), along the output of such
a one (AWQ), or a quarter of all rows in each pair of bits (BitNet). `Transposed` and `Unpacked` together
cover them all; what they yield is the codes, a byte each, in the order of the weight.

Of a transposed matrix every row of the source is touched for any row of the result: few bytes each, in as
many reads, unless rows are so short that what lies between is read along. So where a source keeps what was
made of it, whole strips are read, pages of a file wide, and the rows beside are there for the next reads.
Knows nothing of scales or of what the codes mean.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.lib.stride_tricks import as_strided

from translators.dtypes import DTYPES, DType
from translators.ranges import ElementRange
from translators.recipes.leaves import Stored
from translators.recipes.pieces import Bytes, Source, piece

if TYPE_CHECKING:
    from translators.recipes import Recipe

# A gap of so many bytes is cheaper read than passed over: a read costs about as much as copying them.
_NEAR = 8192
_TOGETHER = 1 << 20
# Bytes of a strip, and of a row within one: a page of a file is read whatever is wanted of it.
_STRIP = 4 << 20
_NARROWEST, _WIDEST = 256, 4096
_ITEMS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@runtime_checkable
class KeepingSource(Source, Protocol):
    """A source that keeps for a while what was made of a file, as long as that stays as it is."""

    def kept(self, file: int, key: Hashable, make: Callable[[], Bytes]) -> Bytes:
        """What `make` gave for this key, now or before: not to be changed."""


@runtime_checkable
class StridedSource(Source, Protocol):
    """A source that reads many pieces at equal distances better than one by one."""

    def read_strided(self, file: int, offset: int, length: int, stride: int, count: int) -> memoryview:
        """`count` pieces of `length` bytes, one behind another."""


def _rows(source: Source, file: int, offset: int, length: int, *, stride: int, count: int) -> Bytes:
    """The pieces of `StridedSource.read_strided`, from any source, as rows."""
    if isinstance(source, StridedSource):
        data = source.read_strided(file, offset, length, stride, count)
        return np.frombuffer(data, np.uint8).reshape(count, length)
    strip = np.empty((count, length), np.uint8)
    for row in range(count):
        strip[row] = np.frombuffer(source.read(file, offset + row * stride, length), np.uint8)
    return strip


class Transposed(msgspec.Struct, frozen=True, tag="transposed", tag_field="op", array_like=True, gc=False):
    """A stored matrix of plain numbers, its columns as rows."""

    of: Stored

    @property
    def dtype(self) -> DType:
        """The operand's element type."""
        return self.of.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """As many rows as the operand has columns."""
        rows, columns = self.of.shape
        return columns, rows

    @property
    def unit(self) -> int:
        """One row: each element of it comes from another row of the operand."""
        return self.of.shape[0]

    @property
    def source_bytes(self) -> int:
        """All of the operand's."""
        return self.of.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole rows. They may be kept: nobody may write to them."""
        rows, columns = self.of.shape
        first, end = elements.first // rows, elements.end // rows
        if not isinstance(source, KeepingSource):
            return self._strip(first, end, source)
        size, extent = self.dtype.size, self.of.extent
        step = max(_NARROWEST, min(_WIDEST, _STRIP // rows)) // size
        parts = []
        for low in range(first - first % step, end, step):
            high = min(low + step, columns)
            made = source.kept(
                extent.file, (extent.offset, low, high), partial(self._strip, low, high, source)
            )
            parts.append(made[(max(first, low) - low) * rows * size : (min(end, high) - low) * rows * size])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _strip(self, first: int, end: int, source: Source) -> Bytes:
        """The bytes of these rows, which are columns of what is stored."""
        rows, columns = self.of.shape
        file, start, size = self.of.extent.file, self.of.extent.offset, self.dtype.size
        stride, skip, wide = columns * size, first * size, (end - first) * size
        if stride - wide > _NEAR:
            strip = _rows(source, file, start + skip, wide, stride=stride, count=rows)
        else:
            strip = np.empty((rows, wide), np.uint8)
            step = max(1, _TOGETHER // stride)
            for row in range(0, rows, step):
                some = min(step, rows - row)
                data = source.read(file, start + row * stride + skip, (some - 1) * stride + wide)
                read = np.frombuffer(data, np.uint8)
                strip[row : row + some] = as_strided(read, (some, wide), (stride, 1))
        return np.ascontiguousarray(strip.view(_ITEMS[size]).T).reshape(-1).view(np.uint8)


class Unpacked(msgspec.Struct, frozen=True, tag="unpacked", tag_field="op", array_like=True, gc=False):
    """The codes in a matrix of words, one byte each.

    bits:   of a code: 1, 2, 4 or 8; or 3, along the rows only: they run on from word to word.
    order:  where in a word each of its codes lies, counted in codes from the lowest bit; () of 3 bits.
    axis:   1: the codes of a word are neighbours in a row. 0: in a column.
    count:  how many codes there are along the axis; the last words may hold a few that are none.
    banded: axis 0 only: the first codes of all words are the first rows, the second ones the next, ...
    """

    of: Recipe
    bits: int
    order: tuple[int, ...]
    axis: int
    count: int
    banded: bool = False

    @property
    def dtype(self) -> DType:
        """A byte for each code."""
        return DTYPES["U8"]

    @property
    def shape(self) -> tuple[int, ...]:
        """The operand's, but for the axis."""
        rows, words = self.of.shape
        return (self.count, words) if self.axis == 0 else (rows, self.count)

    @property
    def unit(self) -> int:
        """One row."""
        return self.shape[1]

    @property
    def source_bytes(self) -> int:
        """All of the operand's."""
        return self.of.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole rows."""
        first, end = elements.first // self.unit, elements.end // self.unit
        if self.axis == 1:
            codes = self._codes(self._words(first, end, source))
            return codes.reshape(end - first, -1)[:, : self.count].reshape(-1)
        if self.banded:
            return self._bands(first, end, source)
        each = len(self.order)
        start = first // each
        words = self._words(start, -(-end // each), source)
        made = np.empty((len(words), each, self.unit), np.uint8)
        for number in range(each):
            self._code(words, number, made[:, number])
        return made.reshape(-1, self.unit)[first - start * each : end - start * each].reshape(-1)

    def _bands(self, first: int, end: int, source: Source) -> Bytes:
        held = self.of.shape[0]
        made = np.empty((end - first, self.unit), np.uint8)
        at = first
        while at < end:
            number, row = divmod(at, held)
            some = min(held - row, end - at)
            self._code(self._words(row, row + some, source), number, made[at - first : at - first + some])
            at += some
        return made.reshape(-1)

    def _words(self, first: int, end: int, source: Source) -> Bytes:
        """The words of some rows of the operand: (rows, words of a row, bytes of a word)."""
        row = self.of.shape[1]
        data = piece(self.of, ElementRange(first * row, (end - first) * row), source)
        return data.reshape(end - first, row, self.of.dtype.size)

    def _code(self, words: Bytes, number: int, out: Bytes) -> None:
        """Write the codes of this number within each word to `out`."""
        byte, shift = divmod(self.order[number] * self.bits, 8)
        np.right_shift(words[:, :, byte], shift, out=out)
        out &= (1 << self.bits) - 1

    def _codes(self, words: Bytes) -> Bytes:
        """All codes of the words, those of a word side by side."""
        if self.bits == 3:
            return _threes(words)
        if self.order == tuple(range(len(self.order))):
            return _spread(words.reshape(-1), self.bits)
        made = np.empty((*words.shape[:2], len(self.order)), np.uint8)
        for number in range(len(self.order)):
            self._code(words, number, made[:, :, number])
        return made


def _spread(data: Bytes, bits: int) -> Bytes:
    """The codes of bytes, the lowest first: each byte becomes a number that has its codes as its bytes."""
    each = 8 // bits
    if each == 1:
        return data
    moved = data.astype(_ITEMS[each])
    made = moved.copy()
    for _ in range(1, each):
        moved <<= 8 - bits  # the next code is now in the next byte
        made |= moved
    made &= int.from_bytes(bytes([(1 << bits) - 1]) * each, "little")
    return made.view(np.uint8)


def _threes(words: Bytes) -> Bytes:
    """The codes of three bits, eight in each three bytes."""
    data = words.reshape(-1, 3).astype(np.uint32)
    numbers = data[:, 0] | data[:, 1] << 8 | data[:, 2] << 16
    made = np.empty((len(numbers), 8), np.uint8)
    for place in range(8):
        made[:, place] = numbers >> 3 * place & 7
    return made


def unpacked(of: Recipe, bits: int, *, axis: int, count: int = 0, order: tuple[int, ...] = ()) -> Unpacked:
    """The codes in a matrix of words: all of them unless there are only `count` along the axis.

    The first code of a word is its lowest unless `order` says otherwise. Raises ValueError for what does not
    fit.
    """
    words, each = 1, of.dtype.size * 8 // bits if bits in (1, 2, 4, 8) and of.dtype.block == 1 else 0
    places = tuple(range(each))
    if bits == 3 and axis == 1 and of.dtype.name == "I32":
        words, each = 3, 32
    if len(of.shape) != 2 or not each or sorted(order or places) != list(places) or of.shape[axis] % words:
        raise ValueError(f"{of.dtype.name} of shape {list(of.shape)} holds no codes of {bits} bits")
    most = of.shape[axis] // words * each
    if not most - each < (count or most) <= most:
        raise ValueError(f"{of.shape[axis]} words hold {most} codes, not {count}")
    return Unpacked(of, bits, order or places, axis, count or most)


def bands(of: Recipe, bits: int) -> Unpacked:
    """The codes in a matrix of bytes, of which each holds a code of rows that lie far apart (BitNet)."""
    plain = unpacked(of, bits, axis=0)
    return Unpacked(plain.of, plain.bits, plain.order, plain.axis, plain.count, banded=True)


def transposed(of: Stored) -> Transposed:
    """The columns of a stored matrix as rows. Raises ValueError for what is no matrix of plain numbers."""
    if len(of.shape) != 2 or of.dtype.block > 1 or not prod(of.shape):
        raise ValueError(f"{of.dtype.name} of shape {list(of.shape)} is no matrix of plain numbers")
    return Transposed(of)
