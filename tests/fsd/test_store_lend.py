"""Complete files, proved and lent: right to the last byte, for whoever reads them, whatever we do."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fsd.engine import CHUNK, ChunkKey, Lent, MemoryStore
from fsd.store import DiskStore, Tiered
from fsd.store.datafiles import DataFiles
from tests.fsd.mounting import ROOT, until
from tests.fsd.test_store import Opened, content, fill, got, name, opened, present

__all__ = ["opened"]

CHUNKS = 4
SIZE = (CHUNKS - 1) * CHUNK + 777
KEYS = [ChunkKey(name(0), number) for number in range(CHUNKS)]
OTHERS = [ChunkKey(name(1), number) for number in range(12)]
WHOLE = b"".join(bytes(content(key)) for key in KEYS)[:SIZE]


def complete(store: DiskStore, file: int = 0) -> None:
    """Hold all of a layout of `SIZE` bytes."""
    for number in range(CHUNKS):
        key = ChunkKey(name(file), number)
        store.put(key, content(key, min(CHUNK, SIZE - number * CHUNK)))
    assert store.flush()


def lent(store: DiskStore | Tiered, file: int = 0) -> Lent:
    """The file, as soon as it is proved."""
    found: list[Lent] = []

    def ask() -> bool:
        loan = store.lend(name(file), SIZE)
        found.extend([loan] if loan is not None else [])
        return loan is not None

    until(ask)
    return found[0]


def bytes_of(descriptor: int) -> bytes:
    """All that a descriptor leads to, and what it would give behind it."""
    return os.pread(descriptor, SIZE + CHUNK, 0)


def idle(store: DiskStore) -> bool:
    """Whether nothing is to be proved."""
    with store._wake:
        return not store._proofs._wanted


def data_file(tmp_path: Path, file: int = 0) -> Path:
    return tmp_path / "store" / "chunks" / name(file)


def damage(path: Path, at: int) -> None:
    with path.open("r+b") as data:
        data.seek(at)
        data.write(b"wrong")


def test_a_complete_file_is_lent_once_it_is_proved(opened: Opened) -> None:
    store = opened()
    complete(store)
    assert store.lend(name(0), SIZE) is None, "the bytes written in this run are read back first"
    loan = lent(store)
    assert bytes_of(loan.descriptor) == WHOLE
    assert os.fstat(loan.descriptor).st_size == SIZE
    with pytest.raises(OSError):
        os.write(loan.descriptor, b"x")
    assert store.figures()["disk_files_lent"] == 1
    number = loan.descriptor
    loan.close()
    loan.close()
    with pytest.raises(OSError):
        os.fstat(number)
    assert store.figures()["disk_files_lent"] == 0


def test_prove_is_enough(opened: Opened) -> None:
    complete(opened())
    store = opened()
    store.prove(name(0), SIZE)
    until(lambda: idle(store) and store.flush())
    loan = store.lend(name(0), SIZE)
    assert loan is not None
    with closing(loan):
        assert bytes_of(loan.descriptor) == WHOLE


def test_what_is_not_complete_is_not_lent(opened: Opened) -> None:
    store = opened()
    complete(store)
    for identity, size in (
        (name(0), SIZE - 1),
        (name(0), SIZE + 1),
        (name(1), SIZE),
        (name(1), 0),
        ("..", 1),
    ):
        assert store.lend(identity, size) is None
        assert idle(store)
    fill(store, OTHERS[:2])
    assert store.lend(name(1), 3 * CHUNK) is None and idle(store)
    assert MemoryStore(100).lend(name(0), SIZE) is None
    tiered = Tiered(MemoryStore(CHUNK), store)
    with closing(lent(tiered)) as loan:
        assert bytes_of(loan.descriptor) == WHOLE


def test_of_pending_chunks_the_bytes_on_disk_are_proved(opened: Opened) -> None:
    store = opened()
    for number in range(CHUNKS):
        store.put(KEYS[number], content(KEYS[number], min(CHUNK, SIZE - number * CHUNK)))
    store.prove(name(0), SIZE)
    with closing(lent(store)) as loan:
        assert bytes_of(loan.descriptor) == WHOLE


def test_what_is_lent_is_not_evicted(opened: Opened) -> None:
    store = opened(6 * CHUNK)
    complete(store)
    with closing(lent(store)) as loan, closing(lent(store)):
        fill(store, OTHERS)
        store.clear()
        assert store.flush()
        fill(store, OTHERS)
        assert present(store, KEYS) == list(range(CHUNKS))
        assert len(present(store, OTHERS)) == 2
        assert bytes_of(loan.descriptor) == WHOLE
    fill(store, [ChunkKey(name(2), 0)])
    assert present(store, KEYS) == list(range(CHUNKS)), "to give it back was its last use"
    fill(store, [ChunkKey(name(2), number) for number in range(1, 4)])
    assert present(store, KEYS) == [], "it goes as a whole"
    assert store.figures()["disk_bytes"] <= 6 * CHUNK


def test_a_whole_file_is_unlinked_not_cut(opened: Opened, tmp_path: Path) -> None:
    """Others may still have it open: a daemon's descriptors outlive it in the kernel."""
    store = opened(6 * CHUNK)
    complete(store)
    lent(store).close()
    with data_file(tmp_path).open("rb") as reader:
        fill(store, OTHERS)
        assert present(store, KEYS) == [] and not data_file(tmp_path).exists()
        assert bytes_of(reader.fileno()) == WHOLE
        store.clear()
        complete(store)
        assert os.fstat(reader.fileno()).st_ino != data_file(tmp_path).stat().st_ino
        with closing(lent(store)) as loan:
            assert bytes_of(loan.descriptor) == WHOLE == bytes_of(reader.fileno())


def test_clear_unlinks_whole_files(opened: Opened, tmp_path: Path) -> None:
    store = opened()
    complete(store)
    lent(store).close()
    store.pin(name(0))
    with data_file(tmp_path).open("rb") as reader:
        store.clear(pinned=True)
        assert store.flush()
        assert not data_file(tmp_path).exists() and bytes_of(reader.fileno()) == WHOLE
    assert store.figures()["disk_files_pinned"] == 1
    fill(store, KEYS[:2])
    store = opened()
    assert present(store, KEYS) == [0, 1], "what is begun again is not whole"
    assert store.figures()["disk_files_pinned"] == 1


@pytest.mark.parametrize("state", ["written", "opened again", "lent before"])
def test_damage_is_found_by_proving(opened: Opened, tmp_path: Path, state: str) -> None:
    store = opened()
    complete(store)
    if state == "lent before":
        lent(store).close()
    if state != "written":
        opened(where="elsewhere")
    damage(data_file(tmp_path), CHUNK + 5)
    if state != "written":
        store = opened()
    with data_file(tmp_path).open("rb") as reader:
        before = bytes_of(reader.fileno())
        assert store.lend(name(0), SIZE) is None
        until(lambda: idle(store))
        assert store.lend(name(0), SIZE) is None and store.figures()["disk_damaged"] == 1
        assert present(store, KEYS) == ([] if state == "lent before" else [0, 2, 3])
        complete(store)
        with closing(lent(store)) as loan:
            assert bytes_of(loan.descriptor) == WHOLE
        same = os.fstat(reader.fileno()).st_ino == data_file(tmp_path).stat().st_ino
        assert same == (state != "lent before"), "a whole file is replaced, not written to"
        if not same:
            assert bytes_of(reader.fileno()) == before


def test_damage_found_by_a_reader_replaces_a_whole_file(opened: Opened, tmp_path: Path) -> None:
    complete(store := opened())
    lent(store).close()
    opened(where="elsewhere")
    damage(data_file(tmp_path), 2 * CHUNK)
    store = opened()
    assert got(store, KEYS[0]) == content(KEYS[0])
    assert got(store, KEYS[2]) is None
    assert present(store, KEYS) == []
    assert store.flush() and not data_file(tmp_path).exists()


def test_a_lent_file_that_is_given_up_counts_until_it_is_given_back(opened: Opened, tmp_path: Path) -> None:
    store = opened(6 * CHUNK)
    complete(store)
    loan = lent(store)
    damage(data_file(tmp_path), 5)
    assert store.verify() == [KEYS[0]]
    taken = -(-SIZE // 4096) * 4096
    assert (store.held(name(0)), store.figures()["disk_bytes"]) == (0, taken)
    fill(store, OTHERS)
    assert len(present(store, OTHERS)) == 2, "the limit holds for what is on disk"
    loan.close()
    fill(store, OTHERS)
    assert len(present(store, OTHERS)) == 6


def test_a_file_that_somebody_changed_is_proved_again(opened: Opened, tmp_path: Path) -> None:
    complete(store := opened())
    lent(store).close()
    damage(data_file(tmp_path), 5)
    assert store.lend(name(0), SIZE) is None
    assert store.lend(name(0), SIZE) is None
    until(lambda: idle(store))
    assert present(store, KEYS) == [] and store.figures()["disk_damaged"] == 1


def test_a_file_that_is_too_long_is_made_right(opened: Opened, tmp_path: Path) -> None:
    complete(store := opened())
    os.truncate(data_file(tmp_path), SIZE + 5)
    with closing(lent(store)) as loan:
        assert bytes_of(loan.descriptor) == WHOLE
    os.truncate(data_file(tmp_path), SIZE + 5)
    store = opened()
    assert store.lend(name(0), SIZE) is None
    until(lambda: idle(store))
    assert present(store, KEYS) == [], "a whole file is not cut"


def test_an_index_that_disagrees_with_itself_is_not_believed(opened: Opened, tmp_path: Path) -> None:
    complete(store := opened())
    lent(store).close()
    opened(where="elsewhere")
    with sqlite3.connect(tmp_path / "store" / "index.sqlite") as index:
        index.execute("DELETE FROM chunk WHERE number = 1")
    index.close()
    with data_file(tmp_path).open("rb") as reader:
        store = opened()
        assert present(store, KEYS) == [] and not data_file(tmp_path).exists()
        assert bytes_of(reader.fileno()) == WHOLE


def test_what_is_lent_outlives_the_store(opened: Opened) -> None:
    complete(store := opened(6 * CHUNK))
    loan = lent(store)
    store = opened(6 * CHUNK)
    fill(store, OTHERS)
    assert bytes_of(loan.descriptor) == WHOLE
    loan.close()


def test_loans_beside_writers_readers_and_evictions(opened: Opened) -> None:
    """Three files, room for two; whoever gets one lent finds it right, now and when it has been given up."""
    store = opened(2 * CHUNKS * CHUNK)
    whole = [
        b"".join(bytes(content(ChunkKey(name(file), number))) for number in range(CHUNKS))[:SIZE]
        for file in range(3)
    ]
    ends, wrong, loans = time.monotonic() + 3, list[int](), list[int]()

    def use(file: int) -> None:
        while time.monotonic() < ends or not loans:
            for number in range(CHUNKS):
                key = ChunkKey(name(file), number)
                data = content(key, min(CHUNK, SIZE - number * CHUNK))
                if not store.read(key, 0, memoryview(bytearray(len(data)))):
                    store.put(key, data)
            loan = store.lend(name(file), SIZE)
            if loan is not None:
                loans.append(file)
                wrong.extend([file] if bytes_of(loan.descriptor) != whole[file] else [])
                spare = os.dup(loan.descriptor)
                loan.close()
                wrong.extend([file] if bytes_of(spare) != whole[file] else [])
                os.close(spare)

    threads = [threading.Thread(target=use, args=(file,)) for file in (0, 1, 2, 0, 1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and loans
    assert store.figures()["disk_damaged"] == 0 and store.figures()["disk_files_lent"] == 0


DAEMON = """
import sys, time
from pathlib import Path
from fsd.store import DiskStore
from tests.fsd.test_store_lend import CHUNK, complete, lent
import fsd.store.writer as writer
writer._PATIENCE = 60.0
store = DiskStore(Path(sys.argv[1]), 6 * CHUNK, 0)
complete(store)
loan = lent(store)
print(loan.descriptor, flush=True)
time.sleep(600)
"""


@pytest.fixture
def outlived(tmp_path: Path) -> Iterator[int]:
    """A descriptor of a file that a daemon had lent before it was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(tmp_path / "store")], stdout=subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
    ) as daemon:  # fmt: skip
        try:
            assert daemon.stdout is not None
            number = int(daemon.stdout.readline())
            descriptor = os.open(f"/proc/{daemon.pid}/fd/{number}", os.O_RDONLY)
        finally:
            daemon.send_signal(signal.SIGKILL)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("then", ["evicted", "cleared", "damaged", "without its index", "of another version"])
def test_readers_of_a_daemon_that_was_killed_go_on(
    opened: Opened, tmp_path: Path, outlived: int, then: str
) -> None:
    directory = tmp_path / "store"
    if then == "without its index":
        (directory / "index.sqlite").write_bytes(b"garbage" * 1000)
    elif then == "of another version":
        (directory / "FORMAT").write_text("prismfs store 1\n")
    store = opened(6 * CHUNK)
    expected = WHOLE
    if then == "cleared":
        assert present(store, KEYS) == list(range(CHUNKS))
        store.clear()
    elif then == "damaged":
        damage(data_file(tmp_path), 7)
        expected = bytes_of(outlived)
        assert store.verify() == [KEYS[0]]
    fill(store, OTHERS)
    assert present(store, KEYS) == []
    assert store.figures()["disk_bytes"] == 6 * CHUNK, "what the old reader holds is not counted"
    assert bytes_of(outlived) == expected and os.fstat(outlived).st_nlink == 0
    complete(store)
    with closing(lent(store)) as loan:
        assert bytes_of(loan.descriptor) == WHOLE
    assert bytes_of(outlived) == expected


def test_a_file_that_cannot_be_unlinked_is_not_written_to(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    complete(store)
    lent(store).close()

    def fail(self: DataFiles, identity: str) -> None:
        raise OSError(5, "Input/output error")

    with data_file(tmp_path).open("rb") as reader:
        with monkeypatch.context() as broken:
            broken.setattr(DataFiles, "unlink", fail)
            store.clear()
            fill(store, KEYS[:1])
            fill(store, KEYS[:2])
        assert bytes_of(reader.fileno()) == WHOLE
    until(lambda: store.flush() and store.put(OTHERS[0], content(OTHERS[0])))
