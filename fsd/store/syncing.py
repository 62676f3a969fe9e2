"""Syncing: what was written reaches the disk, and who translates does not wait for it.

Written chunks are the system's to keep in memory, and to bring to the disk; a thread of their own has that
done, file by file, for all that was written until then. A crash before that loses them, no more: they are
noted afterwards. Knows no index.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from fsd.store.holdings import Holdings
from fsd.store.ledger import Chunks


class Syncing:
    """Has `take`n chunks synced, and gives them to the next batch to be noted. Its owner holds the lock.

    `bytes` counts what was taken and is not yet synced. `failed` is called, with the lock held, where a file
    cannot be synced; nothing of it that was not noted is held any more then.
    """

    def __init__(self, holdings: Holdings, failed: Callable[[OSError], None]) -> None:
        self.bytes = 0
        self._holdings = holdings
        self._failed = failed
        self._written: Chunks = []
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="prismfs-sync", daemon=True)
        self._thread.start()

    def take(self, chunks: Chunks) -> None:
        """Have these chunks, which were written, synced."""
        self._written += chunks
        self.bytes += sum(kept.length for _, kept in chunks)

    def join(self) -> None:
        """End the thread; without the lock, and when nothing more will come."""
        with self._holdings.wake:
            self._ended = True
            self._holdings.wake.notify_all()
        self._thread.join()

    def _work(self) -> None:
        wake = self._holdings.wake
        while True:
            with wake:
                wake.wait_for(lambda: self._written or self._ended)
                group, self._written = self._written, []
                files = self._holdings.shelf.files
            if not group:
                return
            failures: dict[str, OSError] = {}
            for identity in {key.identity for key, _ in group}:
                try:
                    files.sync(identity)
                except OSError as error:
                    failures[identity] = error.with_traceback(None)
            with wake:
                self._settle(group, failures)

    def _settle(self, group: Chunks, failures: dict[str, OSError]) -> None:
        holdings = self._holdings
        if failures:  # the system tells of a failure once: what was written meanwhile may have failed as well
            group = group + [chunk for chunk in self._written if chunk[0].identity in failures]
            self._written = [chunk for chunk in self._written if chunk[0].identity not in failures]
        for key, kept in group:
            self.bytes -= kept.length
            if kept.gone:  # found damaged meanwhile, or with all of a store that was removed
                continue
            if key.identity in failures:
                holdings.drop(key)
                holdings.figures.refused += 1
                self._failed(failures[key.identity])
            else:
                holdings.synced(key, kept)
        holdings.wake.notify_all()
