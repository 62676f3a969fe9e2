"""Chunks: what one is called, and where finished ones are kept.

`ChunkStore` is the whole of what the engine asks of a store; `MemoryStore` keeps the promise in memory.
A store may forget anything at any time, but never gives other bytes than it was given.
Knows nothing of layouts or of who computes a chunk.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from translators.copying import copy

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """A chunk of a layout, numbered from 0: same key, same bytes."""

    identity: str
    number: int


class Lent(Protocol):
    """A file that holds exactly the bytes of a layout, until it is given back."""

    @property
    def descriptor(self) -> int:
        """Open for reading, until `close`."""

    def close(self) -> None:
        """Give it back. Twice is harmless."""


class ChunkStore(Protocol):
    """Where finished chunks are kept. Safe for use by many threads."""

    def read(self, key: ChunkKey, start: int, buffer: memoryview) -> bool:
        """Fill `buffer` with the chunk's bytes from `start`; False where the store does not have the chunk.

        Counts as a use. The range lies within the chunk.
        """

    def view(self, key: ChunkKey, start: int, buffer: memoryview) -> memoryview | None:
        """As `read`; the bytes, which are `buffer`'s, or lie in memory already: read-only, good while held.

        None where the store does not have the chunk.
        """

    def put(self, key: ChunkKey, data: memoryview) -> object:
        """Keep `data`, which never changes, as long as the limit allows. Never raises: it may not keep it.

        May wait a little, so that translation is not faster than the disk for long.
        """

    def __contains__(self, key: ChunkKey) -> bool:
        """Whether `read` would give it; does not count as a use."""

    def compare(self, key: ChunkKey, data: memoryview) -> bool | None:
        """Whether it has exactly `data` as the chunk; what it has is dropped if not. None if it has nothing.

        Does not count as a use.
        """

    def evict(self, identity: str) -> int:
        """Forget the layout of this identity, unless it is pinned; returns how many bytes of it were kept."""

    def held(self, identity: str) -> int:
        """Bytes kept of the layout of this identity."""

    def name(self, identity: str, label: str) -> None:
        """What people call the layout of this identity."""

    def prove(self, identity: str, size: int) -> None:
        """Where every byte of a layout of `size` bytes is kept, have all of it verified, for `lend`.

        Returns at once; the verifying is done in the background.
        """

    def lend(self, identity: str, size: int) -> Lent | None:
        """A file that holds exactly the layout's bytes, each verified in this run; nothing of it is evicted
        meanwhile. None where there is none, or not yet: then what there is gets proved.
        """

    def figures(self) -> dict[str, int]:
        """What is kept, by what limit, for a status report."""


class MemoryStore:
    """Chunks in memory: at most `limit` bytes, the least recently used go first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._chunks: OrderedDict[ChunkKey, memoryview] = OrderedDict()
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    def read(self, key: ChunkKey, start: int, buffer: memoryview) -> bool:
        """Fill `buffer` from the chunk, which becomes the most recently used; False where it is not here."""
        data = self.view(key, start, buffer)
        if data is not None:
            copy(buffer, data)
        return data is not None

    def view(self, key: ChunkKey, start: int, buffer: memoryview) -> memoryview | None:
        """The chunk's own bytes; it becomes the most recently used. None where it is not here."""
        with self._lock:
            data = self._chunks.get(key)
            if data is None:
                return None
            self._chunks.move_to_end(key)
        return data[start : start + len(buffer)]

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

    def compare(self, key: ChunkKey, data: memoryview) -> bool | None:
        """Whether the chunk here is `data`; None where it is not here. Another one is dropped."""
        with self._lock:
            kept = self._chunks.get(key)
        if kept is None:
            return None
        if bytes(kept) == bytes(data):  # item by item, as memoryviews compare, is slow
            return True
        self._drop([key])
        return False

    def evict(self, identity: str) -> int:
        """Drop every chunk of a layout."""
        with self._lock:
            keys = [key for key in self._chunks if key.identity == identity]
        return self._drop(keys)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            keys = list(self._chunks)
        self._drop(keys)

    def held(self, identity: str) -> int:
        """Bytes kept of the layout of this identity."""
        return self._held.get(identity, 0)

    def name(self, identity: str, label: str) -> None:
        """Not needed: nothing outlives the process."""

    def prove(self, identity: str, size: int) -> None:
        """Nothing to do: what is in memory is as it was translated."""

    def lend(self, identity: str, size: int) -> Lent | None:
        """None: there is no file."""
        return None

    def figures(self) -> dict[str, int]:
        """Bytes kept, and the limit."""
        return {"memory_bytes": self.used, "memory_limit": self.limit}

    def _drop(self, keys: Iterable[ChunkKey]) -> int:
        dropped = 0
        with self._lock:
            for key in keys:
                gone = self._chunks.pop(key, None)
                if gone is not None:
                    self._account(key.identity, -len(gone))
                    dropped += len(gone)
        return dropped

    def _account(self, identity: str, difference: int) -> None:
        self.used += difference
        held = self._held.pop(identity, 0) + difference
        if held:
            self._held[identity] = held
