"""The store on disk: what it keeps, in which order it forgets, what it says, who may have it."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b, sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import fsd.store.writer as writer_module
from fsd.engine import CHUNK, ChunkKey, MemoryStore
from fsd.errors import StoreRefused
from fsd.store import DiskStore, Tiered, listed
from fsd.store.datafiles import DataFiles
from fsd.store.ledger import BLOCK, Kept, Ledger

Opened = Callable[..., DiskStore]


def name(number: int) -> str:
    """The identity of a made-up layout."""
    return sha256(str(number).encode()).hexdigest()


def content(key: ChunkKey, length: int = CHUNK) -> memoryview:
    """What a chunk of a made-up layout holds: the same each time."""
    seed = blake2b(f"{key.identity}/{key.number}".encode(), digest_size=8).digest()
    return memoryview(random.Random(seed).randbytes(4096) * (CHUNK // 4096))[:length]


def on_disk(directory: Path) -> int:
    """Bytes that the data files take."""
    return sum(file.stat().st_blocks * 512 for file in (directory / "chunks").iterdir())


def fill(store: DiskStore, keys: list[ChunkKey]) -> None:
    for key in keys:
        store.put(key, content(key))
    assert store.flush()


def present(store: DiskStore, keys: list[ChunkKey]) -> list[int]:
    return [at for at, key in enumerate(keys) if key in store]


def got(store: DiskStore, key: ChunkKey) -> bytes | None:
    """What the store has of a chunk."""
    kept = store._holdings.ledger.find(key)
    buffer = bytearray(kept.length if kept is not None else CHUNK)
    return bytes(buffer) if store.read(key, 0, memoryview(buffer)) else None


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Opens the store of this test; what it opened before is closed first. A slow disk is waited for."""
    monkeypatch.setattr(writer_module, "_PATIENCE", 60.0)
    made: list[DiskStore] = []

    def open_store(limit: int | None = 64 << 20, floor: int = 0, where: str = "store") -> DiskStore:
        for store in made:
            store.close()
        made.append(DiskStore(tmp_path / where, limit, floor, patience=0))
        return made[-1]

    yield open_store
    for store in made:
        store.close()


KEYS = [ChunkKey(name(0), number) for number in range(8)]


def test_what_is_put_is_got_at_once_and_after_a_restart(opened: Opened) -> None:
    store = opened()
    last = ChunkKey(name(1), 5)
    store.put(KEYS[3], content(KEYS[3]))
    store.put(last, content(last, 777))
    for again in (store, None):
        store = again or opened()
        assert got(store, KEYS[3]) == content(KEYS[3])
        assert got(store, last) == content(last, 777)
        assert got(store, KEYS[4]) is None
        assert (store.held(name(0)), store.held(name(1)), store.held(name(2))) == (CHUNK, 777, 0)
        assert KEYS[3] in store and KEYS[4] not in store
    assert store.figures()["disk_reads"] == 2


@pytest.mark.parametrize("verified", [False, True])
def test_a_chunk_is_compared_with_what_it_ought_to_be(opened: Opened, tmp_path: Path, verified: bool) -> None:
    store = opened()
    fill(store, KEYS[:3])
    if verified:
        assert got(store, KEYS[1]) == content(KEYS[1])
    assert store.compare(KEYS[0], content(KEYS[0])) is True
    assert store.compare(KEYS[5], content(KEYS[5])) is None
    with (tmp_path / "store" / "chunks" / name(0)).open("r+b") as file:
        file.seek(CHUNK + 5)
        file.write(b"!!")
    assert store.compare(KEYS[1], content(KEYS[1])) is False and KEYS[1] not in store
    assert store.compare(KEYS[2], content(KEYS[0])) is False and KEYS[2] not in store
    assert store.compare(KEYS[0], content(KEYS[0])[:-1]) is False and store.held(name(0)) == 0
    assert store.figures()["disk_damaged"] == 3


def test_one_file_is_evicted(opened: Opened, tmp_path: Path) -> None:
    store = opened()
    other = ChunkKey(name(1), 0)
    fill(store, [*KEYS[:3], other])
    store.pin(name(1))
    store.put(KEYS[4], content(KEYS[4]))
    assert store.evict(name(1)) == store.evict(name(2)) == 0
    assert store.evict(name(0)) == 4 * CHUNK
    assert store.flush() and on_disk(tmp_path / "store") == CHUNK
    assert [(file.identity, file.held, file.pinned) for file in store.files()] == [(name(1), CHUNK, True)]
    store.pin(name(1), False)
    assert store.evict(name(1)) == CHUNK and store.files() == []


def test_digests_outlive_chunks_and_restarts(opened: Opened) -> None:
    store = opened()
    store.name(name(0), "a model/a form")
    fill(store, KEYS[:1])
    for at in range(3):
        store.note_digest(name(at), "0" * 64)
    store.note_digest(name(1), "1" * 64)
    store.note_digest("no identity", "2" * 64)
    known = {name(0): "0" * 64, name(1): "1" * 64, name(2): "0" * 64}
    store.evict(name(0))
    assert store.digests() == known
    store = opened()
    assert store.digests() == known and store.files() == []


@pytest.mark.parametrize("verified", [False, True])
def test_parts_of_chunks_are_read_into_the_readers_buffer(opened: Opened, verified: bool) -> None:
    store = opened()
    store.put(KEYS[0], content(KEYS[0]))
    whole = bytes(content(KEYS[0]))
    for state in ("pending", "written", "opened again"):
        if state == "written":
            assert store.flush()
        elif state == "opened again":
            store = opened()
        if verified:
            assert got(store, KEYS[0]) == whole
        for start, length in ((0, 1), (4095, 4098), (CHUNK - 7, 7), (0, CHUNK)):
            buffer = bytearray(length + 2)
            assert store.read(KEYS[0], start, memoryview(buffer)[1:-1])
            assert buffer == b"\0" + whole[start : start + length] + b"\0"


def test_small_reads_of_what_is_verified_read_no_more(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    fill(store, KEYS[:1])
    read: list[int] = []
    real = DataFiles.read

    def count(self: DataFiles, identity: str, number: int, start: int, buffer: memoryview) -> int:
        read.append(len(buffer))
        return real(self, identity, number, start, buffer)

    monkeypatch.setattr(DataFiles, "read", count)
    for start in range(0, CHUNK, CHUNK // 8):
        assert store.read(KEYS[0], start, memoryview(bytearray(CHUNK // 8)))
    assert read == [CHUNK] + [CHUNK // 8] * 7


def test_cold_sequences_are_fetched_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = DataFiles(tmp_path)
    for key in KEYS:
        files.write(name(0), key.number, content(key))
    fetched: list[int] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, offset, length, how: fetched.append(offset // CHUNK))
    monkeypatch.setattr(DataFiles, "_at_once", lambda *_: 0)  # nothing is in the page cache
    for number in (5, 0, 3, 1, 2, 2, 6):
        assert files.read(name(0), number, 0, memoryview(bytearray(CHUNK))) == CHUNK
    assert fetched == [2, 3, 7], "after 0 and 1, and after 5: once for each chunk"


def test_the_directory_says_what_it_is_and_is_its_owners(opened: Opened, tmp_path: Path) -> None:
    fill(opened(), KEYS[:1])
    directory = tmp_path / "store"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "chunks" / name(0)).stat().st_mode) == 0o600
    assert (directory / "CACHEDIR.TAG").read_bytes()[:43] == b"Signature: 8a477f597d28d172789f06886806bc55"
    assert (directory / "FORMAT").read_text() == "prismfs store 2\n"
    assert (directory / "lock").read_text() == f"{os.getpid()}\n"


def test_a_file_is_sparse(opened: Opened, tmp_path: Path) -> None:
    key = ChunkKey(name(0), 1000)
    fill(opened(), [key])
    found = (tmp_path / "store" / "chunks" / name(0)).stat()
    assert found.st_size == 1001 * CHUNK
    assert CHUNK <= found.st_blocks * 512 <= CHUNK + 16 * BLOCK


def test_a_name_that_is_no_identity_is_not_kept(opened: Opened, tmp_path: Path) -> None:
    store = opened()
    for odd in ("../outside", "", "A" * 64, name(0)[:-1]):
        store.put(ChunkKey(odd, 0), content(KEYS[0]))
        store.pin(odd)
    assert store.flush()
    assert not list((tmp_path / "store" / "chunks").iterdir())


def test_the_least_recently_used_chunk_goes_first(opened: Opened) -> None:
    store = opened(4 * CHUNK)
    fill(store, KEYS[:4])
    assert got(store, KEYS[0]) is not None
    assert got(store, KEYS[1]) is not None
    fill(store, KEYS[4:6])
    assert present(store, KEYS) == [0, 1, 4, 5]
    store = opened(4 * CHUNK)
    fill(store, KEYS[6:7])
    assert present(store, KEYS) == [1, 4, 5, 6], "the order of use survives a restart"


def test_the_limit_holds_at_every_moment(opened: Opened, tmp_path: Path) -> None:
    store = opened(6 * CHUNK)
    highest, done = 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.is_set():
            highest = max(highest, on_disk(tmp_path / "store"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    keys = [ChunkKey(name(number % 3), number) for number in range(60)]
    for key in keys:
        store.put(key, content(key))
    assert store.flush()
    done.set()
    watcher.join()
    slack = 3 * 4 * BLOCK  # the file system's own blocks, where a file is in pieces
    assert 5 * CHUNK < highest <= 6 * CHUNK + slack
    assert store.figures()["disk_bytes"] == 6 * CHUNK
    assert present(store, keys) == list(range(54, 60))


def test_a_lower_limit_is_kept_from_the_start(opened: Opened, tmp_path: Path) -> None:
    fill(opened(), KEYS)
    store = opened(3 * CHUNK)
    assert store.flush()
    assert present(store, KEYS) == [5, 6, 7]
    assert on_disk(tmp_path / "store") <= 3 * CHUNK + 4 * BLOCK


def test_a_long_scan_leaves_the_hot_and_the_pinned_set(opened: Opened) -> None:
    """A working set of eight times the limit; a quarter of the limit in steady use, an eighth pinned."""
    store = opened(256 * BLOCK)
    pinned = [ChunkKey(name(7), number) for number in range(32)]
    hot = [ChunkKey(name(8), number) for number in range(64)]
    cold = [ChunkKey(name(9), number) for number in range(2048)]
    store.pin(name(7))
    for key in (*pinned, *hot):
        store.put(key, content(key, BLOCK))
    misses = 0
    for at, key in enumerate(cold * 2):
        misses += got(store, key) is None
        store.put(key, content(key, BLOCK))
        assert got(store, hot[at % len(hot)]) is not None
        assert store.figures()["disk_bytes"] <= 256 * BLOCK
    assert all(got(store, key) == content(key, BLOCK) for key in pinned)
    assert misses > 0.8 * 2 * len(cold), "what is read once in eight stores' worth is not kept"


def test_what_can_never_fit_is_not_kept(opened: Opened) -> None:
    store = opened(CHUNK // 2)
    fill(store, KEYS[:2])
    assert got(store, KEYS[0]) is None
    assert store.figures()["disk_refused"] == 2


def test_free_disk_is_left_alone(opened: Opened, tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    fill(store := opened(floor=disk.f_bavail * disk.f_frsize + (1 << 40)), KEYS)
    assert present(store, KEYS) == []


def test_the_usual_limit_is_at_most_half_of_what_is_free(opened: Opened, tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    limit = opened(None).limit
    assert limit == pytest.approx(min(20 << 30, disk.f_bavail * disk.f_frsize // 2), rel=0.1)


def test_pins_are_kept_also_after_a_restart(opened: Opened) -> None:
    store = opened(4 * CHUNK)
    pinned = [ChunkKey(name(7), number) for number in range(3)]
    store.pin(name(7))
    store.pin(name(8))
    fill(store, pinned)
    fill(store, KEYS)
    assert present(store, pinned) == [0, 1, 2] and present(store, KEYS) == [7]
    store = opened(4 * CHUNK)
    assert store.figures()["disk_files_pinned"] == 2
    fill(store, KEYS)
    assert present(store, pinned) == [0, 1, 2]
    store.clear()
    assert present(store, pinned) == [0, 1, 2] and present(store, KEYS) == []
    store.pin(name(7), False)
    store.pin(name(8), False)
    fill(store, KEYS)
    assert present(store, pinned) == []
    assert opened(4 * CHUNK).figures()["disk_files_pinned"] == 0


def test_what_is_pinned_is_not_evicted_for_anything(opened: Opened) -> None:
    store = opened(2 * CHUNK)
    store.pin(name(0))
    fill(store, KEYS)
    assert present(store, KEYS) == [0, 1]
    assert store.figures()["disk_refused"] == 6


def test_more_pins_than_the_limit_leave_nothing_else(opened: Opened) -> None:
    store = opened()
    store.pin(name(0))
    fill(store, [*KEYS[:3], ChunkKey(name(1), 0)])
    store = opened(2 * CHUNK)
    assert present(store, KEYS) == [0, 1, 2]
    assert ChunkKey(name(1), 0) not in store


def test_a_file_whose_chunks_are_gone_is_gone(opened: Opened, tmp_path: Path) -> None:
    store = opened()
    fill(store, KEYS)
    store.clear()
    assert store.flush()
    assert not list((tmp_path / "store" / "chunks").iterdir())
    assert listed(tmp_path / "store" / "index.sqlite") == []
    fill(store, KEYS)
    assert present(store, KEYS) == list(range(8))


@pytest.mark.parametrize("damage", ["changed", "cut", "removed"])
def test_damaged_chunks_are_not_served(opened: Opened, tmp_path: Path, damage: str) -> None:
    fill(opened(), KEYS)
    opened(where="elsewhere")
    path = tmp_path / "store" / "chunks" / name(0)
    if damage == "changed":
        with path.open("r+b") as file:
            file.seek(2 * CHUNK + 17)
            file.write(b"\0\1\2")
    elif damage == "cut":
        os.truncate(path, 5 * CHUNK + 10)
    else:
        path.unlink()
    store = opened()
    right = {"changed": [0, 1, 3, 4, 5, 6, 7], "cut": [0, 1, 2, 3, 4], "removed": []}[damage]
    found = [got(store, key) for key in KEYS]
    assert [at for at, data in enumerate(found) if data is not None] == right
    assert all(found[at] == content(KEYS[at]) for at in right)
    assert present(store, KEYS) == right, "what is damaged is forgotten"
    fill(store, KEYS)
    assert [got(store, key) for key in KEYS] == [content(key) for key in KEYS]


def test_verify_names_the_damaged_chunks(opened: Opened, tmp_path: Path) -> None:
    store = opened()
    fill(store, KEYS)
    assert got(store, KEYS[1]) is not None
    with (tmp_path / "store" / "chunks" / name(0)).open("r+b") as file:
        file.seek(CHUNK)
        file.write(b"wrong")
    seen: list[tuple[int, int]] = []
    assert store.verify(lambda done, of: seen.append((done, of))) == [KEYS[1]]
    assert seen[-1] == (8, 8)
    assert store.verify() == []


@pytest.mark.parametrize("garbage", [b"", b"this is no index" * 500, None])
def test_a_damaged_index_is_put_aside(opened: Opened, tmp_path: Path, garbage: bytes | None) -> None:
    fill(opened(), KEYS)
    opened(where="elsewhere")
    path = tmp_path / "store" / "index.sqlite"
    if garbage is None:
        data = bytearray(path.read_bytes())
        data[4096:] = os.urandom(len(data) - 4096)
        garbage = bytes(data)
    path.write_bytes(garbage)
    store = opened()
    assert [got(store, key) for key in KEYS] == [None] * 8
    assert not list((tmp_path / "store" / "chunks").iterdir()), "orphans are removed"
    assert path.with_suffix(".damaged").exists() == bool(garbage)
    fill(store, KEYS)
    assert got(opened(), KEYS[0]) == content(KEYS[0])


def test_rows_that_no_store_writes_are_damage(opened: Opened, tmp_path: Path) -> None:
    fill(opened(), KEYS)
    opened(where="elsewhere")
    with sqlite3.connect(tmp_path / "store" / "index.sqlite") as index:
        index.execute("UPDATE chunk SET length = 1 << 40 WHERE number = 3")
    index.close()
    assert got(opened(), KEYS[0]) is None


def test_what_a_crash_left_behind_is_given_back(opened: Opened, tmp_path: Path) -> None:
    fill(opened(), KEYS[:2])
    opened(where="elsewhere")
    chunks = tmp_path / "store" / "chunks"
    with (chunks / name(0)).open("r+b") as file:  # written, but not noted
        file.seek(5 * CHUNK)
        file.write(content(KEYS[5]))
    (chunks / name(9)).write_bytes(b"orphan")
    (chunks / "notes.txt").write_text("a person's")
    store = opened()
    assert sorted(file.name for file in chunks.iterdir()) == sorted([name(0), "notes.txt"])
    assert (chunks / name(0)).stat().st_blocks * 512 <= 2 * CHUNK + 4 * BLOCK
    assert [got(store, key) for key in KEYS[:2]] == [content(key) for key in KEYS[:2]]


def test_two_daemons_cannot_share_a_store(opened: Opened, tmp_path: Path) -> None:
    store = opened()
    with pytest.raises(StoreRefused, match=f"in use by another prismfs \\(process {os.getpid()}\\)"):
        DiskStore(tmp_path / "store", None, 0, patience=0)
    threading.Timer(0.3, store.close).start()
    DiskStore(tmp_path / "store", None, 0, patience=10).close()


def test_strange_directories_are_left_alone(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "letter").write_text("dear")
    with pytest.raises(StoreRefused, match="not a store and not empty"):
        opened(where="home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter"]
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(PermissionError):
        opened(where="open")
    opened(where="later")
    opened(where="elsewhere")
    (tmp_path / "later" / "FORMAT").write_text("prismfs store 3\n")
    with pytest.raises(StoreRefused, match="another version"):
        opened(where="later")


def test_a_store_of_the_first_version_is_begun_anew(opened: Opened, tmp_path: Path) -> None:
    fill(opened(), KEYS)
    opened(where="elsewhere")
    directory = tmp_path / "store"
    (directory / "FORMAT").write_text("prismfs store 1\n")
    with sqlite3.connect(directory / "index.sqlite") as index:
        index.execute("ALTER TABLE file DROP COLUMN whole")
    index.close()
    store = opened()
    assert present(store, KEYS) == [] and not list((directory / "chunks").iterdir())
    assert not (directory / "index.damaged").exists()
    assert (directory / "FORMAT").read_text() == "prismfs store 2\n"
    fill(store, KEYS)
    assert present(opened(), KEYS) == list(range(8))


def test_listing_reads_beside_a_daemon(opened: Opened, tmp_path: Path) -> None:
    store = opened()
    fill(store, [*KEYS, ChunkKey(name(1), 0)])
    store.pin(name(1))
    assert store.flush()
    files = {file.identity: file for file in listed(tmp_path / "store" / "index.sqlite")}
    assert (files[name(0)].held, files[name(0)].chunks, files[name(0)].pinned) == (8 * CHUNK, 8, False)
    assert files[name(1)].pinned
    assert time.time() - 60 < files[name(0)].seen <= time.time()


def test_many_readers_and_writers_get_right_bytes(opened: Opened) -> None:
    """Chunks are evicted, punched and written anew under the hands of their readers."""
    store = opened(5 * CHUNK)
    keys = [ChunkKey(name(number % 2), number) for number in range(12)]
    expected = {key: bytes(content(key)) for key in keys}
    wrong: list[ChunkKey] = []
    hits = 0
    ends = time.monotonic() + 3

    def use(seed: int) -> None:
        nonlocal hits
        chance = random.Random(seed)
        while time.monotonic() < ends:
            key = chance.choice(keys)
            data = got(store, key)
            if data is None:
                store.put(key, memoryview(expected[key]))
            else:
                hits += 1
                if data != expected[key]:
                    wrong.append(key)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert hits > 50
    assert store.figures()["disk_evicted"] > 20
    assert store.figures()["disk_damaged"] == 0


def test_memory_has_what_the_disk_does_not_take(opened: Opened) -> None:
    disk = opened(2 * CHUNK)
    disk.pin(name(0))
    tiered = Tiered(MemoryStore(8 * CHUNK), disk)
    chunks = [(key, content(key)) for key in KEYS[:4]]
    for key, data in chunks:
        tiered.put(key, data)
        assert disk.flush()
    assert (
        present(disk, KEYS) == [0, 1]
        and [key in tiered.memory for key in KEYS[:4]] == [False] * 2 + [True] * 2
    )
    for key, data in chunks:
        assert key in tiered
        buffer = bytearray(100)
        assert tiered.read(key, 5, memoryview(buffer)) and buffer == data[5:105]
    assert KEYS[4] not in tiered and not tiered.read(KEYS[4], 0, memoryview(bytearray(1)))
    assert tiered.held(name(0)) == 4 * CHUNK
    assert tiered.figures()["memory_bytes"] == 2 * CHUNK == tiered.figures()["disk_bytes"]


def test_names_are_listed(opened: Opened, tmp_path: Path) -> None:
    store = opened()
    store.name(name(0), "tiny/model.gguf-q8_0")
    store.name(name(2), "never/translated")
    store.name("../odd", "odd")
    fill(store, [KEYS[0], ChunkKey(name(1), 0)])
    store.name(name(1), "known/later")
    store = opened()
    labels = {file.identity: file.label for file in listed(tmp_path / "store" / "index.sqlite")}
    assert labels == {name(0): "tiny/model.gguf-q8_0", name(1): "known/later"}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@example(steps=[("put", 0, 0), ("put", 0, 1), ("put", 1, 0), ("pin", 0, 0), ("limit", 0, 0)])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "put", "get", "get", "pin", "unpin", "restart", "clear", "limit"]),
            st.integers(0, 2),
            st.integers(0, 5),
        ),
        max_size=40,
    )
)
def test_any_sequence_is_as_a_model_of_it(
    steps: list[tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The model: an ordered list of keys, the least recently used first; 4 KiB chunks, so as to be quick."""
    directory = tmp_path_factory.mktemp("model") / "store"
    limit, order, pins = 6, list[ChunkKey](), set[str]()
    store = DiskStore(directory, limit * BLOCK, 0)

    def shrink(room: int) -> bool:
        """Make room for so many chunks, or drop none; for none, drop what can be of what is too much."""
        free = [key for key in order if key.identity not in pins]
        over = len(order) + room - limit
        if room and over > len(free):
            return False
        for key in free[: max(0, over)]:
            order.remove(key)
        return True

    try:
        for what, file, number in steps:
            key = ChunkKey(name(file), number)
            data = content(key, BLOCK - number)
            if what == "put":
                store.put(key, data)
                assert store.flush()
                if key not in order and shrink(1):
                    order.append(key)
            elif what == "get":
                assert got(store, key) == (data if key in order else None)
                if key in order:
                    order.remove(key)
                    order.append(key)
            elif what in ("pin", "unpin"):
                store.pin(key.identity, what == "pin")
                (pins.add if what == "pin" else pins.discard)(key.identity)
            elif what == "clear":
                store.clear()
                order = [key for key in order if key.identity in pins]
            else:
                limit = 6 if what == "restart" else number + 1
                store.close()
                store = DiskStore(directory, limit * BLOCK, 0)
                shrink(0)
            assert {key for key, _ in store._holdings.ledger.chunks()} == set(order)
            assert store.figures()["disk_bytes"] == len(order) * BLOCK
        assert store.verify() == []
    finally:
        store.close()


def held(ledger: Ledger, *numbers: tuple[int, int]) -> None:
    for file, number in numbers:
        ledger.add(ChunkKey(name(file), number), Kept(CHUNK, 0, present=True))


def test_a_cold_file_goes_whole_before_a_part_of_a_warm_one() -> None:
    ledger = Ledger(patience=4)
    held(ledger, (0, 0), (1, 0), (1, 1), (1, 2))  # a chunk of file 0 is older than any of file 1
    held(ledger, (0, 1), (0, 2))
    for use in range(5):
        ledger.use(ChunkKey(name(0), 1 + use % 2))
    gone = ledger.evict(2 * CHUNK, 6 * CHUNK)
    assert gone is not None
    assert [key for key, _ in gone] == [ChunkKey(name(1), 0), ChunkKey(name(1), 1)]


def test_many_uses_in_a_row_of_one_chunk_are_one() -> None:
    ledger = Ledger(patience=4)
    held(ledger, (0, 0), (0, 1))
    for _ in range(9):
        ledger.use(ChunkKey(name(0), 1))
    assert ledger.uses == 2
    ledger.use(ChunkKey(name(0), 0))
    assert ledger.uses == 3


def test_chunks_on_their_way_are_not_evicted() -> None:
    ledger = Ledger(patience=4)
    key = ChunkKey(name(0), 0)
    ledger.add(key, Kept(CHUNK, 0, data=content(key)))
    assert ledger.evict(CHUNK, CHUNK) is None
    ledger.land(key)
    assert [gone for gone, _ in ledger.evict(CHUNK, CHUNK) or []] == [key]
    assert (ledger.space, ledger.files) == (0, {})


def test_without_holes_whole_files_go() -> None:
    ledger = Ledger(patience=4, whole_files=True)
    held(ledger, (0, 0), (1, 0), (0, 1))
    ledger.add(ChunkKey(name(2), 0), Kept(CHUNK, 0, data=content(KEYS[0])))
    gone = ledger.evict(CHUNK, 4 * CHUNK)
    assert [key for key, _ in gone or []] == [ChunkKey(name(1), 0)]
    gone = ledger.evict(2 * CHUNK, 4 * CHUNK)
    assert [key for key, _ in gone or []] == [ChunkKey(name(0), 0), ChunkKey(name(0), 1)]
    assert ledger.evict(4 * CHUNK, 4 * CHUNK) is None


def test_a_whole_file_is_one_piece_as_old_as_its_last_use() -> None:
    ledger = Ledger(patience=100)
    held(ledger, (0, 0), (0, 1), (1, 0), (1, 1))
    whole = ledger.files[name(0)]
    whole.whole = True
    ledger.use(ChunkKey(name(0), 1))
    gone = ledger.evict(CHUNK, 4 * CHUNK)
    assert [key for key, _ in gone or []] == [ChunkKey(name(1), 0)], (
        "a chunk of it is older, but not the file"
    )
    whole.loans = 1
    assert ledger.evict(2 * CHUNK, 3 * CHUNK) is None
    whole.loans = 0
    ledger.use(ChunkKey(name(1), 1))
    gone = ledger.evict(2 * CHUNK, 4 * CHUNK)
    assert [key.identity for key, _ in gone or []] == [name(0)] * 2
    assert all(kept.gone for _, kept in gone or []) and ledger.unlinked == {name(0)}


def test_the_space_of_a_lent_file_counts_until_it_is_given_back() -> None:
    ledger = Ledger(patience=100)
    held(ledger, (0, 0), (0, 1))
    file = ledger.files[name(0)]
    file.whole, file.loans, file.pinned = True, 2, True
    assert len(ledger.drop(ChunkKey(name(0), 1))) == 2
    assert (ledger.space, ledger.fixed) == (2 * CHUNK, 2 * CHUNK)
    assert ledger.files[name(0)].pinned and ledger.files[name(0)] is not file
    ledger.give_back(file)
    assert ledger.space == 2 * CHUNK
    ledger.give_back(file)
    assert ledger.space == 0
