"""Tiered: chunks on disk, and in memory those that the disk did not take.

What the disk holds is in the kernel's page cache as far as there is memory for it: to hold it here too would
be to hold it twice.
"""

from __future__ import annotations

from fsd.engine import ChunkKey, Lent, MemoryStore
from fsd.store.disk import DiskStore


class Tiered:
    """The engine's store: `disk`, and `memory` where there is no room or the disk fails."""

    def __init__(self, memory: MemoryStore, disk: DiskStore) -> None:
        self.memory = memory
        self.disk = disk

    def read(self, key: ChunkKey, start: int, buffer: memoryview) -> bool:
        """Fill `buffer` from whichever has the chunk."""
        return self.disk.read(key, start, buffer) or self.memory.read(key, start, buffer)

    def view(self, key: ChunkKey, start: int, buffer: memoryview) -> memoryview | None:
        """The bytes from whichever has the chunk."""
        found = self.disk.view(key, start, buffer)
        return self.memory.view(key, start, buffer) if found is None else found

    def put(self, key: ChunkKey, data: memoryview) -> None:
        """Keep `data` on disk, else in memory."""
        if not self.disk.put(key, data):
            self.memory.put(key, data)

    def __contains__(self, key: ChunkKey) -> bool:
        return key in self.disk or key in self.memory

    def compare(self, key: ChunkKey, data: memoryview) -> bool | None:
        """Whether whichever has the chunk has `data`."""
        found = self.disk.compare(key, data)
        return self.memory.compare(key, data) if found is None else found

    def evict(self, identity: str) -> int:
        """From both; what the disk has pinned stays in both."""
        if self.disk.is_pinned(identity):
            return 0
        return self.disk.evict(identity) + self.memory.evict(identity)

    def held(self, identity: str) -> int:
        """Bytes kept of a layout, here and there."""
        return self.disk.held(identity) + self.memory.held(identity)

    def figures(self) -> dict[str, int]:
        """Both stores' figures."""
        return self.memory.figures() | self.disk.figures()

    def name(self, identity: str, label: str) -> None:
        """The disk's."""
        self.disk.name(identity, label)

    def prove(self, identity: str, size: int) -> None:
        """The disk's."""
        self.disk.prove(identity, size)

    def lend(self, identity: str, size: int) -> Lent | None:
        """The disk's."""
        return self.disk.lend(identity, size)
