"""Readers whose bytes take long: others go on meanwhile, and who is killed lets go.

The fake daemon's `slow` is read once the file `go` is beside it, so that nothing here depends on time.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fsd.mount.kernel import interrupts
from tests.fsd.mounting import ADAPTERS, Daemon, fake_daemon, running, until

BLOCK = 1 << 20
READERS = 64
SIZE = READERS * BLOCK
CONTENT = random.Random(3).randbytes(100_000)

# Reads a byte of each of COUNT blocks at once, half of them by O_DIRECT, and prints how many came.
MANY = """
import mmap, os, sys, threading
path, count = sys.argv[1], int(sys.argv[2])
plain, direct = os.open(path, os.O_RDONLY), os.open(path, os.O_RDONLY | os.O_DIRECT)
came = []
def read(number):
    with mmap.mmap(-1, 4096) as page:
        came.append(os.preadv((plain, direct)[number % 2], [page], number << 20))
threads = [threading.Thread(target=read, args=(number,)) for number in range(count)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(came.count(4096))
"""
# Reads the first page in the way that is named; a signal that comes meanwhile is handled.
ONE = """
import ctypes, mmap, os, signal, sys
path, way = sys.argv[1], sys.argv[2]
signal.signal(signal.SIGUSR1, lambda number, frame: None)
descriptor = os.open(path, os.O_RDONLY | (os.O_DIRECT if way == "O_DIRECT" else 0))
if way == "map":
    print(len(mmap.mmap(descriptor, 1 << 20, prot=mmap.PROT_READ)[:4096]))
else:  # not by os.pread, which tries again
    page, libc = mmap.mmap(-1, 4096), ctypes.CDLL(None, use_errno=True)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    print(libc.pread(descriptor, ctypes.c_void_p(address), 4096, 0))
"""
WAYS = ("buffered", "map", "O_DIRECT")


@contextmanager
def serving(base: Path, adapter: str, *threads: int) -> Iterator[Daemon]:
    source = base / "source"
    (source / "folder").mkdir(parents=True)
    with (source / "slow").open("wb") as file:
        file.truncate(SIZE)
    (source / "folder" / "other").write_bytes(CONTENT)
    command = fake_daemon(source, base / "mnt", adapter, *threads)
    with running(command, source, base / "mnt", base / "home") as daemon:
        try:
            yield daemon
        finally:
            go(daemon)


@pytest.fixture(params=ADAPTERS)
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    with serving(tmp_path.resolve(), request.param) as daemon:
        yield daemon


def go(daemon: Daemon) -> None:
    """Let `slow` be read."""
    (daemon.source / "go").touch()


@contextmanager
def reading(code: str, daemon: Daemon, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that reads `slow`, with at least one request in hand."""
    command = [sys.executable, "-c", code, str(daemon.mountpoint / "slow"), *words]
    before = daemon.log.count("reading slow")
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        until(lambda: daemon.log.count("reading slow") > before, "a request of the reader")
        yield reader
    finally:
        go(daemon)
        reader.kill()
        reader.communicate(timeout=60)


def adapter_of(daemon: Daemon) -> str:
    command = daemon.process.args
    assert isinstance(command, list)
    return str(command[4])


def others_are_answered(daemon: Daemon) -> None:
    """Names, attributes, a first read and one from the cache, by processes that are killed if they hang."""
    other = Path("folder") / "other"
    commands = [
        ["ls", "-lR", str(daemon.mountpoint)],
        ["stat", str(daemon.mountpoint / "slow")],
        ["df", str(daemon.mountpoint)],
        ["cmp", str(daemon.mountpoint / other), str(daemon.source / other)],
        ["cmp", str(daemon.mountpoint / other), str(daemon.source / other)],
    ]
    for command in commands:
        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)


def test_the_rest_of_the_mount_answers_beside_many_waiting_readers(daemon: Daemon) -> None:
    with reading(MANY, daemon, str(READERS)) as many:
        until(lambda: daemon.log.count("reading slow") >= READERS, "a request of each reader")
        others_are_answered(daemon)
        go(daemon)
        assert many.communicate(timeout=60) == (f"{READERS}\n".encode(), b"")


def test_reads_beyond_the_last_worker_wait_their_turn(tmp_path: Path) -> None:
    """With 8 workers, 4 read; the others still tell names and attributes, and no read is lost."""
    with serving(tmp_path.resolve(), "kernel", 8) as daemon, reading(MANY, daemon, str(READERS)) as many:
        until(lambda: daemon.log.count("reading slow") == 4, "a request of each reading worker")
        folder = daemon.mountpoint / "folder"
        for command in (["ls", "-lR", str(daemon.mountpoint)], ["stat", str(folder / "other")]):
            subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
        assert daemon.log.count("reading slow") == 4
        go(daemon)
        assert many.communicate(timeout=60) == (f"{READERS}\n".encode(), b"")
        assert (folder / "other").read_bytes() == CONTENT


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_reader_is_gone_and_its_file_is_released(daemon: Daemon, way: str) -> None:
    """At once, but by O_DIRECT through libfuse, which keeps a killed reader until its bytes came."""
    kernel = adapter_of(daemon) == "kernel"
    with reading(ONE, daemon, way) as reader:
        reader.send_signal(signal.SIGKILL)
        if way != "O_DIRECT" or kernel:
            assert reader.wait(60) == -signal.SIGKILL
        if way == "O_DIRECT" and kernel:
            until(lambda: "interrupted slow" in daemon.log, "the interrupt")
        else:
            assert "released slow" not in daemon.log
            go(daemon)
        until(lambda: "released slow" in daemon.log, "the release of a killed reader's file")
        assert reader.wait(60) == -signal.SIGKILL
    others_are_answered(daemon)
    assert "ERROR" not in daemon.log


@pytest.mark.parametrize("way", WAYS)
def test_a_reader_that_handles_a_signal_gets_its_bytes(daemon: Daemon, way: str) -> None:
    """No EINTR and no SIGBUS: a plain file knows neither."""
    with reading(ONE, daemon, way) as reader:
        for _ in range(3):
            reader.send_signal(signal.SIGUSR1)
            others_are_answered(daemon)
        go(daemon)
        assert reader.communicate(timeout=60) == (b"4096\n", b"")
        assert reader.returncode == 0
    assert "interrupted" not in daemon.log


def test_many_killed_readers_leave_nothing_behind(daemon: Daemon) -> None:
    for _ in range(3):
        before = daemon.log.count("released slow")
        with reading(MANY, daemon, str(READERS)) as many:
            many.kill()
            go(daemon)
            assert many.wait(60) == -signal.SIGKILL
        until(lambda before=before: daemon.log.count("released slow") == before + 2, "both releases")
        (daemon.source / "go").unlink()
    go(daemon)
    others_are_answered(daemon)
    assert "Traceback" not in daemon.log


def test_an_interrupt_may_come_before_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    dying = {5}
    monkeypatch.setattr(interrupts, "_is_dying", dying.__contains__)
    reads = interrupts.Reads()
    reads.interrupted(10)
    reads.interrupted(12)
    assert reads.begin(10, reader=5).fired
    assert not reads.begin(12, reader=6).fired  # its reader handled the signal
    later = reads.begin(14, reader=5)
    assert not later.fired
    reads.interrupted(14)
    assert later.fired
    done = reads.begin(16, reader=5)
    reads.end(16)
    reads.interrupted(16)
    assert not done.fired
    for unique in range(100, 100 + 2 * interrupts.REMEMBERED):
        reads.interrupted(unique)
    assert not reads.begin(100, reader=5).fired  # long answered
    assert reads.begin(99 + 2 * interrupts.REMEMBERED, reader=5).fired
