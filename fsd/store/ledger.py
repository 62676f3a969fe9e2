"""Ledger: which chunks a store holds, how lately each was used, and which go first.

In memory, without locks and without files: `DiskStore` asks it under its own lock. About 300 bytes a chunk.
Uses are counted, not timed, so that a clock that jumps changes no order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from fsd.engine import ChunkKey

# File systems give space in blocks of this size, or in bigger ones where the file is big.
BLOCK = 4096


@dataclass(eq=False, slots=True)
class Kept:
    """A chunk: `length` bytes whose xxh3-64 is `checksum`, used last at the count `used`.

    `data` is there until the bytes are on disk and noted (the chunk is then present); `verified` once the
    bytes on disk were found right in this run.
    """

    length: int
    checksum: int
    used: int = 0
    data: memoryview | None = None
    verified: bool = False

    @property
    def space(self) -> int:
        """Bytes that it takes on disk."""
        return -(-self.length // BLOCK) * BLOCK


@dataclass(eq=False, slots=True)
class KeptFile:
    """A layout's chunks by number, the least recently used first. A pinned file is kept, empty or not.

    `held` counts its bytes, `space` what they take on disk, `present` how much of that is there already.
    """

    identity: str
    pinned: bool = False
    used: int = 0
    held: int = 0
    space: int = 0
    present: int = 0
    chunks: OrderedDict[int, Kept] = field(default_factory=OrderedDict)

    @property
    def coldest(self) -> int | None:
        """The number of the least recently used chunk that is present."""
        return next((number for number, kept in self.chunks.items() if kept.data is None), None)


class Ledger:
    """Files by identity, and the `space` that their chunks take on disk, or will.

    `evict` takes the whole of a file that was not used for `patience` uses before it takes a part of any
    other; then chunk by chunk, the least recently used first. With `whole_files`, only whole files.
    """

    def __init__(self, patience: int, *, whole_files: bool = False) -> None:
        self.files: dict[str, KeptFile] = {}
        self.space = 0
        self.uses = 0
        self._patience = patience
        self._whole_files = whole_files

    def find(self, key: ChunkKey) -> Kept | None:
        """The chunk, without using it."""
        file = self.files.get(key.identity)
        return file.chunks.get(key.number) if file else None

    def use(self, key: ChunkKey) -> Kept | None:
        """The chunk, which becomes the most recently used."""
        file = self.files.get(key.identity)
        kept = file.chunks.get(key.number) if file else None
        if file is not None and kept is not None:
            self.uses += 1
            kept.used = file.used = self.uses
            file.chunks.move_to_end(key.number)
        return kept

    def add(self, key: ChunkKey, kept: Kept) -> None:
        """Hold a chunk that is not held yet; it is the most recently used."""
        file = self.file(key.identity)
        file.chunks[key.number] = kept
        file.held += kept.length
        file.space += kept.space
        self.space += kept.space
        if kept.data is None:
            file.present += kept.space
        self.use(key)

    def land(self, key: ChunkKey) -> None:
        """A chunk's bytes are on disk, and noted: it is present."""
        file = self.files[key.identity]
        file.chunks[key.number].data = None
        file.present += file.chunks[key.number].space

    def load(self, key: ChunkKey, kept: Kept) -> None:
        """Hold a chunk of an earlier run; to be called in the order of their use."""
        self.uses = max(self.uses, kept.used - 1)
        self.add(key, kept)

    def drop(self, key: ChunkKey) -> Kept:
        """Hold a chunk no longer; returns what was held."""
        file = self.files[key.identity]
        kept = file.chunks.pop(key.number)
        file.held -= kept.length
        file.space -= kept.space
        self.space -= kept.space
        if kept.data is None:
            file.present -= kept.space
        if not file.chunks and not file.pinned:
            del self.files[key.identity]
        return kept

    def file(self, identity: str) -> KeptFile:
        """The file, made if it is new."""
        return self.files.setdefault(identity, KeptFile(identity))

    def pin(self, identity: str, pinned: bool) -> None:
        """Have a file kept whatever else is wanted, or no longer."""
        file = self.file(identity)
        file.pinned = pinned
        if not pinned and not file.chunks:
            del self.files[identity]

    def chunks(self) -> list[tuple[ChunkKey, Kept]]:
        """Every chunk held."""
        return [
            (ChunkKey(file.identity, number), kept)
            for file in self.files.values()
            for number, kept in file.chunks.items()
        ]

    @property
    def fixed(self) -> int:
        """Bytes that cannot be given back now: pinned, or on their way to the disk."""
        return self.space - sum(file.present for file in self._candidates())

    def evict(self, wanted: int, capacity: int) -> list[tuple[ChunkKey, Kept]] | None:
        """Make room for `wanted` bytes more in `capacity`: what was dropped, or None, and nothing was."""
        if self.space + wanted <= capacity:
            return []
        if self.fixed + wanted > capacity:
            return None
        gone: list[tuple[ChunkKey, Kept]] = []
        while self.space + wanted > capacity:
            gone += [(key, self.drop(key)) for key in self._victims()]
        return gone

    def _candidates(self) -> Iterator[KeptFile]:
        """Files that may lose chunks: as a whole only if every chunk is present."""
        for file in self.files.values():
            if file.present and not file.pinned and (not self._whole_files or file.present == file.space):
                yield file

    def _victims(self) -> list[ChunkKey]:
        file = min(self._candidates(), key=lambda file: file.used)
        if self._whole_files:
            return [ChunkKey(file.identity, number) for number in file.chunks]
        if self.uses - file.used <= self._patience:
            file = min(self._candidates(), key=_oldest_use)
        number = file.coldest
        assert number is not None
        return [ChunkKey(file.identity, number)]


def _oldest_use(file: KeptFile) -> int:
    number = file.coldest
    assert number is not None
    return file.chunks[number].used
