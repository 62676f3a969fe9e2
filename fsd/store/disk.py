"""DiskStore: chunks on disk. The package's docstring has its promises, docs/STORE.md its concurrency.

Readers read side by side; one thread writes, one proves. Knows nothing of layouts, nor of who computes a
chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from fsd.engine import CHUNK, ChunkKey, Lent
from fsd.store.datafiles import is_name
from fsd.store.holdings import Holdings
from fsd.store.ledger import Kept
from fsd.store.proofs import Proofs
from fsd.store.reading import Reading, checksum
from fsd.store.shelf import Shelf
from fsd.store.writer import Writer

# How long (seconds) to wait for what is on its way to the disk.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file of which something is held, or that is pinned. `label`: what it is of, "" if unknown.

    whole: all of it is there, and was found right. lent: somebody reads its data file by himself.
    """

    identity: str
    label: str
    held: int
    pinned: bool
    whole: bool
    lent: bool


class DiskStore:
    """Chunks under `directory`: at most `limit` bytes, and `floor` bytes of the disk stay free.

    `limit` None is 20 GiB, or half of the free disk where that is less. Safe for use by many threads; to be
    closed. Waits `patience` seconds for a process that is about to let go of the directory. Raises
    StoreRefused and OSError where it cannot be had; afterwards nothing raises.
    """

    def __init__(self, directory: Path, limit: int | None, floor: int, *, patience: float = 3.0) -> None:
        self.directory = directory
        self._holdings = Holdings(directory, Shelf(directory, patience), limit, floor)
        self._wake = self._holdings.wake
        self._reading = Reading(self._holdings)
        self._proofs = Proofs(self._holdings, self._reading)
        self._writer = Writer(self._holdings)

    @property
    def limit(self) -> int:
        """Bytes that chunks may take."""
        return self._holdings.limit

    def read(self, key: ChunkKey, start: int, buffer: memoryview) -> bool:
        """Fill `buffer` with the chunk's bytes from `start`, verified in this run; counts as a use.

        False, and `buffer` holds anything, where the chunk is not held or is not right.
        """
        return self._reading.read(key, start, buffer)

    def view(self, key: ChunkKey, start: int, buffer: memoryview) -> memoryview | None:
        """As `read`; the bytes, which are in memory while on their way to the disk. None for False."""
        return self._reading.view(key, start, buffer)

    def put(self, key: ChunkKey, data: memoryview) -> bool:
        """Keep `data`, on disk soon; False where there is no room or the disk fails."""
        if not is_name(key.identity) or not 0 < len(data) <= CHUNK:
            return False
        if key in self:
            return True
        kept = Kept(len(data), checksum(data), data=data)
        with self._wake:
            admitted = self._writer.admit(key, kept)
            self._holdings.figures.refused += not admitted
            return admitted

    def __contains__(self, key: ChunkKey) -> bool:
        with self._wake:
            return self._holdings.ledger.find(key) is not None

    def held(self, identity: str) -> int:
        """Bytes kept of the layout of this identity."""
        with self._wake:
            file = self._holdings.ledger.files.get(identity)
            return file.held if file is not None else 0

    def name(self, identity: str, label: str) -> None:
        """Have `listed` tell that the layout of this identity is `label`."""
        if is_name(identity):
            with self._wake:
                self._holdings.name(identity, label)

    def prove(self, identity: str, size: int) -> None:
        """Have a layout of which all `size` bytes are held verified in the background, for `lend`."""
        self._proofs.prove(identity, size)

    def lend(self, identity: str, size: int) -> Lent | None:
        """The data file of a layout, whole and verified in this run, to be closed; or None, and it is proved.

        Its bytes stay as they are for as long as anybody has it open, also after this process has ended.
        """
        return self._proofs.lend(identity, size)

    def pin(self, identity: str, pinned: bool = True) -> None:
        """Evict nothing of a layout, or allow it again; on disk with the next batch (see `flush`)."""
        if is_name(identity):
            with self._wake:
                self._holdings.pin(identity, pinned)

    def compare(self, key: ChunkKey, data: memoryview) -> bool | None:
        """Whether the chunk on disk is `data`; one that is not is dropped. None if it is not held."""
        return self._reading.compare(key, data)

    def evict(self, identity: str) -> int:
        """Drop what is held of a layout that is not pinned; returns how many bytes. May wait for the disk.

        Who was lent the file goes on to read it; its space is given back after the last of them.
        """
        self.flush(_PATIENCE)  # what is on its way to the disk cannot be dropped
        with self._wake:
            return self._holdings.evict(identity)

    def digests(self) -> dict[str, str]:
        """The sha256 of every layout of which it was noted, by identity."""
        with self._wake:
            return dict(self._holdings.digests)

    def note_digest(self, identity: str, sha256: str) -> None:
        """Have the index keep the sha256 of all of a layout."""
        if is_name(identity):
            with self._wake:
                self._holdings.note_digest(identity, sha256)

    def files(self) -> list[HeldFile]:
        """What is held or pinned, the last used first."""
        with self._wake:
            files = sorted(self._holdings.ledger.files.values(), key=lambda file: -file.used)
            labels = self._holdings.labels
            return [
                HeldFile(
                    file.identity, labels.get(file.identity, ""), file.held, file.pinned, file.whole,
                    file.loans > 0,
                )
                for file in files
            ]  # fmt: skip

    def is_pinned(self, identity: str) -> bool:
        """Whether nothing of a layout is evicted."""
        with self._wake:
            file = self._holdings.ledger.files.get(identity)
            return file is not None and file.pinned

    def is_lent(self, identity: str) -> bool:
        """Whether somebody reads the layout's data file by himself."""
        with self._wake:
            file = self._holdings.ledger.files.get(identity)
            return file is not None and file.loans > 0

    def clear(self, *, pinned: bool = False) -> None:
        """Drop every chunk that is present and not lent; of pinned files only if `pinned`."""
        with self._wake:
            self._holdings.clear(pinned=pinned)

    def verify(self, tell: Callable[[int, int], None] = lambda done, of: None) -> list[ChunkKey]:
        """Read every chunk: the damaged ones, which are dropped, each whole file with its first.

        `tell(done, of)` is called after each.
        """
        with self._wake:
            chunks, files = self._holdings.ledger.chunks(), self._holdings.shelf.files
        damaged = []
        for number, (key, kept) in enumerate(chunks, 1):
            if kept.present and not kept.gone:
                kept.verified = False
                if not self._reading.verify(key, kept, files):
                    damaged.append(key)
            tell(number, len(chunks))
        return damaged

    def flush(self, timeout: float = 60.0) -> bool:
        """Wait until all that was put is present or given up; False after `timeout` seconds."""
        return self._writer.flush(timeout)

    def figures(self) -> dict[str, int]:
        """What is held now, and what was done, by name."""
        with self._wake:
            ledger = self._holdings.ledger
            files = ledger.files.values()
            now = {
                "disk_bytes": ledger.space,
                "disk_limit": self.limit,
                "disk_files": len(files),
                "disk_files_pinned": sum(file.pinned for file in files),
                "disk_files_lent": sum(file.loans > 0 for file in files),
            }
            return now | {f"disk_{name}": value for name, value in asdict(self._holdings.figures).items()}

    def close(self) -> None:
        """Bring what waits to the disk, and let go of the directory. Twice is harmless.

        What is lent can be read on until it is given back.
        """
        with self._wake:
            if self._holdings.closing:
                return
            self._holdings.closing = True
            self._wake.notify_all()
        self._proofs.join()
        self._writer.join()
        self._holdings.shelf.close()
