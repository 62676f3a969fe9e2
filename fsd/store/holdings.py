"""Holdings: what a store holds, what its disk is to learn next, and the one lock over both.

Shared by who reads (reading.py), writes (writer.py) and proves (proofs.py). Every method but `tell` is for
the holder of the lock, `wake`. Nothing here reads or writes a chunk.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fsd.engine import CHUNK, ChunkKey
from fsd.store.ledger import Chunks, Kept, KeptFile, Ledger
from fsd.store.shelf import Batch, Shelf

log = logging.getLogger(__name__)

# The limit where none is given: this much, or half of what is free.
_USUAL = 20 << 30
# What was written last stays in memory until it is synced, at most so much of it (of a small store an eighth
# of its limit): its reader, who is just behind, need not have it read back and verified.
_RECENT = 16 << 20
# Not each failure is told (seconds).
_TELL_AGAIN = 60.0


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


class Holdings:
    """The shelf in use, the ledger of it, and the next batch; at most `limit` bytes, `floor` left free.

    `wake` is notified whenever any of it changed in a way that somebody may wait for.
    """

    def __init__(self, directory: Path, shelf: Shelf, limit: int | None, floor: int) -> None:
        self.directory = directory
        self.shelf = shelf
        self.floor = floor
        self.limit = min(_USUAL, shelf.capacity(0) // 2) if limit is None else limit
        self.ledger = Ledger(max(16, self.limit // CHUNK // 2), whole_files=not shelf.punches)
        self.batch = Batch()
        self.figures = Figures()
        self.closing = False
        self.wake = threading.Condition()
        self.labels: dict[str, str] = {}
        self.digests: dict[str, str] = {}
        self._recent: deque[Kept] = deque()
        self._recent_bytes = 0
        self._told = float("-inf")
        with self.wake:
            self.load()

    def use(self, key: ChunkKey) -> Kept | None:
        """The chunk, if it is held; it is used, and the disk learns of it some time."""
        before = self.ledger.uses
        kept = self.ledger.use(key)
        if kept is not None and kept.present and self.ledger.uses != before:
            self.batch.uses[key] = kept.used
            self.batch.seen[key.identity] = time.time()
        return kept

    def reserve(self, key: ChunkKey, kept: Kept) -> bool:
        """Hold a chunk, which is on its way to the disk, if there is or can be made room for it."""
        gone = self.ledger.evict(kept.space, self._capacity())
        if gone is None:
            return False
        self.figures.evicted += len(gone)
        self._forget(gone)
        self.ledger.add(key, kept)
        self.batch.add(key, kept)
        return True

    def wrote(self, kept: Kept) -> None:
        """The bytes of a chunk are the system's; they stay in memory for a moment."""
        kept.written = True
        self._recent.append(kept)
        self._recent_bytes += kept.length
        while self._recent_bytes > min(_RECENT, self.limit // 8):
            oldest = self._recent.popleft()
            oldest.data = None
            self._recent_bytes -= oldest.length

    def synced(self, key: ChunkKey, kept: Kept) -> None:
        """A chunk is on disk for certain: have it noted, with what its file is and when it was used."""
        self.batch.synced.append((key, kept))
        self.batch.seen[key.identity] = time.time()
        if key.identity in self.labels:
            self.batch.labels[key.identity] = self.labels[key.identity]

    def shrink(self) -> None:
        """Give up what others, or the index, need of the disk, and what is over the limit."""
        with suppress(OSError):  # a disk that does not even tell is no reason to give up anything
            capacity = min(self.limit, self.shelf.capacity(self.floor))
            gone = self.ledger.evict(0, max(capacity, self.ledger.fixed)) or []
            self.figures.evicted += len(gone)
            self._forget(gone)

    def drop(self, key: ChunkKey) -> None:
        """Hold a chunk no longer; of a whole file none."""
        self._forget(self.ledger.drop(key))

    def damaged(self, key: ChunkKey) -> None:
        """A chunk is not as it was written."""
        self.figures.damaged += 1
        self.tell(f"chunk {key.number} of {key.identity} is damaged; it is translated again")
        self.drop(key)

    def clear(self, *, pinned: bool) -> None:
        """Drop what is present and not lent; of pinned files only if `pinned`."""
        for key, kept in self.ledger.chunks():
            file = self.ledger.files.get(key.identity)
            if file is None or kept.gone or not kept.present or file.loans:
                continue
            if pinned or not file.pinned:
                self.drop(key)

    def evict(self, identity: str) -> int:
        """Drop what is present of a layout that is not pinned, also what is lent; returns how many bytes.

        Who reads a lent file goes on to read it; its space is given back after the last of them.
        """
        file = self.ledger.files.get(identity)
        if file is None or file.pinned:
            return 0
        before = file.held
        for key, kept in self.ledger.chunks(identity):
            if kept.present and not kept.gone:
                self.drop(key)
        return before - file.held

    def note_digest(self, identity: str, sha256: str) -> None:
        """The sha256 of a whole layout, for the index."""
        if self.digests.get(identity) != sha256:
            self.digests[identity] = self.batch.digests[identity] = sha256
            self.wake.notify_all()

    def pin(self, identity: str, pinned: bool) -> None:
        """Evict nothing of a layout, or allow it again."""
        self.ledger.pin(identity, pinned)
        self.batch.pins[identity] = pinned
        self.wake.notify_all()

    def name(self, identity: str, label: str) -> None:
        """Have the index tell what a layout is; at the latest when something of it is held."""
        if self.labels.get(identity) != label:
            self.labels[identity] = label
            self.batch.labels[identity] = label

    def mark(self, file: KeptFile) -> None:
        """A file is complete, and right: from now on it goes as a whole. Noted with the next batch."""
        file.whole = True
        self.batch.whole[file.identity] = file
        self.wake.notify_all()

    def load(self) -> None:
        """Hold what the shelf has, as far as the limit allows."""
        content = self.shelf.content
        for identity in content.pins:
            self.ledger.pin(identity, True)
        for key, kept in content.chunks:
            if self.ledger.find(key) is None:
                self.ledger.load(key, kept)
        for identity in content.whole:
            file = self.ledger.files[identity]
            file.whole = file.marked = True
        self.labels = content.labels | self.labels
        self.digests = content.digests | self.digests
        content.pins.clear()
        content.whole.clear()
        content.chunks.clear()
        self.shrink()

    def borrow(self, file: KeptFile) -> None:
        """Evict nothing of a file until it is given back. Both count as uses."""
        file.loans += 1
        self._use_file(file)

    def give_back(self, file: KeptFile) -> None:
        """A loan has ended."""
        self.ledger.give_back(file)
        self._use_file(file)
        self.wake.notify_all()

    def forget_present(self) -> None:
        """Hold nothing of what was written; pins are noted anew."""
        pins = [file.identity for file in self.ledger.files.values() if file.pinned]
        for key, kept in self.ledger.chunks():
            if not kept.is_pending and not kept.gone:
                self.ledger.drop(key)
        self.ledger.unlinked.clear()
        self.batch.pins |= dict.fromkeys(pins, True)
        self.batch.digests |= self.digests

    def begin(self, shelf: Shelf) -> None:
        """Go on with another shelf, after `forget_present`."""
        self.batch.gone, self.batch.unlinked, self.batch.whole = [], set(), {}
        self.shelf = shelf
        self.load()

    def take_batch(self) -> Batch:
        """The batch that was collected; a new one is begun."""
        batch, self.batch = self.batch, Batch()
        batch.emptied = {key.identity for key, _ in batch.gone} - self.ledger.files.keys()
        return batch

    def tell(self, what: str, error: BaseException | None = None) -> None:
        """A line in the log, but not more than one a minute. With or without the lock."""
        with self.wake:
            now = time.monotonic()
            if now - self._told < _TELL_AGAIN:
                return
            self._told = now
        reason = f": {getattr(error, 'strerror', None) or error}" if error is not None else ""
        log.warning("%s: %s%s", self.directory, what, reason)

    def _forget(self, gone: Chunks) -> None:
        if not gone:
            return
        for key, _ in gone:
            self.batch.uses.pop(key, None)
        for identity in self.ledger.unlinked:
            self.batch.whole.pop(identity, None)
        self.batch.gone += gone
        self.batch.unlinked |= self.ledger.unlinked
        self.ledger.unlinked.clear()
        self.wake.notify_all()

    def _use_file(self, file: KeptFile) -> None:
        if self.ledger.files.get(file.identity) is file and file.chunks:
            self.use(ChunkKey(file.identity, next(reversed(file.chunks))))

    def _capacity(self) -> int:
        try:
            return min(self.limit, self.shelf.capacity(self.floor))
        except OSError:  # the disk does not even tell
            return 0
