"""Proofs: complete files, found right to the last byte, and lent to who reads them by himself.

Who borrows a file (the kernel, through passthrough) asks us for nothing, and may go on after this process
was killed. So a file is `whole` in the index before it is first lent; from then on it is unlinked or left
alone, in this run and in later ones. One thread proves, a chunk at a time, and gives way: it rests as long
as it worked whenever somebody used the store meanwhile. (A lower priority would do harm: such a thread is put
aside while it holds the interpreter's lock.)
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from fsd.engine import CHUNK, ChunkKey
from fsd.store.datafiles import DataFiles, version
from fsd.store.holdings import Holdings
from fsd.store.ledger import Kept, KeptFile
from fsd.store.reading import Reading


class LentFile:
    """A data file on loan. See `fsd.engine.Lent`."""

    def __init__(self, descriptor: int, give_back: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._give_back = give_back
        self._lock = threading.Lock()

    @property
    def descriptor(self) -> int:
        """Read-only, and open until `close`; -1 afterwards."""
        return self._descriptor

    def close(self) -> None:
        """Give it back. Twice is harmless."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
            self._give_back()


class Proofs:
    """Proves and lends files of `holdings`. Safe for use by many threads."""

    def __init__(self, holdings: Holdings, reading: Reading) -> None:
        self._holdings = holdings
        self._reading = reading
        self._wanted: dict[str, int] = {}
        self._thread: threading.Thread | None = None

    def prove(self, identity: str, size: int) -> None:
        """Have a file proved, if all of it is held. Returns at once."""
        holdings = self._holdings
        with holdings.wake:
            file = holdings.ledger.files.get(identity)
            if file is None or not file.held == size > 0 or file.is_lendable:
                return
            if identity in self._wanted or holdings.closing:
                return
            self._wanted[identity] = size
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="prismfs-proofs", daemon=True)
                self._thread.start()
            holdings.wake.notify_all()

    def lend(self, identity: str, size: int) -> LentFile | None:
        """A file of exactly these bytes, each found right in this run; None, and it is proved, if need be."""
        ledger, wake = self._holdings.ledger, self._holdings.wake
        with wake:
            file = ledger.files.get(identity)
            if file is None or not file.is_lendable or file.held != size:
                self.prove(identity, size)
                return None
            self._holdings.borrow(file)
            files = self._holdings.shelf.files
        descriptor = self._opened(file, files)
        if descriptor is None:
            self._give_back(file)
            return None
        return LentFile(descriptor, lambda: self._give_back(file))

    def join(self) -> None:
        """Return when the thread has ended, once the holdings are closing."""
        if self._thread is not None:
            self._thread.join()

    def _opened(self, file: KeptFile, files: DataFiles) -> int | None:
        """A descriptor of the file that was proved, and no other."""
        try:
            descriptor = files.lend(file.identity)
        except OSError as error:
            self._holdings.tell("a file cannot be lent", error)
            return None
        found = version(descriptor)
        with self._holdings.wake:
            if self._holdings.ledger.files.get(file.identity) is file and file.proof == found:
                return descriptor
            file.proof = None  # somebody else changed it: what was proved holds no longer
            for kept in file.chunks.values():
                kept.verified = False
        os.close(descriptor)
        return None

    def _give_back(self, file: KeptFile) -> None:
        with self._holdings.wake:
            self._holdings.give_back(file)

    def _work(self) -> None:
        holdings = self._holdings
        while True:
            with holdings.wake:
                holdings.wake.wait_for(lambda: self._wanted or holdings.closing)
                if holdings.closing:
                    return
                identity, size = next(iter(self._wanted.items()))
                file = holdings.ledger.files.get(identity)
            if file is not None and self._all_right(file, size):
                self._finish(file, size)
            with holdings.wake:
                del self._wanted[identity]

    def _all_right(self, file: KeptFile, size: int) -> bool:
        """Verify every chunk; False where one is missing or damaged."""
        holdings = self._holdings
        for number in range(-(-size // CHUNK)):
            with holdings.wake:
                kept = self._landed(file, number)
                files, uses = holdings.shelf.files, holdings.ledger.uses
            began = time.monotonic()
            if kept is None or kept.length != min(CHUNK, size - number * CHUNK):
                return False
            if not self._reading.verify(ChunkKey(file.identity, number), kept, files):
                return False
            with holdings.wake:
                if holdings.ledger.uses != uses:
                    holdings.wake.wait_for(lambda: holdings.closing, time.monotonic() - began)
        return True

    def _landed(self, file: KeptFile, number: int) -> Kept | None:
        """A chunk, once it is on disk; None where it is not held, or the store closes. Needs the lock."""
        holdings = self._holdings
        kept = file.chunks.get(number)
        if kept is not None:
            holdings.wake.wait_for(lambda: kept.present or kept.gone or holdings.closing)
        return None if kept is None or kept.gone or holdings.closing else kept

    def _finish(self, file: KeptFile, size: int) -> None:
        """Mark a file whose chunks were all found right, if it is of the right size and nothing changed."""
        holdings = self._holdings
        with holdings.wake:
            files, whole = holdings.shelf.files, file.whole
        try:
            found = files.fit(file.identity, size, cut=not whole)
        except OSError as error:
            holdings.tell("a file cannot be proved", error)
            return
        with holdings.wake:
            same = holdings.ledger.files.get(file.identity) is file and file.held == size
            if not same or not all(kept.verified for kept in file.chunks.values()):
                return
            if found is None:
                holdings.damaged(ChunkKey(file.identity, next(iter(file.chunks))))
                return
            file.proof = found
            if not file.marked:
                holdings.mark(file)
