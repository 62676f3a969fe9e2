"""Ledger: which chunks a store holds, how lately each was used, and which go first.

In memory, without locks and without files: `Holdings` asks it under its own lock. About 300 bytes a chunk.
Uses are counted, not timed, so that a clock that jumps changes no order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from fsd.engine import ChunkKey
from fsd.store.datafiles import Version

# File systems give space in blocks of this size, or in bigger ones where the file is big.
BLOCK = 4096


@dataclass(eq=False, slots=True)
class Kept:
    """A chunk: `length` bytes whose xxh3-64 is `checksum`, used last at the count `used`.

    `data` is there until the bytes are `written`, and for a moment longer, as who reads ahead of a reader is
    just ahead of it; `present` once they are also synced, and noted; `verified` once what was written was
    found right in this run; `gone` once it is no longer held, before its space is given back: who reads a
    chunk and finds it still held afterwards has read it.
    """

    length: int
    checksum: int
    used: int = 0
    data: memoryview | None = None
    written: bool = False
    present: bool = False
    verified: bool = False
    gone: bool = False

    @property
    def is_pending(self) -> bool:
        """Whether its bytes are in memory alone."""
        return not (self.written or self.present)

    @property
    def space(self) -> int:
        """Bytes that it takes on disk."""
        return -(-self.length // BLOCK) * BLOCK


@dataclass(eq=False, slots=True)
class KeptFile:
    """A layout's chunks by number, the least recently used first. A pinned file is kept, empty or not.

    `held` counts its bytes, `space` what they take on disk, `present` how much of that is there already.
    `whole`: its data file may be read by others than us, and goes as a whole or not at all. `proof` is the
    version of the data file whose bytes were all found right in this run, once index and disk say that it
    is whole, which is `marked` once the index has it. `loans` counts who reads it now.
    """

    identity: str
    pinned: bool = False
    used: int = 0
    held: int = 0
    space: int = 0
    present: int = 0
    chunks: OrderedDict[int, Kept] = field(default_factory=OrderedDict)
    whole: bool = False
    marked: bool = False
    proof: Version | None = None
    loans: int = 0
    adrift: int = 0  # bytes on disk that it was given up with while it was lent

    @property
    def is_lendable(self) -> bool:
        """Whether others may read the data file: each byte of it is right, and nobody will change it."""
        return self.whole and self.marked and self.proof is not None

    @property
    def coldest(self) -> int | None:
        """The number of the least recently used chunk that is present."""
        return next((number for number, kept in self.chunks.items() if kept.present), None)


Chunks = list[tuple[ChunkKey, Kept]]


class Ledger:
    """Files by identity, and the `space` that their chunks take on disk, or will.

    `evict` takes the whole of a file that was not used for `patience` uses before it takes a part of any
    other; then chunk by chunk, the least recently used first. With `whole_files`, only whole files. A file
    that is `whole` is one piece, as old as its last use. `unlinked` names those of them that were given up,
    until the caller has taken note.
    """

    def __init__(self, patience: int, *, whole_files: bool = False) -> None:
        self.files: dict[str, KeptFile] = {}
        self.space = 0
        self.afloat = 0  # of `space`, what is not noted yet: a crash would lose it
        self.uses = 0
        self.unlinked: set[str] = set()
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
        # Many small reads of one chunk are one use.
        if file is not None and kept is not None and kept.used != self.uses:
            self._use(file, key.number, kept)
        return kept

    def add(self, key: ChunkKey, kept: Kept) -> None:
        """Hold a chunk that is not held yet; it is the most recently used."""
        file = self.file(key.identity)
        file.chunks[key.number] = kept
        file.held += kept.length
        file.space += kept.space
        self.space += kept.space
        if kept.present:
            file.present += kept.space
        else:
            self.afloat += kept.space
        self._use(file, key.number, kept)

    def land(self, key: ChunkKey) -> None:
        """A chunk's bytes are on disk for certain, and noted: it is present."""
        file = self.files[key.identity]
        kept = file.chunks[key.number]
        kept.present, kept.data = True, None
        file.present += kept.space
        self.afloat -= kept.space

    def load(self, key: ChunkKey, kept: Kept) -> None:
        """Hold a chunk of an earlier run; to be called in the order of their use."""
        self.uses = max(self.uses, kept.used - 1)
        self.add(key, kept)

    def drop(self, key: ChunkKey) -> Chunks:
        """Hold a chunk no longer, and of a whole file none; returns what was held."""
        file = self.files[key.identity]
        if not file.whole:
            return [(key, self._drop(file, key.number))]
        numbers = list(file.chunks)
        if file.loans:
            file.adrift = file.space
            self.space += file.adrift
        gone = [(ChunkKey(file.identity, number), self._drop(file, number)) for number in numbers]
        self.unlinked.add(file.identity)
        # What is held of this identity from now on is another file.
        if file.pinned:
            self.files[file.identity] = KeptFile(file.identity, pinned=True)
        return gone

    def give_back(self, file: KeptFile) -> None:
        """A loan has ended; the last gives back the space of a file that was given up meanwhile."""
        file.loans -= 1
        if not file.loans:
            self.space -= file.adrift
            file.adrift = 0

    def file(self, identity: str) -> KeptFile:
        """The file, made if it is new."""
        return self.files.setdefault(identity, KeptFile(identity))

    def pin(self, identity: str, pinned: bool) -> None:
        """Have a file kept whatever else is wanted, or no longer."""
        file = self.file(identity)
        file.pinned = pinned
        if not pinned and not file.chunks:
            del self.files[identity]

    def chunks(self, identity: str | None = None) -> Chunks:
        """Every chunk held, or every one of a layout."""
        return [
            (ChunkKey(file.identity, number), kept)
            for file in self.files.values()
            if identity in (None, file.identity)
            for number, kept in file.chunks.items()
        ]

    @property
    def fixed(self) -> int:
        """Bytes that cannot be given back now: pinned, lent, or on their way to the disk."""
        return self.space - sum(file.present for file in self._candidates())

    def evict(self, wanted: int, capacity: int) -> Chunks | None:
        """Make room for `wanted` bytes more in `capacity`: what was dropped, or None, and nothing was."""
        if self.space + wanted <= capacity:
            return []
        if self.fixed + wanted > capacity:
            return None
        gone: Chunks = []
        while self.space + wanted > capacity:
            for key in self._victims():
                gone += self.drop(key)
        return gone

    def _use(self, file: KeptFile, number: int, kept: Kept) -> None:
        self.uses += 1
        kept.used = file.used = self.uses
        file.chunks.move_to_end(number)

    def _drop(self, file: KeptFile, number: int) -> Kept:
        kept = file.chunks.pop(number)
        kept.gone = True
        if kept.written:
            kept.data = None
        file.held -= kept.length
        file.space -= kept.space
        self.space -= kept.space
        if kept.present:
            file.present -= kept.space
        else:
            self.afloat -= kept.space
        if not file.chunks and not file.pinned:
            del self.files[file.identity]
        return kept

    def _candidates(self) -> Iterator[KeptFile]:
        """Files that may lose chunks: as a whole only if every chunk is present."""
        for file in self.files.values():
            one_piece = self._whole_files or file.whole
            free = file.present and not (file.pinned or file.loans)
            if free and (not one_piece or file.present == file.space):
                yield file

    def _victims(self) -> list[ChunkKey]:
        file = min(self._candidates(), key=lambda file: file.used)
        if self._whole_files and not file.whole:
            return [ChunkKey(file.identity, number) for number in file.chunks]
        if self.uses - file.used <= self._patience:
            file = min(self._candidates(), key=_oldest_use)
        number = file.coldest
        assert number is not None
        return [ChunkKey(file.identity, number)]


def _oldest_use(file: KeptFile) -> int:
    if file.whole:
        return file.used
    number = file.coldest
    assert number is not None
    return file.chunks[number].used
