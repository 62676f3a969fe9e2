"""The store: finished chunks on disk, and in memory the few that the disk did not take.

    disk = DiskStore(directory, limit, floor)
    engine = Engine(Tiered(MemoryStore(128 << 20), disk), workers)

A chunk is present only after its bytes are on disk and its checksum is noted (many at a time: one sync a
file, beside the writing, and one transaction); it is served only after its bytes were found right in this
run. What is damaged, lost or half written counts as absent, and is translated again. The limit is kept before
a byte is written; what was not used for long goes first, what is pinned never. A disk that is full, slow or
gone means that less is kept: no reader gets an error from here. One process a directory.

    tiered.py     Tiered: disk, else memory
    disk.py       DiskStore: what others see of the disk's store
    reading.py    - many readers, who verify what they read first
    writer.py     - one writer, a batch at a time
    syncing.py    - what was written is brought to the disk
    proofs.py     - complete files, proved and lent
    holdings.py   what is held, the next batch, and the lock over both
    ledger.py     what is held and what goes first, in memory
    shelf.py      the disk's side, one change at a time:
    place.py      - the directory, its lock and format
    index.py      - what is present, in SQLite
    datafiles.py  - the bytes, a sparse file for each layout

Concurrency, in short (docs/STORE.md is the whole of it): one condition in Holdings covers the ledger and
the next batch, and is never held while a chunk is read or written; one thread alone changes the disk; a
reader looks again, after its pread, whether the chunk is still held, since space is given back only after
the ledger has let go. Lock order: the engine's, then the store's, then that of the open data files.
Knows nothing of names, of layouts, or of who translates.
"""

from fsd.store.disk import DiskStore, HeldFile
from fsd.store.index import ListedFile, listed
from fsd.store.place import is_current
from fsd.store.tiered import Tiered

__all__ = ["DiskStore", "HeldFile", "ListedFile", "Tiered", "is_current", "listed"]
