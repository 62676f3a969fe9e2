"""Writer: chunks on their way to the disk, and the one thread that changes it.

Batches are collected for a moment and carried out one after the other. What they write is synced beside
(syncing.py), and noted by a later batch. Whoever brings more than the disk takes waits for a while; then it
goes on without being kept.
"""

from __future__ import annotations

import sqlite3
import threading
import time

from fsd.engine import ChunkKey
from fsd.errors import StoreRefused
from fsd.store.holdings import Holdings
from fsd.store.ledger import Kept
from fsd.store.shelf import Batch, Shelf
from fsd.store.syncing import Syncing

# Bytes that wait to be written (in our memory), and to be synced (in the system's). Who brings more waits for
# a while, so that a slow disk slows translation down rather than have it done again, but a stuck one does not
# stop it. A file that is no bigger than the second is translated as fast as into a file that is not synced.
_QUEUE, _AFLOAT = 32 << 20, 1 << 30
_PATIENCE = 2.0
# A batch collects for so long, or until it has so much: a transaction for each chunk would be slow.
_LINGER = 0.05
_ENOUGH = 8 << 20
# Uses alone are noted after so long.
_USES_AFTER = 30.0
# After a failure nothing is kept for a while (seconds).
_PAUSE = 1.0


class Writer:
    """Changes the disk as `holdings` say. To be closed; used by many threads."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        # What is on its way cannot be evicted: of a small store it may be a small part only.
        self._queue = min(_QUEUE, max(1, holdings.limit // 8))
        self._afloat = min(_AFLOAT, max(1, holdings.limit // 4))
        self._busy = self._stalled = False
        self._flushing = 0
        self._paused_until = 0.0
        self._syncing = Syncing(holdings, self._failed)
        self._thread = threading.Thread(target=self._work, name="prismfs-store", daemon=True)
        self._thread.start()

    def admit(self, key: ChunkKey, kept: Kept) -> bool:
        """Reserve room for a chunk and queue it; False where it cannot be kept. For the lock's holder."""
        holdings = self._holdings
        if self._stalled or time.monotonic() < self._paused_until:
            return False
        deadline = time.monotonic() + _PATIENCE
        while not holdings.closing:  # a wait gives up the lock: whatever was known before may have changed
            if holdings.ledger.find(key) is not None:
                return True
            if self._keeps_up() and holdings.reserve(key, kept):
                self._tell_of(kept)
                return True
            if not (holdings.batch.added or holdings.batch.synced or self._busy or self._syncing.bytes):
                holdings.tell("there is no room for what is translated; it is not kept")
                return False
            if time.monotonic() >= deadline:
                self._stalled = True
                holdings.tell("the disk does not keep up; what is translated meanwhile is not kept")
                return False
            holdings.batch.urgent = True
            holdings.wake.notify_all()
            holdings.wake.wait(deadline - time.monotonic())
        return False

    def flush(self, timeout: float) -> bool:
        """Wait until all that was collected is on disk or given up; False after `timeout` seconds."""
        holdings = self._holdings
        with holdings.wake:
            holdings.batch.urgent = True
            holdings.wake.notify_all()
            self._flushing += 1
            try:
                return holdings.wake.wait_for(
                    lambda: not (holdings.batch.is_due or self._busy or self._syncing.bytes), timeout
                )
            finally:
                self._flushing -= 1

    def join(self) -> None:
        """Return when the last batch is carried out, once the holdings are closing."""
        self._thread.join()
        self._syncing.join()

    def _tell_of(self, kept: Kept) -> None:
        """Wake who waits, if this chunk has begun a batch or made it ripe: each waking costs a turn."""
        batch = self._holdings.batch
        enough = min(_ENOUGH, self._queue)
        if len(batch.added) == 1 or batch.bytes - kept.length < enough <= batch.bytes:
            self._holdings.wake.notify_all()

    def _keeps_up(self) -> bool:
        """Whether the disk has not too much before it. With the lock held, as what follows."""
        return self._holdings.batch.bytes < self._queue and self._holdings.ledger.afloat < self._afloat

    def _failed(self, error: Exception) -> None:
        """Keep nothing for a while."""
        self._holdings.tell("what is translated cannot be kept", error)
        self._paused_until = time.monotonic() + _PAUSE

    def _work(self) -> None:
        holdings = self._holdings
        while (batch := self._next_batch()) is not None:
            failure: Exception | None
            try:
                if not holdings.shelf.is_there():
                    self._begin_anew()
                    batch.gone, batch.unlinked, batch.whole = [], set(), {}
                failure = holdings.shelf.carry_out(batch)
            except (OSError, sqlite3.Error, StoreRefused) as error:
                failure = error
            with holdings.wake:
                self._settle(batch)
                if failure is not None:
                    self._failed(failure)

    def _next_batch(self) -> Batch | None:
        """The next batch, once there is one, with some time to collect it; None after the last."""
        holdings = self._holdings
        with holdings.wake:
            holdings.wake.wait_for(self._has_work, _USES_AFTER)
            holdings.wake.wait_for(self._is_ripe, _LINGER)
            batch = holdings.take_batch()
            if holdings.closing and batch.is_empty and not self._syncing.bytes:
                return None
            self._busy = True
            holdings.wake.notify_all()
            return batch

    def _has_work(self) -> bool:
        """When closing, the last batch is that which notes what was synced last."""
        return self._holdings.batch.is_due or (self._holdings.closing and not self._syncing.bytes)

    def _is_ripe(self) -> bool:
        batch = self._holdings.batch
        hurry = batch.urgent or self._flushing or self._holdings.closing
        return bool(hurry) or batch.bytes >= min(_ENOUGH, self._queue)

    def _settle(self, batch: Batch) -> None:
        """What was written is to be synced, what was noted is present; the rest is not kept."""
        holdings = self._holdings
        for key, kept in batch.added:
            if kept.gone:  # with its whole file, which was damaged
                holdings.batch.gone.append((key, kept))
            elif key in batch.written:
                holdings.wrote(kept)
                self._syncing.take([(key, kept)])
            else:
                self._refuse(key)
        for key, kept in batch.synced:
            if batch.noted and not kept.gone:
                holdings.ledger.land(key)
                holdings.figures.written += 1
            elif not kept.gone:
                self._refuse(key)
        if batch.marked:
            for file in batch.whole.values():
                file.marked = True
        self._busy = False
        self._stalled &= not self._keeps_up()
        # Not after what was only freed: some file systems have that free a while later, and all would go.
        if batch.written:
            holdings.shrink()
        holdings.wake.notify_all()

    def _refuse(self, key: ChunkKey) -> None:
        self._holdings.drop(key)
        self._holdings.figures.refused += 1

    def _begin_anew(self) -> None:
        """The directory was removed, or its index damaged: hold nothing of it, and take it again."""
        holdings = self._holdings
        with holdings.wake:
            holdings.forget_present()
            # Within the lock: whoever asks for the capacity finds it closed, not half closed.
            holdings.shelf.close()
        shelf = Shelf(holdings.directory, 0)
        holdings.tell("the store was removed or damaged; it is begun anew")
        with holdings.wake:
            holdings.begin(shelf)
