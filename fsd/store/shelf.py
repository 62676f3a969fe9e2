"""Shelf: all of a store that is on disk: its directory, index and data files. And Batch: a change to it.

A batch is carried out in the one order that a crash may cut anywhere: what is gone leaves the index, then
its space is given back; what is new is written, then synced, then noted. Used by one thread at a time, but
for `files.read` and `capacity`. Knows nothing of who wants what kept.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from fsd.engine import ChunkKey
from fsd.store.datafiles import DataFiles
from fsd.store.index import is_damage, opened
from fsd.store.ledger import Kept
from fsd.store.place import Place

log = logging.getLogger(__name__)

Chunks = list[tuple[ChunkKey, Kept]]


@dataclass(eq=False, slots=True)
class Batch:
    """What the disk is to learn: chunks `added` and `gone`, files `emptied`, pins, and uses.

    `urgent`: somebody waits for it. `written` are those of `added` that are on disk and noted, afterwards.
    """

    added: Chunks = field(default_factory=list)
    gone: Chunks = field(default_factory=list)
    emptied: set[str] = field(default_factory=set)
    pins: dict[str, bool] = field(default_factory=dict)
    uses: dict[ChunkKey, int] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    written: set[ChunkKey] = field(default_factory=set)
    urgent: bool = False

    @property
    def bytes(self) -> int:
        """Bytes to be written."""
        return sum(kept.length for _, kept in self.added)

    @property
    def is_due(self) -> bool:
        """Whether there is more in it than uses, which can wait."""
        return bool(self.added or self.gone or self.pins or self.urgent)


class Shelf:
    """A store's directory, opened and made good. Raises StoreRefused and OSError.

    `pins` and `chunks` are what it holds, chunks in the order of their use. `space` is what they take.
    """

    def __init__(self, directory: Path, patience: float) -> None:
        self.place = Place(directory, patience)
        with contextlib.ExitStack() as undo:
            undo.callback(self.place.close)
            self.punches = self.place.punches()
            self.files = DataFiles(self.place.chunks)
            self.index, self.pins, self.chunks = opened(self.place.index)
            undo.callback(self.index.close)
            self._broken = self._closed = False
            self._reconcile()
            undo.pop_all()
        self.space = sum(kept.space for _, kept in self.chunks)

    def is_there(self) -> bool:
        """Whether it can still be used: neither closed, nor removed, nor found damaged."""
        return not (self._closed or self._broken) and self.place.is_there()

    def capacity(self, floor: int) -> int:
        """Bytes that chunks may take on this disk if `floor` bytes of it are to stay free. 0 once closed."""
        if self._closed:
            return 0
        disk = self.place.disk
        return self.space + disk.f_bavail * disk.f_frsize - floor

    def carry_out(self, batch: Batch) -> Exception | None:
        """Carry out a batch as far as that can be done; returns what went wrong."""
        failures: list[Exception] = []
        keys = [key for key, _ in batch.gone]
        # A full disk may refuse this; the space is given back all the same, and a row that stays behind
        # fails its checksum.
        self._note(failures, gone=keys, pins=batch.pins, uses=batch.uses)
        self._free(batch, failures)
        self.space += sum(kept.space for _, kept in batch.added)
        written = self._written(batch.added, failures)
        if self._note(failures, added=written, seen=batch.seen):
            batch.written = {key for key, _ in written}
        return failures[0] if failures else None

    def close(self) -> None:
        """Let another process have it. Twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self.files.forget()
        with contextlib.suppress(sqlite3.Error):
            self.index.close()
        self.place.close()

    def _note(self, failures: list[Exception], **changes: object) -> bool:
        if not any(changes.values()):
            return True
        try:
            self.index.change(**changes)  # type: ignore[arg-type]
        except sqlite3.Error as error:
            self._broken |= is_damage(error)
            failures.append(error.with_traceback(None))
            return False
        return True

    def _free(self, batch: Batch, failures: list[Exception]) -> None:
        for identity, chunks in _by_file(batch.gone):
            try:
                if identity in batch.emptied:
                    self.files.remove(identity)
                elif self.punches:
                    self.files.punch(identity, [key.number for key, _ in chunks])
                else:
                    continue
            except OSError as error:
                failures.append(error.with_traceback(None))
            self.space -= sum(kept.space for _, kept in chunks)

    def _written(self, chunks: Chunks, failures: list[Exception]) -> Chunks:
        """Those of `chunks` that are on disk for certain. The first failure is the last attempt."""
        written: Chunks = []
        for key, kept in chunks:
            assert kept.data is not None
            try:
                self.files.write(key.identity, key.number, kept.data)
            except OSError as error:
                failures.append(error.with_traceback(None))
                break
            written.append((key, kept))
        synced: Chunks = []
        for identity, group in _by_file(written):
            try:
                self.files.sync(identity)
            except OSError as error:
                failures.append(error.with_traceback(None))
                continue
            synced += group
        return synced

    def _reconcile(self) -> None:
        """Make files and index agree after whatever ended the last run."""
        sizes = self.files.sizes()
        known = dict(_by_file(self.chunks))
        for orphan in sizes.keys() - known.keys():
            self.files.remove(orphan)
        lost = [key for key, _ in self.chunks if key.identity not in sizes]
        if lost:
            self.chunks = [(key, kept) for key, kept in self.chunks if key.identity in sizes]
            try:
                self.index.change(gone=lost)
            except sqlite3.Error as error:
                log.warning("%s: %s", self.place.index, error)
        if self.punches:
            for identity, size in sizes.items():
                chunks = known.get(identity, [])
                if chunks and size > sum(kept.space for _, kept in chunks):
                    self.files.keep_only(identity, [key.number for key, _ in chunks])


def _by_file(chunks: Chunks) -> Iterable[tuple[str, Chunks]]:
    ordered = sorted(chunks, key=lambda chunk: chunk[0].identity)
    return [(name, list(group)) for name, group in groupby(ordered, key=lambda chunk: chunk[0].identity)]
