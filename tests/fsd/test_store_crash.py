"""The store after what it did not ask for: SIGKILL, power loss, a full disk, a directory that is gone.

No wrong byte, no error to a reader, and the store goes on.
"""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import fsd.store.holdings as holdings_module
import fsd.store.writer as writer_module
from fsd.engine import CHUNK, ChunkKey
from fsd.store import DiskStore, listed
from fsd.store.datafiles import DataFiles
from fsd.store.ledger import Chunks, Kept
from fsd.store.place import Place
from fsd.store.shelf import Batch, Shelf
from fsd.store.syncing import Syncing
from tests.fsd.mounting import ROOT
from tests.fsd.test_store import content, name
from tests.fsd.test_store import got as given

KEYS = [ChunkKey(name(0), number) for number in range(8)]
# A process that has imported everything, and forks a store's writer for each line that it reads.
WRITERS = """
import os, random, sys, threading
from pathlib import Path
from fsd.engine import CHUNK, ChunkKey
from fsd.store import DiskStore, listed
from tests.fsd.test_store import content, name

def write(seed):
    store = DiskStore(Path(sys.argv[1]), 12 * CHUNK, 0)
    chunks = {ChunkKey(name(n // 10), n % 10): None for n in range(30)}
    right = {key: content(key, CHUNK - key.number) for key in chunks}

    def work(seed):
        chance = random.Random(seed)
        while True:
            key = chance.choice(list(right))
            data = bytearray(len(right[key]))
            if not store.read(key, 0, memoryview(data)):
                store.put(key, right[key])
            elif data != right[key]:
                print("wrong", flush=True)

    for number in range(4):
        threading.Thread(target=work, args=(f"{seed}/{number}",)).start()
    print(os.getpid(), flush=True)

for line in sys.stdin:
    child = os.fork()
    if not child:
        write(line)
        threading.Event().wait()
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk is waited for, unless a test says otherwise."""
    monkeypatch.setattr(writer_module, "_PATIENCE", 60.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that tries again at once after a failure, and tells each."""
    monkeypatch.setattr(writer_module, "_PAUSE", 0.0)
    monkeypatch.setattr(holdings_module, "_TELL_AGAIN", 0.0)


def fill(store: DiskStore, keys: list[ChunkKey] = KEYS) -> None:
    for key in keys:
        store.put(key, content(key))
    assert store.flush()


def got(store: DiskStore, keys: list[ChunkKey] = KEYS) -> list[int]:
    """The numbers of the chunks that the store gives; each must be right."""
    found = [given(store, key) for key in keys]
    assert all(data == content(key) for key, data in zip(keys, found, strict=True) if data is not None)
    return [key.number for key, data in zip(keys, found, strict=True) if data is not None]


def test_twenty_kills_leave_no_wrong_byte(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    chance = random.Random(1)
    kept = []
    with subprocess.Popen(
        [sys.executable, "-c", WRITERS, str(directory)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True, bufsize=1,
    ) as writers:  # fmt: skip
        assert writers.stdin is not None and writers.stdout is not None
        for number in range(20):
            writers.stdin.write(f"{number}\n")
            pid = int(writers.stdout.readline())
            time.sleep(0.02 + chance.random() * 0.4)
            os.kill(pid, signal.SIGKILL)
            assert writers.stdout.readline() == "gone\n"
            kept.append(_looked_into(directory))
    assert min(kept[1:]) >= 4, f"the kills must find something cached: {kept}"


def _looked_into(directory: Path) -> int:
    """How many chunks are present; each is right, and nothing else takes space."""
    shelf = Shelf(directory, 0)
    present = shelf.content.chunks
    shelf.close()
    store = DiskStore(directory, 12 * CHUNK, 0)
    try:
        assert store.verify() == [], "what is present is right, not just found to be wrong"
        for key, held in present:
            assert held.length == CHUNK - key.number
            assert given(store, key) == content(key, held.length)
        on_disk = sum(file.stat().st_blocks * 512 for file in (directory / "chunks").iterdir())
        assert on_disk <= 12 * CHUNK + 3 * 16384
    finally:
        store.close()
    return len(present)


@pytest.mark.parametrize("seed", range(8))
def test_power_loss_leaves_index_and_data_of_different_moments(tmp_path: Path, seed: int) -> None:
    """Each part of the disk may be of any earlier moment: none of it was synced but what a batch syncs."""
    chance = random.Random(seed)
    directory = tmp_path / "store"
    store = DiskStore(directory, 6 * CHUNK, 0)
    keys = [ChunkKey(name(number), chunk) for number in range(2) for chunk in range(6)]
    moments = []
    for moment in range(6):
        for key in chance.sample(keys, 3):
            if given(store, key) is None:
                store.put(key, content(key))
        assert store.flush()
        moments.append(tmp_path / f"moment-{moment}")
        shutil.copytree(directory, moments[-1])
    store.close()
    after = tmp_path / "after"
    shutil.copytree(chance.choice(moments), after)
    for part in ("index.sqlite", "index.sqlite-wal"):
        of = moments[chance.randrange(6) if part == "index.sqlite" else 5]
        (after / part).unlink(missing_ok=True)
        if (of / part).exists():
            data = (of / part).read_bytes()
            (after / part).write_bytes(
                data[: chance.randrange(len(data) + 1)] if part.endswith("wal") else data
            )
    (after / "index.sqlite-shm").unlink(missing_ok=True)
    for file in (after / "chunks").iterdir():
        with file.open("r+b") as data_file:
            data_file.seek(chance.randrange(6) * CHUNK)
            data_file.write(bytes(chance.randrange(CHUNK)))
    store = DiskStore(after, 6 * CHUNK, 0)
    try:
        got(
            store, keys[::-1]
        )  # the first ones last: of six there is room for, these five are not the coldest
        fill(store, keys[:5])
        assert got(store, keys[:5]) == [0, 1, 2, 3, 4]
    finally:
        store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB with 32 inodes."""
    place = tmp_path / "disk"
    place.mkdir()
    options = "size=8m,nr_inodes=32,mode=0700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"FULL DISKS NOT TESTED: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_told_once_and_readers_go_on(
    small_disk: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_PAUSE", 0.0)
    store = DiskStore(small_disk / "store", 1 << 30, -(1 << 40))  # a floor that lets the disk run full
    keys = [ChunkKey(name(0), number) for number in range(20)]
    with caplog.at_level(logging.WARNING):
        for key in keys:
            store.put(key, content(key))
            assert store.flush()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and "No space left on device" in told[0]
    kept = got(store, keys)
    assert kept == list(range(len(kept))) and len(kept) >= 6
    assert store.figures()["disk_refused"] >= 13
    store.clear()
    assert store.flush()
    fill(store, keys[:4])
    assert got(store, keys[:4]) == [0, 1, 2, 3]
    store.close()


def test_room_that_others_take_is_given_up(small_disk: Path) -> None:
    store = DiskStore(small_disk / "store", 1 << 30, 1 << 20)
    fill(store, KEYS)
    kept = got(store)
    assert len(kept) >= 5
    assert os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize >= 1 << 20
    (small_disk / "other").write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096 - (512 << 10)))
    key = ChunkKey(name(1), 0)
    fill(store, [key])
    assert len(got(store)) < len(kept)
    assert os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize >= 1 << 20
    store.close()


def test_what_is_being_written_is_not_taken_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are ours already, but the disk has them free until they are written."""
    shelf = Shelf(tmp_path / "store", 0)
    real_write, real_sync = DataFiles.write, DataFiles.sync
    room = []
    free = [100 * CHUNK]
    disk = os.statvfs(tmp_path)

    def measured(place: Place) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 0, 0, free[0] // 4096, *disk[5:10]))

    monkeypatch.setattr(Place, "disk", property(measured))

    def write(self: DataFiles, identity: str, number: int, data: memoryview) -> None:
        room.append(shelf.capacity(0))
        real_write(self, identity, number, data)
        free[0] -= CHUNK
        room.append(shelf.capacity(0))

    def sync(self: DataFiles, identity: str) -> None:
        real_sync(self, identity)
        room.append(shelf.capacity(0))

    monkeypatch.setattr(DataFiles, "write", write)
    monkeypatch.setattr(DataFiles, "sync", sync)
    assert shelf.capacity(0) == 100 * CHUNK
    for keys in (KEYS[:3], KEYS[3:6]):
        batch = Batch(added=[(key, Kept(CHUNK, 0, data=content(key))) for key in keys])
        assert shelf.carry_out(batch) is None and shelf.capacity(0) == 100 * CHUNK
        shelf.files.sync(name(0))
        assert shelf.carry_out(Batch(synced=batch.added)) is None and shelf.capacity(0) == 100 * CHUNK
    assert room == [100 * CHUNK] * 14
    shelf.close()


def test_without_inodes_readers_go_on(small_disk: Path, impatient: None) -> None:
    store = DiskStore(small_disk / "store", 1 << 30, 0)
    fill(store, KEYS[:1])
    for number in range(40):
        try:
            (small_disk / f"file-{number}").touch()
        except OSError as error:
            assert error.errno == errno.ENOSPC
            break
    other = ChunkKey(name(1), 0)
    fill(store, [other])
    assert given(store, other) is None
    fill(store, KEYS[:3])
    assert got(store, KEYS[:3]) == [0, 1, 2], "files that are there still take chunks"
    (small_disk / "file-0").unlink()
    fill(store, [other])
    assert given(store, other) == content(other)
    store.close()


@pytest.mark.parametrize("call", ["write", "sync"])
def test_a_disk_that_fails_keeps_nothing_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, impatient: None, call: str
) -> None:
    store = DiskStore(tmp_path / "store", 64 << 20, 0)
    fill(store, KEYS[:2])

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(DataFiles, call, fail)
        fill(store, KEYS)
        assert got(store) == [0, 1]
    fill(store, KEYS)
    assert got(store) == list(range(8))
    with monkeypatch.context() as broken:
        broken.setattr(DataFiles, "read", fail)
        assert got(store) == []
    fill(store, KEYS)
    assert got(store) == list(range(8))
    store.close()


@dataclass
class Syncs:
    """Syncs wait until they are `allowed`, and then fail if there is a `failure`."""

    allowed: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    failure: OSError | None = None


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Syncs]:
    syncs, real = Syncs(), DataFiles.sync

    def wait(self: DataFiles, identity: str) -> None:
        syncs.begun.set()
        assert syncs.allowed.wait(60)
        if syncs.failure is not None:
            raise syncs.failure
        real(self, identity)

    monkeypatch.setattr(DataFiles, "sync", wait)
    yield syncs
    syncs.allowed.set()


def test_who_translates_does_not_wait_for_a_sync(tmp_path: Path, syncs: Syncs) -> None:
    """More than may be pending is written, and out of our memory, before any of it is on disk."""
    store = DiskStore(tmp_path / "store", 1 << 30, 0)
    keys = [ChunkKey(name(number % 2), number) for number in range(48)]
    for key in keys:
        assert store.put(key, content(key))
    ledger = store._holdings.ledger
    with store._wake:
        assert store._wake.wait_for(lambda: all(kept.written for _, kept in ledger.chunks()), 60)
        assert not any(kept.present for _, kept in ledger.chunks())
        held = sum(kept.data is not None for _, kept in ledger.chunks())
        assert held * CHUNK == holdings_module._RECENT, "of what was written, some stays in memory"
    assert not store.flush(0.01) and listed(tmp_path / "store" / "index.sqlite") == []
    assert got(store, keys) == list(range(48)), "each was found right"
    with store._wake:
        assert store._holdings.evict(keys[0].identity) == 0, "what is on its way stays"
    syncs.allowed.set()
    store.close()
    store = DiskStore(tmp_path / "store", 1 << 30, 0)
    assert got(store, keys) == list(range(48))
    store.close()


def test_a_failed_sync_takes_what_was_written_meanwhile(
    tmp_path: Path, syncs: Syncs, impatient: None
) -> None:
    """The system tells of a failure once, of whatever it was that could not be written."""
    store = DiskStore(tmp_path / "store", 64 << 20, 0)
    other = ChunkKey(name(1), 0)
    store.put(KEYS[0], content(KEYS[0]))
    assert syncs.begun.wait(60)
    for key in (KEYS[1], other):
        store.put(key, content(key))
    with store._wake:
        ledger = store._holdings.ledger
        assert store._wake.wait_for(lambda: all(kept.written for _, kept in ledger.chunks()), 60)
    syncs.failure = OSError(errno.EIO, "Input/output error")
    real_settle, settled = Syncing._settle, threading.Event()

    def settle(self: Syncing, group: Chunks, failures: dict[str, OSError]) -> None:
        real_settle(self, group, failures)
        syncs.failure = None
        settled.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Syncing, "_settle", settle)
        syncs.allowed.set()
        assert settled.wait(60) and store.flush()
    assert got(store) == [] and got(store, [other]) == [0]
    store.close()


def test_a_stuck_disk_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_PATIENCE", 0.2)
    store = DiskStore(tmp_path / "store", 12 * CHUNK, 0)
    stuck = threading.Event()
    real = DataFiles.sync

    def wait(self: DataFiles, identity: str) -> None:
        assert stuck.wait(30)
        real(self, identity)

    monkeypatch.setattr(DataFiles, "sync", wait)
    keys = [ChunkKey(name(0), number) for number in range(40)]
    began = time.monotonic()
    for key in keys:
        store.put(key, content(key))
    assert time.monotonic() - began < 2
    assert 0 in got(store, keys[:1]), "what is on its way can be read"
    stuck.set()
    assert store.flush()
    monkeypatch.setattr(writer_module, "_PATIENCE", 60.0)
    fill(store, keys[30:33])
    assert got(store, keys[30:33]) == [30, 31, 32]
    store.close()


@pytest.mark.parametrize("part", ["", "chunks", "index.sqlite", "lock"])
def test_a_store_that_is_removed_is_begun_anew(tmp_path: Path, impatient: None, part: str) -> None:
    directory = tmp_path / "store"
    store = DiskStore(directory, 64 << 20, 0)
    store.pin(name(0))
    fill(store, KEYS[:4])
    gone = directory / part
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    got(store, KEYS)
    fill(store, KEYS)
    fill(store, KEYS)
    assert got(store) == list(range(8))
    store.close()
    store = DiskStore(directory, 64 << 20, 0)
    assert got(store)[-4:] == [4, 5, 6, 7]
    assert store.figures()["disk_files_pinned"] == 1
    store.close()


def test_a_store_that_cannot_come_back_is_done_without(tmp_path: Path, impatient: None) -> None:
    directory = tmp_path / "store"
    store = DiskStore(directory, 64 << 20, 0)
    fill(store, KEYS[:4])
    shutil.rmtree(directory)
    directory.write_text("a file is in the way")
    for _ in range(3):
        fill(store, KEYS)
        got(store)
    assert store.held(name(0)) == 0
    directory.unlink()
    assert store.flush(), "each batch tries again, and there is one every half minute"
    fill(store, KEYS)
    assert got(store) == list(range(8))
    store.close()


def test_an_index_that_breaks_under_way_is_begun_anew(tmp_path: Path, impatient: None) -> None:
    directory = tmp_path / "store"
    store = DiskStore(directory, 64 << 20, 0)
    fill(store, KEYS[:4])
    other = sqlite3.connect(directory / "index.sqlite")
    other.execute("DROP TABLE chunk")
    other.close()
    for _ in range(2):
        fill(store, KEYS)
    assert got(store) == list(range(8))
    store.close()
    store = DiskStore(directory, 64 << 20, 0)
    assert got(store) == list(range(8))
    store.close()
