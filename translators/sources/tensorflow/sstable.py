"""A sorted table as LevelDB has them, which is how TensorFlow writes the index of a checkpoint.

    for key, value in entries(file): ...      # a StoredFile; keys ascending, each once

Every block is proved by its checksum, and read once: blocks are in order and do not overlap. What they unfold
to, the number of entries and the length of the file are bounded.
Knows nothing of what keys and values mean. Layout: leveldb's doc/table_format.md; its copy in TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from translators.sources.stored_file import StoredFile
from translators.sources.tensorflow.crc32c import masked_crc32c
from translators.sources.tensorflow.snappy import NoSnappy, unpacked, unpacked_length

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
# Behind each block: how it is packed, and a checksum of all before.
TRAILER = 5
MOST_BYTES = 32 << 20
MOST_ENTRIES = 500_000
_PLAIN, _SNAPPY = 0, 1
_LONGEST_VARINT = 10


class _Handle(NamedTuple):
    """Where a block is."""

    offset: int
    length: int


def entries(file: StoredFile) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values. Raises MalformedSource for what is no such table, or a damaged one."""
    if file.size < FOOTER or file.read(file.size - 8, 8) != MAGIC.to_bytes(8, "little"):
        raise file.malformed("is no index that TensorFlow wrote", f"byte {max(0, file.size - 8):,}")
    if file.size > MOST_BYTES:
        raise file.malformed(f"an index of {file.size:,} bytes, where {MOST_BYTES:,} are the most")
    yield from _Table(file).entries()


class _Table:
    """A table, and how much of it may still be unfolded."""

    def __init__(self, file: StoredFile) -> None:
        self._file = file
        self._bytes, self._entries = MOST_BYTES, MOST_ENTRIES

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        free, last = 0, None
        for _, value in self._block(self._index()):
            handle, _ = self._handle(value, 0, "the index of blocks")
            if handle.offset < free:
                raise self._file.malformed("blocks that overlap", f"block at byte {handle.offset:,}")
            free = handle.offset + handle.length + TRAILER
            for key, inner in self._block(handle):
                if last is not None and key <= last:
                    place = f"block at byte {handle.offset:,}"
                    raise self._file.malformed("keys that are not in order", place)
                last = key
                yield key, inner

    def _index(self) -> _Handle:
        footer = self._file.read(self._file.size - FOOTER, FOOTER)
        _, at = self._handle(footer, 0, "the footer")
        handle, _ = self._handle(footer, at, "the footer")
        return handle

    def _handle(self, data: bytes, at: int, place: str) -> tuple[_Handle, int]:
        """The handle at a place of `data`, checked against the file, and what follows it."""
        offset, at = self._varint(data, at, place)
        length, at = self._varint(data, at, place)
        if offset + length + TRAILER > self._file.size - FOOTER:
            reason = f"a block of {length:,} bytes at byte {offset:,}, beyond the end of all blocks"
            raise self._file.malformed(reason, place)
        return _Handle(offset, length), at

    def _block(self, handle: _Handle) -> Iterator[tuple[bytes, bytes]]:
        """The entries of a block, in the order that they are in."""
        place = f"block at byte {handle.offset:,}"
        data = self._plain(handle, place)
        restarts = int.from_bytes(data[-4:], "little")
        if len(data) < 4 or restarts > (len(data) - 4) // 4:
            raise self._file.malformed("a block with more restarts than it has room for", place)
        at, end, key = 0, len(data) - 4 - 4 * restarts, b""
        while at < end:
            self._entries -= 1
            if self._entries < 0:
                raise self._file.malformed(f"more than {MOST_ENTRIES:,} entries", place)
            shared, at = self._varint(data, at, place)
            unshared, at = self._varint(data, at, place)
            length, at = self._varint(data, at, place)
            if shared > len(key):
                reason = f"an entry shares {shared:,} bytes of a key of {len(key):,}"
                raise self._file.malformed(reason, place)
            if unshared + length > end - at:
                raise self._file.malformed("an entry beyond the end of its block", place)
            # Keys that are made of each other could unfold to the square of the file.
            self._spend(shared, place)
            key = key[:shared] + data[at : at + unshared]
            at += unshared
            yield key, data[at : at + length]
            at += length

    def _plain(self, handle: _Handle, place: str) -> bytes:
        """A block, proved and unpacked."""
        self._spend(handle.length, place)
        packed = self._file.read(handle.offset, handle.length + TRAILER)
        data, kind = packed[: handle.length], packed[handle.length]
        if masked_crc32c(packed[:-4]) != int.from_bytes(packed[-4:], "little"):
            raise self._file.malformed("the checksum says that the index is damaged", place)
        if kind == _PLAIN:
            return data
        if kind != _SNAPPY:
            raise self._file.malformed(f"a block that is packed by method {kind}", place)
        try:
            self._spend(unpacked_length(data), place)
            return unpacked(data)
        except NoSnappy as error:
            raise self._file.malformed(f"cannot be unpacked: {error}", place) from error

    def _spend(self, count: int, place: str) -> None:
        self._bytes -= count
        if self._bytes < 0:
            raise self._file.malformed(f"an index that unfolds to more than {MOST_BYTES:,} bytes", place)

    def _varint(self, data: bytes, at: int, place: str) -> tuple[int, int]:
        value = 0
        for number, byte in enumerate(data[at : at + _LONGEST_VARINT]):
            value |= (byte & 0x7F) << 7 * number
            if byte < 0x80:
                return value, at + number + 1
        raise self._file.malformed("a number without end", place)
