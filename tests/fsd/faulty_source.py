"""A file system that fails on command: a directory passed through, with faults by path.

    with faulty(directory, mountpoint, home) as source:
        source.befall(Fault("A/*.safetensors", "EIO"))
        ...
        source.lift()

It is a process of its own. The faults in force are a JSON file that is looked at before every operation, so
what was said holds for the next one; whom a fault befell is a line in another file, so that a test can wait
until it has. A stall lasts until it is lifted: no test has to guess how long. Attributes and names are not
kept by the kernel, and files that match `direct` are read past the page cache: each read arrives.
"""

# The system calls themselves are passed on here.
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from tests.fsd.mounting import ROOT, running

# More requests in hand than any test has stalled readers: a stall of one is not to hold up the others here.
THREADS = 128
_ATTRIBUTES = "ino mode nlink uid gid size blocks blksize"
_FIGURES = "bsize frsize blocks bfree bavail files ffree favail namemax"


class Fault(msgspec.Struct, frozen=True):
    """What befalls an `operation` on the files whose paths match `paths`, the first so many `times`.

    kind: the name of an errno; "stall", until it is lifted; "short" or "empty", of a read: half of what was
    asked for, or nothing; "frozen", of getattr: what it told when it was first asked under this fault.
    """

    paths: str
    kind: str
    operation: str = "read"
    times: int = 1 << 62
    number: int = 0


class FaultySource:
    """The tests' side: `path` is the mount, `behind` the directory that it shows."""

    def __init__(self, behind: Path, path: Path, home: Path) -> None:
        self.behind = behind
        self.path = path
        self._faults, self._noted = control(home)
        self._numbers = count(1)
        self._noted.write_bytes(b"")
        self.lift()

    def befall(self, *faults: Fault) -> None:
        """From now on these faults are in force, and no others."""
        own = [msgspec.structs.replace(fault, number=next(self._numbers)) for fault in faults]
        temporary = self._faults.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(own))
        temporary.replace(self._faults)

    def lift(self) -> None:
        """No fault is in force; what stalls goes on."""
        self.befall()

    def befallen(self, kind: str) -> int:
        """How many operations a fault of this kind befell so far."""
        return sum(line.startswith(f"{kind} ") for line in self._noted.read_text().splitlines())


@contextmanager
def faulty(behind: Path, mountpoint: Path, home: Path, *, direct: str = "*") -> Iterator[FaultySource]:
    """Mount `behind` at `mountpoint`. Files that match `direct` are read past the page cache."""
    home.mkdir(parents=True, exist_ok=True)
    source = FaultySource(behind, mountpoint, home)
    server = [sys.executable, "-m", "tests.fsd.faulty_source"]
    command = [*server, str(behind), str(mountpoint), str(home), direct]
    mountpoint.mkdir(parents=True, exist_ok=True)
    with running(command, behind, mountpoint, home):
        try:
            yield source
        finally:
            source.lift()


def control(home: Path) -> tuple[Path, Path]:
    """The files through which both sides speak: faults in force, and whom they befell."""
    return home / "faults.json", home / "befallen"


class Faults:
    """The server's side: what is in force, asked before every operation."""

    def __init__(self, home: Path) -> None:
        self._file, noted = control(home)
        self._noted = os.open(noted, os.O_WRONLY | os.O_APPEND)
        self._left: dict[int, int] = {}
        self._frozen: dict[tuple[int, str], dict[str, int]] = {}
        self._lock = threading.Lock()

    def befall(self, operation: str, path: str) -> Fault | None:
        """Raise or stall as a fault in force says; gives one that changes the answer."""
        for fault in self._in_force():
            if fault.operation == operation and fnmatchcase(path, fault.paths) and self._take(fault):
                os.write(self._noted, f"{fault.kind} {operation} {path}\n".encode())
                if fault.kind == "stall":
                    while fault in self._in_force():
                        time.sleep(0.01)
                elif fault.kind.startswith("E"):
                    raise OSError(getattr(errno, fault.kind), fault.kind)
                else:
                    return fault
        return None

    def frozen(self, fault: Fault, path: str, told: dict[str, int]) -> dict[str, int]:
        """What was told first under this fault."""
        with self._lock:
            return self._frozen.setdefault((fault.number, path), told)

    def _in_force(self) -> list[Fault]:
        return msgspec.json.decode(self._file.read_bytes(), type=list[Fault])

    def _take(self, fault: Fault) -> bool:
        with self._lock:
            left = self._left.setdefault(fault.number, fault.times)
            self._left[fault.number] = left - 1
            return left > 0


class PassThrough:
    """mfusepy's operations on the files behind; a store can be kept in it, too."""

    use_ns = True

    def __init__(self, behind: str, faults: Faults, direct: str) -> None:
        self._behind = behind
        self._faults = faults
        self._direct = direct

    def init_with_config(self, connection: Any, config: Any) -> None:
        connection.max_background = connection.congestion_threshold = 2 * THREADS
        config.use_ino = 1
        config.hard_remove = 1
        config.attr_timeout = config.entry_timeout = config.negative_timeout = 0

    def getattr(self, path: str, fi: Any = None) -> dict[str, int]:
        fault = self._faults.befall("getattr", path[1:])
        found = os.lstat(self._at(path))
        told = {f"st_{name}": getattr(found, f"st_{name}") for name in _ATTRIBUTES.split()}
        told |= {f"st_{name}": getattr(found, f"st_{name}_ns") for name in ("atime", "mtime", "ctime")}
        return self._faults.frozen(fault, path, told) if fault else told

    def readdir(self, path: str, handle: int) -> Iterator[tuple[str, dict[str, int], int]]:
        self._faults.befall("readdir", path[1:])
        with os.scandir(self._at(path)) as entries:
            found = [(entry.name, entry.inode(), entry.is_dir()) for entry in entries]
        for name, inode, is_directory in found:
            yield name, {"st_mode": stat.S_IFDIR if is_directory else stat.S_IFREG, "st_ino": inode}, 0

    def open(self, path: str, fi: Any) -> int:
        self._faults.befall("open", path[1:])
        fi.fh = os.open(self._at(path), fi.flags & ~(os.O_NOFOLLOW | os.O_DIRECT))
        fi.direct_io = fnmatchcase(path[1:], self._direct)
        return 0

    def create(self, path: str, mode: int, fi: Any) -> int:
        self._faults.befall("create", path[1:])
        fi.fh = os.open(self._at(path), fi.flags | os.O_CREAT, mode)
        fi.direct_io = fnmatchcase(path[1:], self._direct)
        return 0

    def read(self, path: str, size: int, offset: int, fi: Any) -> bytes:
        fault = self._faults.befall("read", path[1:])
        if fault is not None:
            size = -(-size // 2) if fault.kind == "short" else 0
        return os.pread(fi.fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fi: Any) -> int:
        self._faults.befall("write", path[1:])
        return os.pwrite(fi.fh, data, offset)

    def flush(self, path: str, fi: Any) -> int:
        self._faults.befall("flush", path[1:])
        return 0

    def fsync(self, path: str, datasync: int, fi: Any) -> int:
        self._faults.befall("fsync", path[1:])
        os.fsync(fi.fh)
        return 0

    def release(self, path: str, fi: Any) -> int:
        os.close(fi.fh)
        return 0

    def truncate(self, path: str, length: int, fi: Any = None) -> int:
        os.truncate(self._at(path) if fi is None else fi.fh, length)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self._at(path), mode)
        return 0

    def rename(self, old: str, new: str, flags: int = 0) -> int:
        os.rename(self._at(old), self._at(new))
        return 0

    def unlink(self, path: str) -> int:
        os.unlink(self._at(path))
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self._at(path))
        return 0

    def chmod(self, path: str, mode: int, fi: Any = None) -> int:
        os.chmod(self._at(path), mode)
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        self._faults.befall("statfs", path[1:])
        found = os.statvfs(self._behind)
        return {f"f_{name}": getattr(found, f"f_{name}") for name in _FIGURES.split()}

    def _at(self, path: str) -> str:
        return self._behind + path


def main(behind: str, mountpoint: str, home: str, direct: str) -> None:
    """Serve until unmounted."""
    os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")
    import mfusepy  # noqa: PLC0415 - only the server has a binding

    options: dict[str, object] = {"fsname": "faulty", "subtype": "faulty", "default_permissions": True}
    if mfusepy.fuse_version_minor >= 12:
        options["max_threads"] = options["max_idle_threads"] = THREADS
    operations = PassThrough(behind, Faults(Path(home)), direct)
    mfusepy.FUSE(operations, mountpoint, raw_fi=True, foreground=True, **options)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(*sys.argv[1:])
