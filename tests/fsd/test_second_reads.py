"""What was read once is read again from the kernel's pages: no request reaches the daemon."""

from __future__ import annotations

import mmap
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fsd.mount.answers import TIMEOUT_SECONDS
from tests.fsd.mounting import ADAPTERS, Daemon, counters, fake_daemon, running

CONTENT = random.Random(9).randbytes((3 << 20) + 77)


@pytest.fixture(params=ADAPTERS)
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    base = tmp_path.resolve()
    (base / "source" / "folder").mkdir(parents=True)
    (base / "source" / "folder" / "file").write_bytes(CONTENT)
    command = fake_daemon(base / "source", base / "mnt", request.param)
    with running(command, base / "source", base / "mnt", base / "home") as daemon:
        yield daemon


def once_more(path: Path) -> None:
    assert path.read_bytes() == CONTENT


def several_at_once(path: Path) -> None:
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb", buffering=0)) for _ in range(8)]
        assert all(os.pread(file.fileno(), len(CONTENT), 0) == CONTENT for file in files)


def beside_a_map(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[:] == CONTENT
        once_more(path)
        several_at_once(path)


def read_write(path: Path) -> None:
    with path.open("r+b", buffering=0) as file:
        assert os.pread(file.fileno(), len(CONTENT), 0) == CONTENT
        with mmap.mmap(file.fileno(), 0) as mapped:
            assert mapped[:] == CONTENT
    once_more(path)


def by_an_open_file(path: Path) -> None:
    with path.open("rb") as file:
        once_more(Path(f"/proc/self/fd/{file.fileno()}"))


def when_name_and_attributes_have_expired(path: Path) -> None:
    time.sleep(TIMEOUT_SECONDS + 0.1)
    once_more(path)
    path.stat()
    several_at_once(path)


KINDS = [
    once_more,
    several_at_once,
    beside_a_map,
    read_write,
    by_an_open_file,
    when_name_and_attributes_have_expired,
]


TRIES = 4


def test_second_reads_ask_the_daemon_nothing(daemon: Daemon) -> None:
    path = daemon.mountpoint / "folder" / "file"
    assert path.read_bytes() == CONTENT
    for kind in KINDS:
        # A kernel that reclaims cold pages within seconds (DAMON) may take one meanwhile; not each time.
        assert 0 in (requests(daemon, kind, path) for _ in range(TRIES)), kind.__name__
    os.utime(daemon.source / "folder" / "file", (1, 1))  # touched: another version
    assert requests(daemon, once_more, path) > 0
    assert requests(daemon, once_more, path) == 0


def requests(daemon: Daemon, reads: Callable[[Path], None], path: Path) -> int:
    """How many READs these reads cost; those of asking for it are not counted."""
    first, second = (counters(daemon)["read_requests"] for _ in range(2))
    reads(path)
    return counters(daemon)["read_requests"] - second - (second - first)
