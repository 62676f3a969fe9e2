"""The header of one GGUF file, checked against the file.

Layout: ggml's docs/gguf.md, versions 2 and 3, little endian (they differ in nothing that is read here).
Values are kept as the bytes of the file; a vocabulary of 250,000 strings is walked, not decoded. The
header is read in growing pieces, never the data behind it, and every count and length is compared with
what the file can hold before it is used.
Knows nothing of splits, nor of what the keys mean, `general.alignment` excepted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import NoReturn

from translators.dtypes import GGUF_DTYPES
from translators.errors import Unsupported
from translators.keyvalues import FORMATS, KeyValues, Value, ValueType
from translators.model import Extent, Tensor
from translators.sources.stored_file import StoredFile, clipped

MAGIC = b"GGUF"
ALIGNMENT = "general.alignment"
DEFAULT_ALIGNMENT = 32
HEADER_LIMIT = 512 << 20
_FIRST_PIECE = 1 << 20
_KEY_LIMIT = 65_535  # the format's own
_MOST_DIMENSIONS = 4
_MOST_ELEMENTS = 2**63 - 1
# The least that a pair (key of one byte, value of one) and a tensor (name of none, one dimension) take.
_LEAST_PAIR = 8 + 1 + 4 + 1
_LEAST_TENSOR = 8 + 4 + 8 + 4 + 8

_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_COUNTS = struct.Struct("<QQ")
_ARRAY = struct.Struct("<IQ")
_TYPE_OFFSET = struct.Struct("<IQ")
_SIZES = {kind: struct.calcsize("<" + code) for kind, code in FORMATS.items()}


@dataclass(frozen=True, slots=True)
class Header:
    """One file's key-values and tensors, both in the file's order."""

    key_values: KeyValues
    tensors: dict[str, Tensor]


def read_header(file: StoredFile, number: int) -> Header:
    """The header of `file`, which is file `number` of the model.

    Raises MalformedSource, MissingSource, or Unsupported (version 1, big endian, an unknown tensor type).
    """
    walk = _Walk(file)
    _check_version(walk)
    tensor_count, pair_count = _COUNTS.unpack_from(walk.buffer, walk.take(_COUNTS.size))
    least = pair_count * _LEAST_PAIR + tensor_count * _LEAST_TENSOR
    if least > min(file.size, HEADER_LIMIT):
        walk.wrong(f"{tensor_count:,} tensors and {pair_count:,} keys do not fit into the file")
    key_values = _key_values(walk, pair_count)
    alignment = _alignment(walk, key_values)
    infos = [_info(walk, index) for index in range(tensor_count)]
    return Header(key_values, _tensors(walk, infos, alignment, number))


class _Walk:
    """A place in the header that only moves forward, and the bytes read so far."""

    def __init__(self, file: StoredFile) -> None:
        self.file = file
        self.buffer = bytearray()
        self.at = 0
        self.place = "header"

    def wrong(self, reason: str) -> NoReturn:
        raise self.file.malformed(reason, self.place)

    def unsupported(self, reason: str, remedy: str) -> NoReturn:
        raise Unsupported(reason, path=self.file.shown, place=clipped(self.place), remedy=remedy)

    def need(self, end: int) -> None:
        """Have the bytes before `end` in the buffer."""
        have = len(self.buffer)
        if end <= have:
            return
        if end > self.file.size:
            self.wrong(f"the header runs past the end of the file, {self.file.size:,} bytes")
        if end > HEADER_LIMIT:
            self.wrong(f"a header of more than {HEADER_LIMIT:,} bytes")
        target = min(max(end, 2 * have, _FIRST_PIECE), self.file.size, HEADER_LIMIT)
        self.buffer += self.file.read(have, target - have)

    def take(self, count: int) -> int:
        """Where the next `count` bytes start in the buffer; the place moves behind them."""
        start = self.at
        self.need(start + count)
        self.at = start + count
        return start

    def u32(self) -> int:
        value: int = _U32.unpack_from(self.buffer, self.take(4))[0]
        return value

    def u64(self) -> int:
        value: int = _U64.unpack_from(self.buffer, self.take(8))[0]
        return value

    def text(self, limit: int) -> str:
        length = self.u64()
        if length > limit:
            self.wrong(f"a name of {length:,} bytes; {limit:,} are allowed")
        start = self.take(length)
        try:
            return self.buffer[start : self.at].decode("utf-8")
        except UnicodeDecodeError:
            self.wrong("a name that is no UTF-8")

    def skip_strings(self, count: int) -> None:
        """Move behind `count` strings: one step each, the only loop that a big vocabulary costs."""
        unpack, buffer, at, have = _U64.unpack_from, self.buffer, self.at, len(self.buffer)
        for _ in range(count):
            if at + 8 > have:
                self.need(at + 8)
                have = len(buffer)
            at += 8 + unpack(buffer, at)[0]
        self.need(at)
        self.at = at


def _check_version(walk: _Walk) -> None:
    if walk.file.size < 4 + 4 + _COUNTS.size:
        walk.wrong(f"{walk.file.size} bytes are too few for a GGUF file")
    walk.take(len(MAGIC))
    if walk.buffer[: walk.at] != MAGIC:
        walk.wrong("does not begin with GGUF")
    version = walk.u32()
    if version == 1:
        walk.unsupported("GGUF version 1", "convert the original model again with a current llama.cpp")
    if version and not version & 0xFFFF:
        walk.unsupported("a big-endian GGUF", "fetch the little-endian file")
    if version not in (2, 3):
        walk.unsupported(f"GGUF version {version}", "versions 2 and 3 are read")


def _key_values(walk: _Walk, count: int) -> KeyValues:
    pairs: dict[str, Value] = {}
    for index in range(count):
        walk.place = f"key number {index}"
        key = walk.text(_KEY_LIMIT)
        walk.place = f"key {key!r}"
        if not key or key in pairs:
            walk.wrong("the key appears twice" if key else "an empty key")
        pairs[key] = _value(walk)
    walk.place = "header"
    return KeyValues(pairs.items())


def _value(walk: _Walk) -> Value:
    kind, start = _value_type(walk), walk.at
    if kind is ValueType.STRING:
        walk.take(walk.u64())
    elif kind is ValueType.ARRAY:
        element = _value_type(walk)
        count = walk.u64()
        if element is ValueType.ARRAY:
            walk.unsupported("an array of arrays", "no key of a language model is one")
        least = _SIZES.get(element, 8)
        # Compared before a loop of that many steps begins.
        if count > (walk.file.size - walk.at) // least:
            walk.wrong(f"an array of {count:,} members does not fit into the file")
        if element is ValueType.STRING:
            walk.skip_strings(count)
        else:
            walk.take(count * least)
    else:
        walk.take(_SIZES[kind])
    return Value(kind, bytes(walk.buffer[start : walk.at]))


def _value_type(walk: _Walk) -> ValueType:
    kind = walk.u32()
    if kind > max(ValueType):
        walk.wrong(f"the format has no value type {kind}")
    return ValueType(kind)


def _alignment(walk: _Walk, key_values: KeyValues) -> int:
    if ALIGNMENT not in key_values:
        return DEFAULT_ALIGNMENT
    value = key_values[ALIGNMENT]
    alignment: int = value.decoded if value.type is ValueType.U32 else 0
    if alignment < 1 or alignment & (alignment - 1):
        walk.place = f"key {ALIGNMENT!r}"
        walk.wrong("the alignment is no power of two in a u32")
    return alignment


@dataclass(frozen=True, slots=True)
class _Info:
    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


def _info(walk: _Walk, index: int) -> _Info:
    walk.place = f"tensor number {index}"
    name = walk.text(_KEY_LIMIT)
    walk.place = f"tensor {name!r}"
    dimensions = walk.u32()
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        walk.wrong(f"{dimensions} dimensions; 1 to {_MOST_DIMENSIONS} are allowed")
    lengths = struct.unpack_from(f"<{dimensions}Q", walk.buffer, walk.take(8 * dimensions))
    if not all(lengths) or prod(lengths) > _MOST_ELEMENTS:
        walk.wrong(f"the dimensions {lengths} are impossible")
    kind, offset = _TYPE_OFFSET.unpack_from(walk.buffer, walk.take(_TYPE_OFFSET.size))
    # The file has the innermost dimension first.
    return _Info(name, lengths[::-1], kind, offset)


def _tensors(walk: _Walk, infos: list[_Info], alignment: int, number: int) -> dict[str, Tensor]:
    """The tensors, their extents checked: aligned, inside the file, and none upon another."""
    start = -(-walk.at // alignment) * alignment
    tensors: dict[str, Tensor] = {}
    for info in infos:
        walk.place = f"tensor {info.name!r}"
        if info.name in tensors:
            walk.wrong("the tensor appears twice")
        dtype = GGUF_DTYPES.get(info.type)
        if dtype is None:
            walk.unsupported(f"tensors of ggml type {info.type} are not known here", "use another GGUF of it")
        if info.shape[-1] % dtype.block:
            walk.wrong(
                f"rows of {info.shape[-1]:,} elements are no whole {dtype.name} blocks of {dtype.block}"
            )
        if info.offset % alignment:
            walk.wrong(f"its offset {info.offset:,} is not a multiple of {alignment:,}")
        extent = Extent(number, start + info.offset, dtype.nbytes(prod(info.shape)))
        if extent.offset + extent.length > walk.file.size:
            end = extent.offset + extent.length
            walk.wrong(f"the file ends after {walk.file.size:,} bytes, the tensor at {end:,}")
        tensors[info.name] = Tensor(info.name, dtype, info.shape, extent)
    end = start
    for tensor in sorted(tensors.values(), key=lambda tensor: tensor.extent.offset):
        if tensor.extent.offset < end:
            walk.place = f"tensor {tensor.name!r}"
            walk.wrong("its data overlaps that of another tensor")
        end = tensor.extent.offset + tensor.extent.length
    return tensors
