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
from translators.targets.zip_archive import HEADER, Member, directory
from translators.torch_types import STORAGES, TORCH_NAMES

_ALIGNMENT = 64
_VERSION = 0


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
    pending, members = bytearray(), []
    for record in records:
        member = Member(record.name.encode(), record.size, record.checksum, position, _VERSION)
        members.append(member)
        header = member.header(_padding(member))
        position += len(header) + record.size
        pending += header
        if isinstance(record.content, bytes):
            pending += record.content
        elif record.size:
            yield LiteralBytes(bytes(pending))
            yield record.content
            pending.clear()
    # torch itself always writes both ends.
    yield LiteralBytes(bytes(pending) + directory(members, position, always_wide=True))


def _padding(member: Member) -> bytes:
    """What fills the local header, so that the data begin at a multiple of 64."""
    length = -(member.position + HEADER + len(member.name) + len(member.sizes) + 4) % _ALIGNMENT
    return struct.pack("<2sH", b"FB", length) + b"Z" * length


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
    if kind in STORAGES:
        function, held, more = "_rebuild_tensor_v2", f"ctorch\n{STORAGES[kind]}\n", b""
    elif kind in TORCH_NAMES:
        function, held, elements = "_rebuild_tensor_v3", "ctorch.storage\nUntypedStorage\n", nbytes(recipe)
        more = f"ctorch\n{TORCH_NAMES[kind]}\n".encode()
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
