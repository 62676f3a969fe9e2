"""Loss of power, replayed: a run's writes are recorded, and any prefix of them is what a disk may hold.

Of what was not synced by then, any part may be missing: pages of data, holes, files that were removed or
made, the end of the index's log or a page in its middle. What such a store gives must be right.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fsd.engine import CHUNK, ChunkKey
from fsd.store import DiskStore
from fsd.store.datafiles import DataFiles
from fsd.store.index import Index
from tests.fsd.test_store import content, fill, got, name

PAGE = 4096
FILES, CHUNKS = 3, 5
SIZE = (CHUNKS - 1) * CHUNK + 777
LIMIT = 10 * CHUNK
KEYS = [ChunkKey(name(file), number) for file in range(FILES) for number in range(CHUNKS)]


@dataclass(frozen=True)
class Event:
    """Something done to the disk: to the data file `identity`, or to the index, whose content it has then."""

    what: str
    identity: str = ""
    numbers: tuple[int, ...] = ()
    data: bytes = b""
    index: bytes = b""
    log: bytes = b""


@dataclass
class Recorded:
    """A run's events, in their order."""

    events: list[Event] = field(default_factory=list)

    def watch(self, patch: pytest.MonkeyPatch, directory: Path) -> None:
        """Note each change of the disk, after it was made."""

        def note(owner: type, method: str, event: object) -> None:
            real = getattr(owner, method)

            def recording(*arguments: object, **named: object) -> object:
                given = real(*arguments, **named)
                self.events.append(event(*arguments[1:]))  # type: ignore[operator]
                return given

            patch.setattr(owner, method, recording)

        note(DataFiles, "write", lambda of, number, data: Event("write", of, (number,), bytes(data)))
        note(DataFiles, "punch", lambda of, numbers: Event("punch", of, tuple(numbers)))
        note(DataFiles, "sync", lambda of: Event("sync", of))
        note(DataFiles, "unlink", lambda of: Event("unlink", of))  # `discard` ends with it
        index = directory / "index.sqlite"
        wal = directory / "index.sqlite-wal"
        note(Index, "change", lambda: Event("index", index=index.read_bytes(), log=wal.read_bytes()))


def expected(key: ChunkKey) -> memoryview:
    return content(key, min(CHUNK, SIZE - key.number * CHUNK))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """A run that writes, evicts, lends, evicts what was lent, and begins such files again."""
    directory = tmp_path_factory.mktemp("power") / "store"
    chance, recorded = random.Random(3), Recorded()
    with pytest.MonkeyPatch.context() as patch, closing(DiskStore(directory, LIMIT, 0)) as store:
        recorded.watch(patch, directory)
        # Pages of log: few, so that it is folded into the index now and then.
        store._holdings.shelf.index._connection.execute("PRAGMA wal_autocheckpoint = 40")
        store.name(name(0), "tiny/model.gguf-f16")
        for step in range(24):
            for key in chance.sample(KEYS, 3):
                store.put(key, expected(key))
            assert store.flush()
            if step % 5 == 4:
                _lent_once(store, name(step % FILES))
    kinds = {event.what for event in recorded.events}
    assert kinds == {"write", "punch", "sync", "unlink", "index"}, kinds
    assert len({event.index for event in recorded.events}) > 3, "the log was folded into the index"
    yield recorded


def _lent_once(store: DiskStore, identity: str) -> None:
    """Complete a file, and have it lent; to complete it may evict a part of it first."""
    deadline = time.monotonic() + 60
    while (loan := store.lend(identity, SIZE)) is None:
        for number in range(CHUNKS):
            key = ChunkKey(identity, number)
            if got(store, key) is None:
                store.put(key, expected(key))
        assert store.flush() and time.monotonic() < deadline
    with closing(loan):
        whole = b"".join(bytes(expected(ChunkKey(identity, number))) for number in range(CHUNKS))
        assert os.pread(loan.descriptor, SIZE + 1, 0) == whole


@dataclass
class Disk:
    """What a disk holds after a loss of power."""

    files: dict[str, bytearray] = field(default_factory=dict)
    index: bytes = b""
    log: bytes = b""

    def apply(self, event: Event, pages: list[int] | None = None) -> None:
        """An event that reached the disk; of a write only these pages, if told."""
        if event.what == "unlink":
            self.files.pop(event.identity, None)
        elif event.what == "write":
            self._write(event, range(-(-len(event.data) // PAGE)) if pages is None else pages)
        elif event.what == "punch":
            for number in event.numbers:
                self._zero(event.identity, number)

    def _write(self, event: Event, pages: range | list[int]) -> None:
        file = self.files.setdefault(event.identity, bytearray())
        start = event.numbers[0] * CHUNK
        file.extend(bytes(max(0, start + len(event.data) - len(file))))
        for page in pages:
            data = event.data[page * PAGE : (page + 1) * PAGE]
            file[start + page * PAGE : start + page * PAGE + len(data)] = data

    def _zero(self, identity: str, number: int) -> None:
        file = self.files.get(identity)
        if file is not None:
            end = min(len(file), (number + 1) * CHUNK)
            file[number * CHUNK : end] = bytes(max(0, end - number * CHUNK))

    def make(self, directory: Path) -> None:
        """Lay it out as a store's directory."""
        DiskStore(directory, LIMIT, 0).close()
        for part, data in (("index.sqlite", self.index), ("index.sqlite-wal", self.log)):
            (directory / part).unlink(missing_ok=True)
            if data:
                (directory / part).write_bytes(data)
        for identity, data in self.files.items():
            (directory / "chunks" / identity).write_bytes(data)


def after(events: list[Event], chance: random.Random, *, losing: bool) -> Disk:
    """The disk after these events; `losing`, any part of what was not synced is lost."""
    disk = Disk()
    synced = {event.identity: at for at, event in enumerate(events) if event.what == "sync"}
    for at, event in enumerate(events):
        if not losing or at <= synced.get(event.identity, -1):
            disk.apply(event)
        elif event.what == "write":
            pages = range(-(-len(event.data) // PAGE))
            disk.apply(event, chance.sample(pages, chance.randrange(len(pages) + 1)))
        elif chance.random() < 0.5:
            disk.apply(event)
    states = [event for event in events if event.what == "index"]
    if not states:
        return disk
    disk.index, disk.log = states[-1].index, states[-1].log
    if losing:
        disk.log = _log_after(states, chance)
    return disk


def _log_after(states: list[Event], chance: random.Random) -> bytes:
    """An index's log of which some of what was not synced is missing.

    SQLite syncs its log before it folds it into the index, and at no other time.
    """
    since = [state for state in states if state.index == states[-1].index]
    log = bytearray(chance.choice(since[-5:]).log)
    synced = len(since[0].log) if log[:32] == since[0].log[:32] else 0
    if chance.random() < 0.5:
        del log[max(synced, len(log) - chance.randrange(16 * PAGE)) :]
    if len(log) > synced + PAGE and chance.random() < 0.5:
        hole = chance.randrange(synced, len(log) - PAGE)
        log[hole : hole + PAGE] = bytes(PAGE)
    return bytes(log)


def inspect(directory: Path) -> int:
    """How many chunks a store there gives; each must be right, and it must take and lend files as ever."""
    with closing(DiskStore(directory, LIMIT, 0)) as store:
        given = 0
        for key in KEYS:
            data = got(store, key)
            assert data is None or data == expected(key), key
            given += data is not None
        _lent_once(store, name(0))
        fill(store, [ChunkKey(name(9), number) for number in range(3)])
        assert store.verify() == []
    return given


@pytest.mark.parametrize("losing", [False, True], ids=["in-order", "losing"])
def test_any_prefix_of_the_writes_is_right(recorded: Recorded, tmp_path: Path, losing: bool) -> None:
    chance = random.Random(f"power {losing}")
    ends = sorted(chance.sample(range(len(recorded.events) + 1), 10))
    given = []
    for number, end in enumerate([*ends, len(recorded.events)]):
        directory = tmp_path / f"store-{number}"
        after(recorded.events[:end], chance, losing=losing).make(directory)
        given.append(inspect(directory))
    assert sum(given) > 2 * len(given), f"the prefixes must have something to give: {given}"
    if not losing:
        assert given[-1] >= 8, "what was synced and noted is there"
