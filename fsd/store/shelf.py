"""Shelf: all of a store that is on disk: its directory, index and data files. And Batch: a change to it.

A batch is carried out in the one order that a crash may cut anywhere: what is gone leaves the index, then
its space is given back; what is new is written; what was written before and is synced by now is noted. A file
that is whole may be open elsewhere, also from an earlier run: it is unlinked, never cut, punched or written
to. Used by one thread at a time, but for `files` and `capacity`. Knows nothing of who wants what kept.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from fsd.engine import ChunkKey
from fsd.store.datafiles import DataFiles
from fsd.store.index import is_damage, opened
from fsd.store.ledger import Chunks, Kept, KeptFile
from fsd.store.place import Place

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Batch:
    """What the disk is to learn: chunks `added` and `gone`, files `emptied`, pins, labels, digests, and uses.

    `added` are `bytes` in all. `synced` are chunks that were written by an earlier batch, and are on disk for
    certain. Of the files that lose chunks, `unlinked` were whole; those in `whole` have become so. `urgent`:
    somebody waits for it. Afterwards, `written` are those of `added` that were written, `noted` tells whether
    `synced` is in the index, `marked` whether `whole` is.
    """

    added: Chunks = field(default_factory=list)
    synced: Chunks = field(default_factory=list)
    gone: Chunks = field(default_factory=list)
    emptied: set[str] = field(default_factory=set)
    unlinked: set[str] = field(default_factory=set)
    whole: dict[str, KeptFile] = field(default_factory=dict)
    pins: dict[str, bool] = field(default_factory=dict)
    uses: dict[ChunkKey, int] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    written: set[ChunkKey] = field(default_factory=set)
    noted: bool = False
    marked: bool = False
    urgent: bool = False
    bytes: int = 0

    def add(self, key: ChunkKey, kept: Kept) -> None:
        """One more chunk to be written."""
        self.added.append((key, kept))
        self.bytes += kept.length

    @property
    def is_due(self) -> bool:
        """Whether there is more in it than uses and labels, which can wait."""
        changes = self.added or self.synced or self.gone or self.whole or self.pins or self.digests
        return bool(changes or self.urgent)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be noted."""
        noted = self.pins or self.uses or self.labels or self.digests
        return not (self.added or self.synced or self.gone or self.whole or noted)


class Shelf:
    """A store's directory, opened and made good. Raises StoreRefused and OSError.

    `content` is what it holds at first; whoever takes that over empties it.
    """

    def __init__(self, directory: Path, patience: float) -> None:
        self.place = Place(directory, patience)
        with contextlib.ExitStack() as undo:
            undo.callback(self.place.close)
            self.punches = self.place.punches()
            self.files = DataFiles(self.place.chunks)
            self.index, self.content = opened(self.place.index)
            undo.callback(self.index.close)
            self._broken = self._closed = False
            self._reconcile()
            self._space = sum(kept.space for _, kept in self.content.chunks)
            # Odd while the disk is being changed: what it takes and what is free do not belong together then.
            self._changes = self._room = 0
            self._measure()
            undo.pop_all()

    def is_there(self) -> bool:
        """Whether it can still be used: neither closed, nor removed, nor found damaged."""
        return not (self._closed or self._broken) and self.place.is_there()

    def capacity(self, floor: int) -> int:
        """Bytes that chunks may take on this disk if `floor` bytes of it are to stay free. 0 once closed.

        While a batch is carried out, as of before it.
        """
        if self._closed:
            return 0
        self._measure()
        return self._room - floor

    def carry_out(self, batch: Batch) -> Exception | None:
        """Carry out a batch as far as that can be done; returns what went wrong."""
        failures: list[Exception] = []
        self._changes += 1
        try:
            keys = [key for key, _ in batch.gone]
            whole = {name: file.proof.size for name, file in batch.whole.items() if file.proof}
            # A full disk may refuse this; the space is given back all the same, and a row that stays behind
            # fails its checksum.
            batch.marked = self._note(
                failures, gone=keys, unlinked=batch.unlinked, whole=whole, pins=batch.pins, uses=batch.uses
            )
            self._free(batch, failures)
            self._space += sum(kept.space for _, kept in batch.added)
            batch.written = set() if self._broken else self._written(batch.added, failures)
            # What was found damaged meanwhile is noted as gone by the next batch, if it is not by this one.
            synced = [] if self._broken else [(key, kept) for key, kept in batch.synced if not kept.gone]
            told = {"seen": batch.seen, "labels": batch.labels, "digests": batch.digests}
            batch.noted = self._note(failures, added=synced, **told) and not self._broken
        finally:
            self._changes += 1
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

    def _measure(self) -> None:
        before, disk = self._changes, self.place.disk
        room = self._space + disk.f_bavail * disk.f_frsize
        if before == self._changes and not before % 2:
            self._room = room

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
                if identity in batch.unlinked:
                    self.files.unlink(identity)
                elif identity in batch.emptied:
                    self.files.discard(identity)
                elif self.punches:
                    self.files.punch(identity, [key.number for key, _ in chunks])
                else:
                    continue
            except OSError as error:
                # A whole file that cannot be unlinked must not be written to.
                self._broken |= identity in batch.unlinked
                failures.append(error.with_traceback(None))
            self._space -= sum(kept.space for _, kept in chunks)

    def _written(self, chunks: Chunks, failures: list[Exception]) -> set[ChunkKey]:
        """Those of `chunks` that were written. The first failure is the last attempt."""
        written: set[ChunkKey] = set()
        for run in _runs(chunks):
            first = run[0][0]
            try:
                self.files.allocate(first.identity, first.number, sum(kept.length for _, kept in run))
                for key, kept in run:
                    assert kept.data is not None
                    self.files.write(key.identity, key.number, kept.data)
                    written.add(key)
            except OSError as error:
                failures.append(error.with_traceback(None))
                with contextlib.suppress(OSError):
                    self.files.punch(first.identity, [key.number for key, _ in run if key not in written])
                break
        return written

    def _reconcile(self) -> None:
        """Make files and index agree after whatever ended the last run."""
        sizes, known = self.files.sizes(), dict(_by_file(self.content.chunks))
        whole = self.content.whole
        held = {name: sum(kept.length for _, kept in chunks) for name, chunks in known.items()}
        broken = {name for name, size in whole.items() if held.get(name) != size}
        for orphan in sizes.keys() - known.keys() | broken:
            self.files.unlink(orphan)
        lost = (known.keys() - sizes.keys()) | broken
        if lost:
            self._forget(lost)
        if self.punches:
            for identity, size in sizes.items():
                chunks = known.get(identity, [])
                if chunks and identity not in whole and size > sum(kept.space for _, kept in chunks):
                    self.files.keep_only(identity, [key.number for key, _ in chunks])

    def _forget(self, lost: set[str]) -> None:
        keys = [key for key, _ in self.content.chunks if key.identity in lost]
        chunks = [(key, kept) for key, kept in self.content.chunks if key.identity not in lost]
        whole = {name: size for name, size in self.content.whole.items() if name not in lost}
        self.content = replace(self.content, whole=whole, chunks=chunks)
        try:
            self.index.change(gone=keys, unlinked=lost)
        except sqlite3.Error as error:
            log.warning("%s: %s", self.place.index, error)


def _runs(chunks: Chunks) -> Iterator[Chunks]:
    """Chunks that follow one another in a file, as they came in whatever order: their space is had at once.

    Where each has its own, a file that is translated on several processors lies in pieces of a mebibyte, and
    comes from the disk slower than a plain one.
    """
    run: Chunks = []
    for key, kept in sorted(chunks, key=lambda chunk: (chunk[0].identity, chunk[0].number)):
        if run and (run[-1][0].identity, run[-1][0].number + 1) != (key.identity, key.number):
            yield run
            run = []
        run.append((key, kept))
    if run:
        yield run


def _by_file(chunks: Chunks) -> Iterable[tuple[str, Chunks]]:
    ordered = sorted(chunks, key=lambda chunk: chunk[0].identity)
    return [(name, list(group)) for name, group in groupby(ordered, key=lambda chunk: chunk[0].identity)]
