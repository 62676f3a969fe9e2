"""A daemon over a plain directory: the real adapter and life cycle, without models.

    python fake_daemon.py SOURCE MOUNTPOINT ADAPTER

Files appear as they are, one inode number for each version of a file. By name: `model.bin` has a backing
descriptor, `fault` raises an unexpected exception when read, `broken` a translation error, `slow` takes six
seconds for each request; a directory's `xattr` and statfs are made up. A handle whose file was replaced says
SourceChanged.
"""

# A tree works on names as bytes.
# ruff: noqa: PTH112, PTH119, PTH208

from __future__ import annotations

import itertools
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from fsd.engine.interrupt import Interrupt
from fsd.errors import NoSuchEntry, StaleHandle
from fsd.mount import adapters, lifecycle, points
from translators.errors import MalformedSource, SourceChanged

Key = tuple[bytes, int, int, int]


@dataclass(frozen=True)
class Attributes:
    ino: int
    kind: str
    mode: int
    size: int
    allocated: int
    mtime_ns: int
    nlink: int


class FakeHandle:
    def __init__(self, ino: int, path: bytes, key: Key) -> None:
        self.ino, self.path, self.key = ino, path, key
        self.size = key[1]
        self.fd = os.open(path, os.O_RDONLY)

    def read_into(self, offset: int, buffer: memoryview, interrupt: Interrupt | None = None) -> int:
        name = os.path.basename(self.path)
        if name == b"fault":
            raise ZeroDivisionError("a bug")
        if name == b"broken":
            raise MalformedSource("it ends early", path=os.fsdecode(self.path))
        if name == b"slow":
            time.sleep(6)
        if key_of(self.path) != self.key:
            raise SourceChanged("it was replaced", path=os.fsdecode(self.path))
        return os.preadv(self.fd, [buffer], offset)

    def backing(self) -> int | None:
        return self.fd if os.path.basename(self.path) == b"model.bin" else None

    def close(self) -> None:
        os.close(self.fd)


def key_of(path: bytes) -> Key:
    found = os.stat(path)
    return (path, found.st_size, found.st_mtime_ns, found.st_ino)


class FakeTree:
    ROOT = 1

    def __init__(self, root: Path) -> None:
        self.lock = threading.Lock()
        self.numbers = itertools.count(2)
        self.inodes: dict[Key, int] = {}
        self.keys: dict[int, Key] = {1: (os.fsencode(root), 0, 0, 0)}

    def lookup(self, parent: int, name: str) -> Attributes:
        path = os.path.join(self.keys[parent][0], os.fsencode(name))
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
        path, size, mtime_ns, _ = self.keys[ino]
        if os.path.isdir(path):
            return Attributes(ino, "directory", 0o755, 0, 0, 0, 2)
        return Attributes(ino, "file", 0o644, size, 512 * 3, mtime_ns, 1)

    def entries(self, ino: int) -> list[tuple[str, Attributes]]:
        names = sorted(os.fsdecode(name) for name in os.listdir(self.keys[ino][0]))
        return [(name, self.lookup(ino, name)) for name in names]

    def open(self, ino: int) -> FakeHandle:
        key = self.keys[ino]
        if key_of(key[0]) != key:
            raise StaleHandle("an earlier version")
        return FakeHandle(ino, key[0], key)

    def xattrs(self, ino: int) -> dict[str, bytes]:
        return {"user.prismfs.target": b"fake", "user.prismfs.number": str(ino).encode()}

    def statfs(self) -> os.statvfs_result:
        return os.statvfs(self.keys[1][0])


def main(source: str, mountpoint: str, fuse: str) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    point = points.resolved(mountpoint)
    points.prepare(Path(source).resolve(), point)
    adapter = adapters.made(fuse, FakeTree(Path(source).resolve()))
    done = lifecycle.run(adapter, point, on_ready=lambda: print("ready", flush=True))
    return 0 if done else 9


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
