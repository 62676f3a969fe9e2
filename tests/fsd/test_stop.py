"""SIGTERM while eight readers read: the mount is gone and the process ended within five seconds, always.

Five seconds are what operators are promised, on any machine; a healthy one needs a small part of them.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fsd.faulty_source import Fault, faulty
from tests.fsd.mounting import ADAPTERS, PRISMFS, Daemon, fake_daemon, is_mounted, running, until
from tests.heavy import subject
from tests.heavy.subject import NAME, Subject

READERS = 8
PROMISED = 5.0
MEGABYTES = 12
# Dear to translate, so that a cold reader always finds something to wait for.
COLD = ("model.gguf-q4_k_m", "model.gguf-q2_k", "model.gguf-q3_k_m", "model.gguf-iq4_xs")

# Reads files over and over past its own pages, each time another piece; tells of the first; ends with an error.
READER = """
import os, sys
number, paths = int(sys.argv[1]), sys.argv[2:]
files = [os.open(path, os.O_RDONLY) for path in paths]
sizes = [os.fstat(file).st_size for file in files]
told = False
while True:
    for file, size in zip(files, sizes):
        for at in range((number << 20) % size, size, 8 << 20):
            try:
                os.pread(file, 1 << 20, at)
            except OSError:
                sys.exit(0)
            if not told:
                told = True
                print("reading", flush=True)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
"""


@pytest.fixture(params=ADAPTERS)
def fuse(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return subject.made(tmp_path_factory.getbasetemp().resolve(), MEGABYTES)


@contextmanager
def reading(paths: Sequence[Path]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """READERS processes, which all have read something, or wait for it, when the block begins."""
    command = [sys.executable, "-c", READER]
    readers = [
        subprocess.Popen([*command, str(number), *map(str, paths)], stdout=subprocess.PIPE)
        for number in range(READERS)
    ]
    try:
        yield readers
    finally:
        for reader in readers:
            reader.kill()
            assert reader.stdout is not None
            reader.stdout.close()
            reader.wait(30)


def begun(readers: Sequence[subprocess.Popen[bytes]]) -> None:
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"reading\n"


def stopped(daemon: Daemon) -> float:
    """How long SIGTERM took, until the mount was gone and the process ended."""
    began = time.monotonic()
    code = daemon.stop(timeout=30)
    took = time.monotonic() - began
    assert code == 0
    assert not is_mounted(daemon.mountpoint)
    return took


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_sigterm_under_eight_readers(model: Subject, fuse: str, warm: bool, tmp_path: Path) -> None:
    base = tmp_path.resolve()
    memory = "256M" if warm else "1M"
    options = ["--no-cache", "--cache-memory", memory, "--api-socket", "none"]
    command = [*PRISMFS, "mount", "--fuse", fuse, *options, str(model.models), str(base / "mnt")]
    with running(command, model.models, base / "mnt", base / "home") as daemon:
        paths = [daemon.mountpoint / NAME / name for name in (COLD[:1] if warm else COLD)]
        if warm:
            for path in paths:
                path.read_bytes()
        with reading(paths) as readers:
            begun(readers)
            assert stopped(daemon) < PROMISED
    assert "Traceback" not in daemon.log


def test_sigterm_while_no_read_is_answered(fuse: str, tmp_path: Path) -> None:
    """Handlers that do not return are left behind with their threads."""
    base = tmp_path.resolve()
    (base / "source").mkdir()
    (base / "source" / "slow").write_bytes(bytes(READERS << 20))
    with (
        running(
            fake_daemon(base / "source", base / "mnt", fuse), base / "source", base / "mnt", base
        ) as daemon,
        reading([daemon.mountpoint / "slow"]),
    ):
        until(lambda: daemon.log.count("reading slow") >= READERS, "all readers wait")
        began = time.monotonic()
        daemon.stop(timeout=30)
        assert time.monotonic() - began < PROMISED
        assert not is_mounted(daemon.mountpoint)
        (base / "source" / "go").touch()


def test_sigterm_while_the_source_stalls(model: Subject, fuse: str, tmp_path: Path) -> None:
    base = tmp_path.resolve()
    options = ["--no-cache", "--cache-memory", "1M", "--api-socket", "none"]
    with faulty(model.models, base / "behind", base / "faulty", direct="*.safetensors") as source:
        command = [*PRISMFS, "mount", "--fuse", fuse, *options, str(source.path), str(base / "mnt")]
        with running(command, source.path, base / "mnt", base / "home") as daemon:
            path = daemon.mountpoint / NAME / COLD[0]
            path.stat()
            source.befall(Fault("*.safetensors", "stall"))
            with reading([path]):
                until(lambda: source.befallen("stall") > 0, "a read stalls")
                began = time.monotonic()
                daemon.process.terminate()
                until(lambda: not is_mounted(daemon.mountpoint), "the mount is gone")
                assert time.monotonic() - began < PROMISED
                # A thread that the kernel keeps in a read of the source ends when that is answered.
                source.lift()
                assert daemon.process.wait(30) == 0
