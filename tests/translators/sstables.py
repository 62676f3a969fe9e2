"""Sorted tables and messages made by hand, right and wrong: what TensorFlow's checkpoints are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from translators.sources.tensorflow.crc32c import masked_crc32c
from translators.sources.tensorflow.sstable import FOOTER, MAGIC


def varint(value: int) -> bytes:
    """A number, seven bits a byte."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def number(key: int, value: int) -> bytes:
    """A message's field of a number."""
    return varint(key << 3) + varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def message(key: int, data: bytes) -> bytes:
    """A message's field of bytes."""
    return varint(key << 3 | 2) + varint(len(data)) + data


def shape(*sizes: int) -> bytes:
    """A TensorShapeProto."""
    return b"".join(message(2, number(1, size)) for size in sizes)


def header(shards: int = 1, *, big: bool = False, needed: int = 0) -> bytes:
    """A BundleHeaderProto."""
    return number(1, shards) + (number(2, 1) if big else b"") + message(3, number(1, 1) + number(2, needed))


def entry(
    sizes: Sequence[int], offset: int = 0, size: int = 0, *, kind: int = 1, shard: int = 0,
    slices: Sequence[Sequence[tuple[int, int]]] = (),
) -> bytes:  # fmt: skip
    """A BundleEntryProto."""
    made = (
        number(1, kind) + message(2, shape(*sizes)) + number(3, shard) + number(4, offset) + number(5, size)
    )
    for each in slices:
        made += message(7, b"".join(message(1, number(1, a) + number(2, b)) for a, b in each))
    return made


def row(key: bytes, value: bytes, shared: int = 0) -> bytes:
    """An entry of a block; `key` is what follows the shared bytes."""
    return varint(shared) + varint(len(key)) + varint(len(value)) + key + value


@dataclass
class Table:
    """A table that is written block by block; what it is made of may be told wrong."""

    data: bytes = b""
    handles: list[bytes] = field(default_factory=list)

    def block(
        self, *rows: bytes, restarts: int = 1, kind: int = 0, packed: bytes | None = None, wrong: int = 0
    ) -> bytes:
        """Write a block; its handle."""
        plain = b"".join(rows) + bytes(4 * min(restarts, 8)) + restarts.to_bytes(4, "little")
        stored = (plain if packed is None else packed) + bytes((kind,))
        handle = varint(len(self.data)) + varint(len(stored) - 1)
        self.data += stored + ((masked_crc32c(stored) + wrong) & 0xFFFF_FFFF).to_bytes(4, "little")
        self.handles.append(handle)
        return handle

    def finished(self, handles: Sequence[bytes] | None = None) -> bytes:
        """The whole table, of all blocks or those of the handles given."""
        listed = self.handles[:] if handles is None else handles
        index = self.block(*(row(b"%06d" % number, each) for number, each in enumerate(listed)))
        footer = varint(0) + varint(0) + index
        return self.data + footer.ljust(FOOTER - 8, b"\0") + MAGIC.to_bytes(8, "little")


def table(*rows: bytes) -> bytes:
    """A table of one block."""
    made = Table()
    made.block(*rows)
    return made.finished()
