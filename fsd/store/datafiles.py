"""Data files: one sparse file for each layout, named by its identity; chunk n lies at n MiB.

Reads and writes may run side by side. A file's descriptor stays open while anybody reads through it, also
when the file was removed meanwhile. Knows nothing of which chunks are right.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from fsd.engine import CHUNK

_OPEN_FILES = 64
_NAME = re.compile(r"[0-9a-f]{64}")
# linux/falloc.h
_KEEP_SIZE, _PUNCH_HOLE = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = getattr(_libc, "fallocate64", _libc.fallocate)
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def is_name(identity: str) -> bool:
    """Whether a data file can have this name: only such files are ever touched."""
    return _NAME.fullmatch(identity) is not None


class DataFiles:
    """The data files in `directory`. Every method raises OSError."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._open: OrderedDict[str, _Descriptor] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, identity: str, number: int, buffer: bytearray) -> int:
        """Fill `buffer` from the start of a chunk; returns how many bytes there were."""
        descriptor = self._descriptor(identity, os.O_RDWR)
        view, done = memoryview(buffer), 0
        while done < len(view):
            got = os.preadv(descriptor.number, [view[done:]], number * CHUNK + done)
            if not got:
                break
            done += got
        return done

    def write(self, identity: str, number: int, data: memoryview) -> None:
        """Write a chunk; on disk for certain only after `sync`."""
        descriptor = self._descriptor(identity, os.O_RDWR | os.O_CREAT)
        done = 0
        while done < len(data):
            done += os.pwrite(descriptor.number, data[done:], number * CHUNK + done)

    def sync(self, identity: str) -> None:
        """Return when what was written to a file is on disk."""
        os.fdatasync(self._descriptor(identity, os.O_RDWR).number)

    def punch(self, identity: str, numbers: Iterable[int]) -> None:
        """Give back the space of chunks; a file that is not there has none."""
        with contextlib.suppress(FileNotFoundError):
            descriptor = self._descriptor(identity, os.O_RDWR)
            for number in numbers:
                punch(descriptor.number, number * CHUNK, CHUNK)

    def keep_only(self, identity: str, numbers: Iterable[int]) -> None:
        """Give back whatever a file takes besides these chunks."""
        descriptor = self._descriptor(identity, os.O_RDWR)
        at = 0
        for number in sorted(numbers):
            if number > at:
                punch(descriptor.number, at * CHUNK, (number - at) * CHUNK)
            at = number + 1
        os.ftruncate(descriptor.number, min(os.fstat(descriptor.number).st_size, at * CHUNK))

    def remove(self, identity: str) -> None:
        """Remove a file, and give back its space at once, whoever has it open."""
        path = self.directory / identity
        with contextlib.suppress(FileNotFoundError):
            os.truncate(path, 0)
        # Within the lock: a late reader must not open the old file anew, for the next writer to find.
        with self._lock:
            self._open.pop(identity, None)
            path.unlink(missing_ok=True)

    def sizes(self) -> dict[str, int]:
        """What each file there takes on disk, in bytes, by its name."""
        with os.scandir(self.directory) as entries:
            return {
                entry.name: entry.stat(follow_symlinks=False).st_blocks * 512
                for entry in entries
                if is_name(entry.name)
            }

    def forget(self) -> None:
        """Let go of every descriptor, once nobody reads through it."""
        with self._lock:
            self._open.clear()

    def _descriptor(self, identity: str, flags: int) -> _Descriptor:
        with self._lock:
            found = self._open.get(identity)
            if found is None:
                path = self.directory / identity
                found = _Descriptor(os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
                self._open[identity] = found
            self._open.move_to_end(identity)
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
            return found


class _Descriptor:
    """A file descriptor, closed with the last reference to it: never under a reader's hands."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


def punch(descriptor: int, offset: int, length: int) -> None:
    """Give back the space of a range of a file; it reads as zeros, and the file keeps its size."""
    if _fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, offset, length):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
