"""DiskStore: chunks on disk. The package's docstring has its promises, docs/STORE.md its concurrency.

Readers read side by side; one thread writes. Knows nothing of layouts, nor of who computes a chunk.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import xxhash

from fsd.engine import CHUNK, ChunkKey
from fsd.errors import StoreRefused
from fsd.store.datafiles import DataFiles, is_name
from fsd.store.ledger import Kept, Ledger
from fsd.store.shelf import Batch, Chunks, Shelf

log = logging.getLogger(__name__)

# Bytes that wait for the disk. Whoever brings more waits for a while, so that a slow disk slows translation
# down rather than have it done again, but a stuck one does not stop it.
_QUEUE = 32 << 20
_PATIENCE = 2.0
# A batch collects for so long, or until it has so much: a sync for each chunk would be slow.
_LINGER = 0.05
_ENOUGH = 8 << 20
# Uses alone are noted after so long.
_USES_AFTER = 30.0
# The limit where none is given: this much, or half of what is free.
_USUAL = 20 << 30
# After a failure nothing is kept for a while, and not each is told (seconds).
_PAUSE = 1.0
_TELL_AGAIN = 60.0


def checksum(data: memoryview | bytearray) -> int:
    """xxh3-64, as the signed number that SQLite can hold."""
    return int.from_bytes(xxhash.xxh3_64_digest(data), "big", signed=True)


@dataclass(slots=True)
class Figures:
    """What a store did since it was opened, in chunks.

    reads: from disk.    written: to disk.    evicted: for others.    damaged: not as they were written.
    refused: not kept, for want of room or because the disk failed.
    """

    reads: int = 0
    written: int = 0
    evicted: int = 0
    damaged: int = 0
    refused: int = 0


class DiskStore:
    """Chunks under `directory`: at most `limit` bytes, and `floor` bytes of the disk stay free.

    `limit` None is 20 GiB, or half of the free disk where that is less. Safe for use by many threads; to be
    closed. Waits `patience` seconds for a process that is about to let go of the directory. Raises
    StoreRefused and OSError where it cannot be had; afterwards nothing raises.
    """

    def __init__(self, directory: Path, limit: int | None, floor: int, *, patience: float = 3.0) -> None:
        self.directory = directory
        self._floor = floor
        self._shelf = Shelf(directory, patience)
        self.limit = self._usual_limit() if limit is None else limit
        self._ledger = Ledger(max(16, self.limit // CHUNK // 2), whole_files=not self._shelf.punches)
        # What is on its way cannot be evicted: of a small store it may be a small part only.
        self._queue = min(_QUEUE, max(1, self.limit // 4))
        self._batch = Batch()
        self._figures = Figures()
        self._busy = self._stalled = self._closing = False
        self._paused_until = 0.0
        self._told = float("-inf")
        self._wake = threading.Condition()
        with self._wake:
            self._load()
        self._thread = threading.Thread(target=self._work, name="prismfs-store", daemon=True)
        self._thread.start()

    def get(self, key: ChunkKey) -> memoryview | None:
        """The chunk's bytes, verified in this run, or None; counts as a use."""
        with self._wake:
            kept, files = self._use(key), self._shelf.files
        return self._fetch(key, kept, files) if kept is not None else None

    def touch(self, key: ChunkKey) -> None:
        """Count a use of a chunk whose bytes came from elsewhere."""
        with self._wake:
            self._use(key)

    def put(self, key: ChunkKey, data: memoryview) -> None:
        """Keep `data`, on disk soon; or not, where there is no room or the disk fails."""
        if not is_name(key.identity) or not 0 < len(data) <= CHUNK:
            return
        kept = Kept(len(data), checksum(data), data=data)
        with self._wake:
            if not self._admit(key, kept):
                self._figures.refused += 1

    def __contains__(self, key: ChunkKey) -> bool:
        with self._wake:
            return self._ledger.find(key) is not None

    def held(self, identity: str) -> int:
        """Bytes kept of the layout of this identity."""
        with self._wake:
            file = self._ledger.files.get(identity)
            return file.held if file is not None else 0

    def pin(self, identity: str, pinned: bool = True) -> None:
        """Evict nothing of a layout, or allow it again; on disk with the next batch (see `flush`)."""
        if not is_name(identity):
            return
        with self._wake:
            self._ledger.pin(identity, pinned)
            self._batch.pins[identity] = pinned
            self._wake.notify_all()

    def clear(self, *, pinned: bool = False) -> None:
        """Drop every chunk that is present; of pinned files only if `pinned`."""
        with self._wake:
            for key, kept in self._ledger.chunks():
                if kept.data is None and (pinned or not self._ledger.files[key.identity].pinned):
                    self._drop(key)

    def verify(self, tell: Callable[[int, int], None] = lambda done, of: None) -> list[ChunkKey]:
        """Read every chunk: the damaged ones, which are dropped. `tell(done, of)` is called after each."""
        with self._wake:
            chunks, files = self._ledger.chunks(), self._shelf.files
        damaged = []
        for number, (key, kept) in enumerate(chunks, 1):
            kept.verified = False
            if self._fetch(key, kept, files) is None:
                damaged.append(key)
            tell(number, len(chunks))
        return damaged

    def flush(self, timeout: float = 60.0) -> bool:
        """Wait until all that was put is present or given up; False after `timeout` seconds."""
        with self._wake:
            self._batch.urgent = True
            self._wake.notify_all()
            return self._wake.wait_for(lambda: not self._batch.is_due and not self._busy, timeout)

    def figures(self) -> dict[str, int]:
        """What is held now, and what was done, by name."""
        with self._wake:
            files = self._ledger.files.values()
            now = {
                "disk_bytes": self._ledger.space,
                "disk_limit": self.limit,
                "disk_files": len(files),
                "disk_files_pinned": sum(file.pinned for file in files),
            }
            return now | {f"disk_{name}": value for name, value in asdict(self._figures).items()}

    def close(self) -> None:
        """Bring what waits to the disk, and let go of the directory. Twice is harmless."""
        with self._wake:
            if self._closing:
                return
            self._closing = True
            self._wake.notify_all()
        self._thread.join()
        self._shelf.close()

    def _fetch(self, key: ChunkKey, kept: Kept, files: DataFiles) -> memoryview | None:
        """The bytes of a chunk; None, and it is dropped, where they are not what was written."""
        data = kept.data
        if data is not None:
            return data
        buffer = bytearray(kept.length)
        try:
            right = files.read(key.identity, key.number, buffer) == kept.length
        except OSError as error:
            self._tell("a chunk cannot be read", error)
            right = False
        right = right and (kept.verified or checksum(buffer) == kept.checksum)
        with self._wake:
            # While this thread read, the chunk may have been evicted and its place given back.
            if self._ledger.find(key) is not kept:
                return None
            if not right:
                self._figures.damaged += 1
                self._tell(f"chunk {key.number} of {key.identity} is damaged; it is translated again")
                self._drop(key)
                return None
            self._figures.reads += 1
            kept.verified = True
        return memoryview(buffer).toreadonly()

    # What follows, down to the writer's, is for the holder of the lock.

    def _use(self, key: ChunkKey) -> Kept | None:
        kept = self._ledger.use(key)
        if kept is not None and kept.data is None:
            self._batch.uses[key] = kept.used
            self._batch.seen[key.identity] = time.time()
        return kept

    def _drop(self, key: ChunkKey) -> None:
        self._forget([(key, self._ledger.drop(key))])

    def _forget(self, gone: Chunks) -> None:
        for key, _ in gone:
            self._batch.uses.pop(key, None)
        self._batch.gone += gone
        if gone:
            self._wake.notify_all()

    def _admit(self, key: ChunkKey, kept: Kept) -> bool:
        """Reserve room for a chunk and queue it; False where it cannot be kept."""
        if self._stalled or time.monotonic() < self._paused_until:
            return False
        deadline = time.monotonic() + _PATIENCE
        while not self._closing:  # a wait gives up the lock: whatever was known before it may have changed
            if self._ledger.find(key) is not None:
                return True
            if self._batch.bytes < self._queue and self._reserve(key, kept):
                return True
            if not (self._batch.added or self._busy):
                self._tell("there is no room for what is translated; it is not kept")
                return False
            if time.monotonic() >= deadline:
                self._stalled = True
                self._tell("the disk does not keep up; what is translated meanwhile is not kept")
                return False
            self._batch.urgent = True
            self._wake.notify_all()
            self._wake.wait(deadline - time.monotonic())
        return False

    def _reserve(self, key: ChunkKey, kept: Kept) -> bool:
        gone = self._ledger.evict(kept.space, self._capacity())
        if gone is None:
            return False
        self._figures.evicted += len(gone)
        self._forget(gone)
        self._ledger.add(key, kept)
        self._batch.added.append((key, kept))
        self._batch.seen[key.identity] = time.time()
        self._wake.notify_all()
        return True

    def _capacity(self) -> int:
        try:
            return min(self.limit, self._shelf.capacity(self._floor))
        except OSError:  # the disk does not even tell
            return 0

    def _usual_limit(self) -> int:
        return min(_USUAL, self._shelf.capacity(0) // 2)

    def _load(self) -> None:
        """Hold what the shelf has, as far as the limit allows."""
        for identity in self._shelf.pins:
            self._ledger.pin(identity, True)
        for key, kept in self._shelf.chunks:
            if self._ledger.find(key) is None:
                self._ledger.load(key, kept)
        self._shelf.chunks = []
        self._forget(self._ledger.evict(0, max(self._capacity(), self._ledger.fixed)) or [])

    def _tell(self, what: str, error: BaseException | None = None) -> None:
        """A line in the log, but not more than one a minute."""
        with self._wake:
            now = time.monotonic()
            if now - self._told < _TELL_AGAIN:
                return
            self._told = now
        reason = f": {getattr(error, 'strerror', None) or error}" if error is not None else ""
        log.warning("%s: %s%s", self.directory, what, reason)

    # The writer's thread.

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                if not self._shelf.is_there():
                    self._begin_anew()
                    batch.gone = []
                failure = self._shelf.carry_out(batch)
            except (OSError, sqlite3.Error, StoreRefused) as error:
                failure = error
            if failure is not None:
                self._tell("what is translated cannot be kept", failure)
            with self._wake:
                self._settle(batch, failed=failure is not None)

    def _next_batch(self) -> Batch | None:
        """The next batch, once there is one, with some time to collect it; None after the last."""
        with self._wake:
            self._wake.wait_for(lambda: self._batch.is_due or self._closing, _USES_AFTER)
            self._wake.wait_for(self._is_ripe, _LINGER)
            batch, self._batch = self._batch, Batch()
            if self._closing and not (batch.is_due or batch.uses):
                return None
            batch.emptied = {key.identity for key, _ in batch.gone} - self._ledger.files.keys()
            self._busy = True
            self._wake.notify_all()
            return batch

    def _is_ripe(self) -> bool:
        return self._batch.urgent or self._closing or self._batch.bytes >= min(_ENOUGH, self._queue)

    def _settle(self, batch: Batch, *, failed: bool) -> None:
        """What was written and noted is present; the rest is not kept."""
        for key, _ in batch.added:
            if key in batch.written:
                self._ledger.land(key)
                self._figures.written += 1
            else:
                self._drop(key)
                self._figures.refused += 1
        if failed:
            self._paused_until = time.monotonic() + _PAUSE
        self._busy = self._stalled = False
        self._wake.notify_all()

    def _begin_anew(self) -> None:
        """The directory was removed, or its index damaged: hold nothing of it, and take it again."""
        with self._wake:
            pins = [file.identity for file in self._ledger.files.values() if file.pinned]
            for key, kept in self._ledger.chunks():
                if kept.data is None:
                    self._ledger.drop(key)
            self._batch.pins |= dict.fromkeys(pins, True)
            # Within the lock: whoever asks for the capacity finds it closed, not half closed.
            self._shelf.close()
        shelf = Shelf(self.directory, 0)
        self._tell("the store was removed or damaged; it is begun anew")
        with self._wake:
            self._batch.gone = []  # of what is no longer there
            self._shelf = shelf
            self._load()
