"""Chunks: what one is called, and where finished ones are kept.

`ChunkStore` is the whole of what the engine asks of a store; `MemoryStore` keeps the promise in memory.
A store may forget anything at any time, but never gives other bytes than it was given.
Knows nothing of layouts or of who computes a chunk.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """A chunk of a layout, numbered from 0: same key, same bytes."""

    identity: str
    number: int


class Lent(Protocol):
    """A file on loan from a store, whose bytes stay as they are until it is given back."""

    @property
    def descriptor(self) -> int:
        """A read-only descriptor of it, open until `close`."""

    def close(self) -> None:
        """Give it back. Twice is harmless."""


class ChunkStore(Protocol):
    """Where finished chunks are kept. Safe for use by many threads."""

    def read(self, key: ChunkKey, start: int, buffer: memoryview) -> bool:
        """Fill `buffer` (writable) with the chunk's bytes from `start`; False where the store does not have
        the chunk. Counts as a use. The range lies within the chunk.
        """

    def put(self, key: ChunkKey, data: memoryview) -> None:
        """Keep `data`, which never changes, as long as the limit allows. Never raises: it may not keep it."""

    def __contains__(self, key: ChunkKey) -> bool:
        """Whether `read` would have it; does not count as a use."""

    def held(self, identity: str) -> int:
        """Bytes kept of the layout of this identity."""

    def figures(self) -> dict[str, int]:
        """What is kept, by what limit, for a status report."""

    def name(self, identity: str, label: str) -> None:
        """Have people told that the layout of this identity is `label`."""

    def prove(self, identity: str, size: int) -> None:
        """Where every byte of a layout of `size` bytes is held, see to it in the background that all of it is
        verified, so that `lend` will give it. Returns at once.
        """

    def lend(self, identity: str, size: int) -> Lent | None:
        """A file that holds exactly these bytes, each verified in this run, to be given back with `close`.

        None where there is none (yet): then it proves what it has, as `prove` does. While a file is lent
        nothing of it is evicted.
        """


class MemoryStore:
    """Chunks in memory: at most `limit` bytes, the least recently used go first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._chunks: OrderedDict[ChunkKey, memoryview] = OrderedDict()
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    def read(self, key: ChunkKey, start: int, buffer: memoryview) -> bool:
        """Copy from the chunk, if it is there; it becomes the most recently used."""
        with self._lock:
            data = self._chunks.get(key)
            if data is None:
                return False
            self._chunks.move_to_end(key)
        buffer[:] = data[start : start + len(buffer)]
        return True

    def put(self, key: ChunkKey, data: memoryview) -> None:
        """Keep `data`, and drop what is then over the limit; a chunk above the limit itself is not kept."""
        if len(data) > self.limit:
            return
        with self._lock:
            if key in self._chunks:
                return
            while self.used + len(data) > self.limit:
                oldest, gone = self._chunks.popitem(last=False)
                self._account(oldest.identity, -len(gone))
            self._chunks[key] = data
            self._account(key.identity, len(data))

    def __contains__(self, key: ChunkKey) -> bool:
        return key in self._chunks

    def held(self, identity: str) -> int:
        """Bytes kept of the layout of this identity."""
        return self._held.get(identity, 0)

    def figures(self) -> dict[str, int]:
        """Bytes kept, and the limit."""
        return {"memory_bytes": self.used, "memory_limit": self.limit}

    def name(self, identity: str, label: str) -> None:
        """Nobody lists what is in memory."""

    def prove(self, identity: str, size: int) -> None:
        """There is no file to prove."""

    def lend(self, identity: str, size: int) -> Lent | None:
        """None: there is no file to lend."""
        return None

    def _account(self, identity: str, difference: int) -> None:
        self.used += difference
        held = self._held.pop(identity, 0) + difference
        if held:
            self._held[identity] = held
