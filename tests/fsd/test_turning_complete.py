"""Files that become complete and are evicted again while they are open, mapped and opened anew.

The fake daemon's `flip*` lend a data file or none with each open, and now and then another one of the same
bytes; a data file loses its bytes as soon as it is evicted and no handle has it on loan.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fsd.mounting import ADAPTERS, Daemon, counters, fake_daemon, running, until

SIZE = (2 << 20) + 4321
THREADS, OPENS = 8, 250

# Opens, reads, maps and closes at random, and compares every byte that it gets. Any error ends it.
CODE = """
import mmap, os, random, sys, threading, traceback
paths, expected = sys.argv[4:], [open(path, "rb").read() for path in sys.argv[1].split(",")]
threads, opens = int(sys.argv[2]), int(sys.argv[3])
size = len(expected[0])
wrong = []
inodes = [os.stat(path).st_ino for path in paths]

def compare(chance, which, descriptor):
    data = expected[which]
    offset = chance.randrange(size)
    length = chance.choice((1, 4096, 70_000, size))
    assert os.pread(descriptor, length, offset) == data[offset : offset + length], (which, offset, length)

def run(seed):
    chance, held = random.Random(seed), []
    try:
        for _ in range(opens):
            which = chance.randrange(len(paths))
            writable = chance.random() < 0.15
            flags = os.O_RDWR if writable else os.O_RDONLY
            descriptor = os.open(paths[which], flags | (os.O_DIRECT if chance.random() < 0.05 else 0))
            assert os.fstat(descriptor).st_ino == inodes[which] and os.fstat(descriptor).st_size == size
            os.close(descriptor)
            descriptor = os.open(paths[which], flags)
            mapped = None
            if chance.random() < 0.4:
                access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
                mapped = mmap.mmap(descriptor, 0, prot=access, flags=mmap.MAP_SHARED)
                offset = chance.randrange(size)
                assert mapped[offset : offset + 9999] == expected[which][offset : offset + 9999]
                if writable:  # a page that is dirty, with the bytes that it has
                    mapped[offset] = expected[which][offset]
            held.append((which, descriptor, mapped))
            compare(chance, which, descriptor)
            if chance.random() < 0.1:
                again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
                compare(chance, which, again)
                os.close(again)
            if chance.random() < 0.1:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            while len(held) > chance.randrange(6):
                which, descriptor, mapped = held.pop(chance.randrange(len(held)))
                compare(chance, which, descriptor)
                if mapped is not None:
                    assert mapped[:] == expected[which]
                    mapped.close()
                os.close(descriptor)
    except BaseException:
        wrong.append(traceback.format_exc()[-600:])

readers = [threading.Thread(target=run, args=(seed,)) for seed in range(threads)]
for reader in readers: reader.start()
for reader in readers: reader.join()
sys.exit("\\n".join(wrong) or 0)
"""


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_byte_is_right_while_files_turn_complete_and_are_evicted(adapter: str, tmp_path: Path) -> None:
    base = tmp_path.resolve()
    (base / "source").mkdir()
    names = ("flip0", "flip1")
    for seed, name in enumerate(names):
        (base / "source" / name).write_bytes(random.Random(seed).randbytes(SIZE))
    with running(
        fake_daemon(base / "source", base / "mnt", adapter), base / "source", base / "mnt", base / "home"
    ) as daemon:
        own = ",".join(str(base / "source" / name) for name in names)
        mounted = [str(base / "mnt" / name) for name in names]
        done = subprocess.run(
            [sys.executable, "-c", CODE, own, str(THREADS), str(OPENS), *mounted],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr + daemon.log
        assert "Traceback" not in daemon.log
        if adapter == "kernel":
            told = counters(daemon)
            assert told["passthrough_opens"] > 0
            assert told["read_requests"] > 0
            assert told["data_files"] > THREADS
        until(lambda: len(lent(daemon)) <= len(names), "every loan is given back")
        for name in names:
            assert (base / "source" / name).read_bytes() == (base / "mnt" / name).read_bytes()


def lent(daemon: Daemon) -> list[str]:
    """The data files that the daemon has open."""
    found = []
    for link in Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except FileNotFoundError:
            continue
    return [target for target in found if target.startswith("/memfd:data")]
