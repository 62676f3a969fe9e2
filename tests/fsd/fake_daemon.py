"""A daemon over a plain directory: the real adapter and life cycle, without models.

    python fake_daemon.py SOURCE MOUNTPOINT ADAPTER [THREADS]

Files appear as they are, one inode number for each version of a file. By name: `model.bin` has a backing
descriptor, `fault` raises an unexpected exception when read, `broken` a translation error, `slow` is read
once `go` is in its directory (or the read is interrupted), `flip*` has a backing now and then (`Flipping`); a
directory's `xattr` and statfs are made up. A handle whose file was replaced says SourceChanged. THREADS are
the kernel adapter's, in place of its own number. Of `slow` the log tells reads, interrupts and releases.
`/counters` in the source's top is not a file of it: it holds the adapter's counters.
"""

# A tree works on names as bytes.
# ruff: noqa: PTH110, PTH112, PTH119, PTH120, PTH208

from __future__ import annotations

import itertools
import json
import logging
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fsd.engine.interrupt import Interrupt
from fsd.errors import Interrupted, NoSuchEntry, StaleHandle
from fsd.mount import adapters, lifecycle, points
from fsd.mount.kernel import workers
from translators.errors import MalformedSource, SourceChanged

log = logging.getLogger("fake")

Key = tuple[bytes, int, int, int]
COUNTERS, COUNTERS_SIZE = 1 << 40, 1024


@dataclass(frozen=True)
class Attributes:
    ino: int
    kind: str
    mode: int
    size: int
    allocated: int
    mtime_ns: int
    nlink: int


class DataFile:
    """A copy of a file. Evicted, it loses its bytes as soon as nobody has it on loan."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = os.memfd_create("data")
        while os.sendfile(self.descriptor, descriptor, None, size):
            pass
        self.loans, self.evicted = 0, False

    def settle(self) -> None:
        if self.evicted and not self.loans:
            os.ftruncate(self.descriptor, 0)
            os.close(self.descriptor)


class Flipping:
    """Files that become complete and are evicted again, all the time, without order."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.chance = random.Random(1)
        self.complete: dict[Key, DataFile] = {}
        self.made = 0

    def lend(self, handle: FakeHandle) -> DataFile | None:
        with self.lock:
            found = self.complete.get(handle.key)
            if found is not None and self.chance.random() < 0.2:
                found.evicted = True
                self.complete.pop(handle.key).settle()
                found = None
            elif found is None and self.chance.random() < 0.4:
                found = self.complete[handle.key] = DataFile(handle.fd, handle.size)
                os.lseek(handle.fd, 0, os.SEEK_SET)
                self.made += 1
            if found is not None:
                found.loans += 1
            return found

    def give_back(self, data: DataFile) -> None:
        with self.lock:
            data.loans -= 1
            data.settle()


class FakeHandle:
    def __init__(self, ino: int, path: bytes, key: Key, flipping: Flipping) -> None:
        self.ino, self.path, self.key = ino, path, key
        self.size = key[1]
        self.fd = os.open(path, os.O_RDONLY)
        self.flipping = flipping
        self.borrowed: DataFile | None = None

    def view(self, offset: int, buffer: memoryview, interrupt: Interrupt | None = None) -> memoryview:
        return buffer[: self.read_into(offset, buffer, interrupt)]

    def read_into(self, offset: int, buffer: memoryview, interrupt: Interrupt | None = None) -> int:
        name = os.path.basename(self.path)
        if name == b"fault":
            raise ZeroDivisionError("a bug")
        if name == b"broken":
            raise MalformedSource("it ends early", path=os.fsdecode(self.path))
        if name == b"slow":
            self.wait(interrupt)
        if key_of(self.path) != self.key:
            raise SourceChanged("it was replaced", path=os.fsdecode(self.path))
        return os.preadv(self.fd, [buffer], offset)

    def wait(self, interrupt: Interrupt | None) -> None:
        log.info("reading slow")
        interrupted = threading.Event()
        if interrupt is not None:
            interrupt.then(interrupted.set)
        go = os.path.join(os.path.dirname(self.path), b"go")
        while not os.path.exists(go):
            if interrupted.wait(0.02):
                log.info("interrupted slow")
                raise Interrupted("nobody waits for it")

    def backing(self) -> int | None:
        name = os.path.basename(self.path)
        if name == b"model.bin":
            return self.fd
        if name.startswith(b"flip") and self.borrowed is None:
            self.borrowed = self.flipping.lend(self)
        return self.borrowed.descriptor if self.borrowed else None

    def close(self) -> None:
        if os.path.basename(self.path) == b"slow":
            log.info("released slow")
        if self.borrowed:
            self.flipping.give_back(self.borrowed)
        os.close(self.fd)


class Counters(FakeHandle):
    """What the adapter counted when it was opened, as JSON of a fixed size."""

    def __init__(self, ino: int, text: bytes) -> None:
        self.ino, self.size, self.text = ino, len(text), text

    def read_into(self, offset: int, buffer: memoryview, interrupt: Interrupt | None = None) -> int:
        part = self.text[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def backing(self) -> int | None:
        return None

    def close(self) -> None:
        pass


def key_of(path: bytes) -> Key:
    found = os.stat(path)
    return (path, found.st_size, found.st_mtime_ns, found.st_ino)


class FakeTree:
    """`counters` is set once there is an adapter. The file is another one with each look-up: no cache."""

    ROOT = 1

    def __init__(self, root: Path) -> None:
        self.counters: Callable[[], dict[str, object]] = dict
        self.flipping = Flipping()
        self.lock = threading.Lock()
        self.numbers = itertools.count(2)
        self.inodes: dict[Key, int] = {}
        self.keys: dict[int, Key] = {1: (os.fsencode(root), 0, 0, 0)}

    def lookup(self, parent: int, name: str) -> Attributes:
        path = os.path.join(self.keys[parent][0], os.fsencode(name))
        if name == "counters" and parent == self.ROOT:
            return self.attributes(COUNTERS)
        try:
            key = (path, 0, 0, 0) if os.path.isdir(path) else key_of(path)
        except FileNotFoundError:
            raise NoSuchEntry("no such name") from None
        with self.lock:
            if key not in self.inodes:
                self.inodes[key] = next(self.numbers)
                self.keys[self.inodes[key]] = key
        return self.attributes(self.inodes[key])

    def attributes(self, ino: int) -> Attributes:
        if ino == COUNTERS:
            return Attributes(ino, "file", 0o644, COUNTERS_SIZE, 0, time.time_ns(), 1)
        path, size, mtime_ns, _ = self.keys[ino]
        if os.path.isdir(path):
            return Attributes(ino, "directory", 0o755, 0, 0, 0, 2)
        return Attributes(ino, "file", 0o644, size, 512 * 3, mtime_ns, 1)

    def entries(self, ino: int) -> list[tuple[str, Attributes]]:
        names = sorted(os.fsdecode(name) for name in os.listdir(self.keys[ino][0]))
        return [(name, self.lookup(ino, name)) for name in names]

    def open(self, ino: int) -> FakeHandle:
        if ino == COUNTERS:
            told = self.counters() | {"data_files": self.flipping.made}
            return Counters(ino, json.dumps(told).encode().ljust(COUNTERS_SIZE))
        key = self.keys[ino]
        if key_of(key[0]) != key:
            raise StaleHandle("an earlier version")
        return FakeHandle(ino, key[0], key, self.flipping)

    def xattrs(self, ino: int) -> dict[str, bytes]:
        return {"user.prismfs.target": b"fake", "user.prismfs.number": str(ino).encode()}

    def statfs(self) -> os.statvfs_result:
        return os.statvfs(self.keys[1][0])


def main(source: str, mountpoint: str, fuse: str, threads: str = "") -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    if threads:
        workers.THREADS = int(threads)
    point = points.resolved(mountpoint)
    points.prepare(Path(source).resolve(), point)
    tree = FakeTree(Path(source).resolve())
    adapter = adapters.made(fuse, tree)

    def told() -> dict[str, object]:
        reads = adapter.observed.reads()
        observed = {"answered": reads.count, "answered_bytes": reads.bytes, "seconds": reads.seconds}
        return adapter.counters() | observed | {"errors": adapter.observed.errors()}

    tree.counters = told
    done = lifecycle.run([lifecycle.Served(adapter, point)], lambda: print("ready", flush=True))
    return 0 if done else 9


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
