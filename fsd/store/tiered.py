"""Tiered: chunks in memory, and behind them on disk.

What is read in small pieces comes from memory; each use counts on disk too, so that what is hot in memory is
not evicted there as unused. Knows nothing of either but `ChunkStore`, and the disk's `touch`.
"""

from __future__ import annotations

from fsd.engine import ChunkKey, MemoryStore
from fsd.store.disk import DiskStore


class Tiered:
    """The engine's store: `memory` first, then `disk`; what disk had is in memory for a while."""

    def __init__(self, memory: MemoryStore, disk: DiskStore) -> None:
        self.memory = memory
        self.disk = disk

    def get(self, key: ChunkKey) -> memoryview | None:
        """The chunk's bytes, or None; a use in both."""
        data = self.memory.get(key)
        if data is not None:
            self.disk.touch(key)
            return data
        data = self.disk.get(key)
        if data is not None:
            self.memory.put(key, data)
        return data

    def put(self, key: ChunkKey, data: memoryview) -> None:
        """Keep `data` in both, as far as each has room."""
        self.memory.put(key, data)
        self.disk.put(key, data)

    def __contains__(self, key: ChunkKey) -> bool:
        return key in self.memory or key in self.disk

    def held(self, identity: str) -> int:
        """Bytes kept of a layout: on disk, or in memory alone where the disk takes none."""
        return max(self.disk.held(identity), self.memory.held(identity))

    def figures(self) -> dict[str, int]:
        """Both stores' figures."""
        return self.memory.figures() | self.disk.figures()
