"""A file as torch.save writes it, of any tensors, from recipes: a zip archive of a pickle and of storages.

    layout = layout_of(files, [("w", recipe), ...], "pytorch_model")

Every record is stored plainly and begins at a multiple of 64 bytes, as torch's own do, so that it can be
mapped; sizes are in the headers before the data. Large archives are zip64.

Checksums: those of the storages are 0, which is what torch itself writes where it is told not to compute
them (torch.utils.serialization.config.save.compute_crc32, since 2.6), and torch.load never looks at any. A
true checksum would have to be known before the first byte, hence all of the model read to open it; one made
true by a tail behind each storage costs all of the storage whenever its last page is read. So programs that
test archives (unzip -t) report the storages; small records have true ones.
Knows nothing of models. Layout: torch/serialization.py, caffe2/serialize/inline_container.cc (2.13).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from translators.errors import Unsupported
from translators.layout import Layout, LiteralBytes, Segment, TensorBytes
from translators.model import FileIdentity
from translators.recipes import Recipe, nbytes

_ALIGNMENT = 64
# Types with a class of storage of their own, and those whose tensors tell the type.
_STORAGES = {
    "F64": "DoubleStorage", "F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage",
    "I64": "LongStorage", "I32": "IntStorage", "I16": "ShortStorage", "I8": "CharStorage",
    "U8": "ByteStorage", "BOOL": "BoolStorage", "C64": "ComplexFloatStorage",
}  # fmt: skip
_TYPES = {
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu", "U16": "uint16", "U32": "uint32",
    "U64": "uint64",
}  # fmt: skip
# Sizes and offsets from here on are in the zip64 fields. Times are of 1 January 1980, names are UTF-8.
_WIDE, _WIDE_COUNT = 0xFFFFFFFF, 0xFFFF
_UTF8, _DATE = 0x0800, 0x21
_PLAIN, _VERSION_ZIP64, _MADE_BY = 0, 45, 45


def layout_of(files: Sequence[FileIdentity], tensors: Sequence[tuple[str, Recipe]], root: str) -> Layout:
    """The file of these tensors, in this order, which lie in `files`; its members are below `root`/.

    Raises Unsupported for a type that torch has not.
    """
    records = [_Record(f"{root}/data.pkl", _pickle(tensors)), _Record(f"{root}/byteorder", b"little")]
    records += [
        _Record(f"{root}/data/{key}", TensorBytes(name, recipe)) for key, (name, recipe) in enumerate(tensors)
    ]
    records.append(_Record(f"{root}/version", b"3\n"))
    return Layout(tuple(files), tuple(_archive(records)))


@dataclass(frozen=True, slots=True)
class _Record:
    """A member of the archive: bytes, or a tensor's."""

    name: str
    content: bytes | TensorBytes

    @property
    def size(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.length

    @property
    def checksum(self) -> int:
        return zlib.crc32(self.content) if isinstance(self.content, bytes) else 0


def _archive(records: Iterable[_Record]) -> Iterator[Segment]:
    """Headers and data, then the directory. Literal bytes that follow each other are one segment."""
    position = 0
    pending, entries = bytearray(), []
    for record in records:
        entries.append(_entry(record, position))
        header = _header(record, position)
        position += len(header) + record.size
        pending += header
        if isinstance(record.content, bytes):
            pending += record.content
        elif record.size:
            yield LiteralBytes(bytes(pending))
            yield record.content
            pending.clear()
    yield LiteralBytes(bytes(pending) + _directory(entries, position))


def _header(record: _Record, position: int) -> bytes:
    """The local header, padded so that the data begin at a multiple of 64."""
    name, size = record.name.encode(), record.size
    wide = struct.pack("<HHQQ", 1, 16, size, size) if size >= _WIDE else b""
    padding = -(position + 30 + len(name) + len(wide) + 4) % _ALIGNMENT
    extra = wide + struct.pack("<2sH", b"FB", padding) + b"Z" * padding
    told = min(size, _WIDE)
    fields = (
        _VERSION_ZIP64 if wide else 0, _UTF8, _PLAIN, 0, _DATE, record.checksum, told, told, len(name),
        len(extra),
    )  # fmt: skip
    return struct.pack("<4s5H3I2H", b"PK\x03\x04", *fields) + name + extra


def _entry(record: _Record, position: int) -> bytes:
    """The member's entry in the directory."""
    name, size = record.name.encode(), record.size
    wide = struct.pack("<QQ", size, size) if size >= _WIDE else b""
    wide += struct.pack("<Q", position) if position >= _WIDE else b""
    extra = struct.pack("<HH", 1, len(wide)) + wide if wide else b""
    told = min(size, _WIDE)
    fields = (
        _MADE_BY if wide else 0, _VERSION_ZIP64 if wide else 0, _UTF8, _PLAIN, 0, _DATE, record.checksum,
        told, told, len(name), len(extra), 0, 0, 0, 0, min(position, _WIDE),
    )  # fmt: skip
    return struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *fields) + name + extra


def _directory(entries: Sequence[bytes], position: int) -> bytes:
    """The directory and its end, as zip64 and as zip: torch always writes both."""
    data, count = b"".join(entries), len(entries)
    versions = (44, _MADE_BY, _VERSION_ZIP64)
    end = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", *versions, 0, 0, count, count, len(data), position)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, position + len(data), 1)
    few = min(count, _WIDE_COUNT)
    size, start = min(len(data), _WIDE), min(position, _WIDE)
    return data + end + locator + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, few, few, size, start, 0)


def _pickle(tensors: Iterable[tuple[str, Recipe]]) -> bytes:
    """The pickle (protocol 2) of a dictionary of the tensors: number n has storage n."""
    parts = [b"\x80\x02}("]
    for key, (name, recipe) in enumerate(tensors):
        parts += (_text(name), _tensor(name, str(key), recipe))
    return b"".join((*parts, b"u."))


def _tensor(name: str, key: str, recipe: Recipe) -> bytes:
    """A call of the function that torch rebuilds tensors with."""
    kind, shape, elements = recipe.dtype.name, recipe.shape, prod(recipe.shape)
    hooks = b"ccollections\nOrderedDict\n)R"
    if kind in _STORAGES:
        function, held, more = "_rebuild_tensor_v2", f"ctorch\n{_STORAGES[kind]}\n", b""
    elif kind in _TYPES:
        function, held, elements = "_rebuild_tensor_v3", "ctorch.storage\nUntypedStorage\n", nbytes(recipe)
        more = f"ctorch\n{_TYPES[kind]}\n".encode()
    else:
        raise Unsupported(f"PyTorch has no type for {kind}", place=f"tensor {name!r}")
    storage = _text("storage") + held.encode() + _text(key) + _text("cpu") + _whole(elements)
    steps = tuple(prod(max(1, size) for size in shape[axis + 1 :]) for axis in range(len(shape)))
    view = _whole(0) + _tuple(shape) + _tuple(steps) + b"\x89" + hooks + more
    return b"".join((f"ctorch._utils\n{function}\n".encode(), b"((", storage, b"tQ", view, b"tR"))


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def _whole(value: int) -> bytes:
    """A whole number, none negative, in the shortest form, as pickles have them."""
    if value < 1 << 8:
        return b"K" + value.to_bytes(1, "little")
    if value < 1 << 16:
        return b"M" + value.to_bytes(2, "little")
    if value < 1 << 31:
        return b"J" + value.to_bytes(4, "little")
    length = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([length]) + value.to_bytes(length, "little")


def _tuple(values: Sequence[int]) -> bytes:
    data = b"".join(map(_whole, values))
    if len(values) > 3:
        return b"(" + data + b"t"
    return data + (b")", b"\x85", b"\x86", b"\x87")[len(values)]
