"""Reading: chunks from the data files, each found right before a byte of it is given.

A chunk is verified when it is first read in a run, as a whole and by one reader at a time; afterwards only
what is asked for is read, straight into the reader's buffer. No lock of the store is held meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque

import xxhash

from fsd.engine import CHUNK, ChunkKey
from fsd.store.datafiles import DataFiles
from fsd.store.holdings import Holdings
from fsd.store.ledger import Kept
from translators.copying import copy

# Chunks that are verified at a time, as far as they do not share a lock; and buffers kept for it.
_AT_ONCE = 16
_SPARE = 4


def checksum(data: memoryview | bytearray) -> int:
    """xxh3-64, as the signed number that SQLite can hold."""
    return int.from_bytes(xxhash.xxh3_64_digest(data), "big", signed=True)


class Reading:
    """Reads what `holdings` hold. Safe for use by many threads."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._locks = [threading.Lock() for _ in range(_AT_ONCE)]
        # A fresh buffer of a chunk costs as much as reading it: page faults.
        self._spare: deque[memoryview] = deque(maxlen=_SPARE)

    def read(self, key: ChunkKey, start: int, buffer: memoryview) -> bool:
        """Fill `buffer` from byte `start` of a chunk; False where that is not held, or not right."""
        found = self.view(key, start, buffer)
        if found is None:
            return False
        if found is not buffer:
            copy(buffer, found)
        return True

    def view(self, key: ChunkKey, start: int, buffer: memoryview) -> memoryview | None:
        """The bytes from `start` of a chunk: where they lie in memory, or in `buffer`. None as `read`."""
        holdings = self._holdings
        with holdings.wake:
            kept = holdings.use(key)
            if kept is None:
                return None
            data, files = kept.data, holdings.shelf.files
            holdings.figures.reads += data is None
        if data is not None:
            return data[start : start + len(buffer)]
        return buffer if self._read(key, kept, files, start, buffer) else None

    def verify(self, key: ChunkKey, kept: Kept, files: DataFiles) -> bool:
        """Whether the bytes on disk of a chunk that is present are right; it is dropped if not."""
        return kept.verified or self._read(key, kept, files, 0, None)

    def compare(self, key: ChunkKey, data: memoryview) -> bool | None:
        """Whether a chunk's bytes on disk are `data`; it is dropped if not. None where it is not held."""
        holdings = self._holdings
        with holdings.wake:
            kept = holdings.ledger.find(key)
            pending = kept is not None and kept.is_pending
            files = holdings.shelf.files
        if kept is None:
            return None
        same = kept.checksum == checksum(data) and (pending or self._is(key, kept, files))
        if same or kept.gone:
            kept.verified |= same and not pending
            return None if kept.gone else same
        with holdings.wake:
            if not kept.gone:
                holdings.damaged(key)
        return False

    def _is(self, key: ChunkKey, kept: Kept, files: DataFiles) -> bool:
        """Whether a chunk on disk is right; it is read whether or not it was verified."""
        try:
            return self._verified(key, kept, files, 0, None)
        except OSError as error:
            self._holdings.tell("a chunk cannot be read", error)
            return False

    def _read(
        self, key: ChunkKey, kept: Kept, files: DataFiles, start: int, buffer: memoryview | None
    ) -> bool:
        """Fill `buffer`, if there is one, and see to it that the chunk is verified."""
        try:
            right = True
            if not kept.verified:
                with self._locks[key.number % _AT_ONCE]:  # who waits finds it verified
                    if not kept.verified:
                        right, buffer = self._verified(key, kept, files, start, buffer), None
                        kept.verified = right
            if buffer is not None:
                right = files.read(key.identity, key.number, start, buffer) == len(buffer)
        except OSError as error:
            self._holdings.tell("a chunk cannot be read", error)
            right = False
        # While this thread read, the chunk may have been given up, and then its space given back.
        if right or kept.gone:
            return not kept.gone
        with self._holdings.wake:
            if not kept.gone:
                self._holdings.damaged(key)
        return False

    def _verified(
        self, key: ChunkKey, kept: Kept, files: DataFiles, start: int, buffer: memoryview | None
    ) -> bool:
        """Read and check the whole of a chunk, and fill `buffer` with what it is to have."""
        if buffer is not None and len(buffer) == kept.length:
            return self._whole(key, kept, files, buffer)
        try:
            scratch = self._spare.pop()
        except IndexError:
            scratch = memoryview(bytearray(CHUNK))
        right = self._whole(key, kept, files, scratch[: kept.length])
        if buffer is not None:
            copy(buffer, scratch[start : start + len(buffer)])
        self._spare.append(scratch)
        return right

    def _whole(self, key: ChunkKey, kept: Kept, files: DataFiles, into: memoryview) -> bool:
        complete = files.read(key.identity, key.number, 0, into) == kept.length
        return complete and checksum(into) == kept.checksum
