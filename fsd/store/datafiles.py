"""Data files: one sparse file for each layout, named by its identity; chunk n lies at n MiB.

Reads and writes may run side by side. A file's descriptor stays open while anybody reads through it, also
when the file was removed meanwhile. Where a sequence of chunks has to come from the disk, the next ones are
fetched ahead of their reader. Knows nothing of which chunks are right.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fsd.engine import CHUNK

_OPEN_FILES = 64
# What a reader that goes on and on will want next is fetched so far ahead of it (bytes).
_AHEAD = 4 * CHUNK
# Of how many chunks read lately a file remembers that they were: several readers may share it.
_RECENT = 8
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
        self._asks_cache = hasattr(os, "RWF_NOWAIT")

    def read(self, identity: str, number: int, start: int, buffer: memoryview) -> int:
        """Fill `buffer` from byte `start` of a chunk; returns how many bytes there were."""
        descriptor = self._descriptor(identity, os.O_RDWR)
        offset = number * CHUNK + start
        done = self._at_once(descriptor, buffer, offset)
        if done < len(buffer) and descriptor.is_cold_run(number):
            end = offset + len(buffer)
            os.posix_fadvise(descriptor.number, end, _AHEAD, os.POSIX_FADV_WILLNEED)
        while done < len(buffer):
            got = os.preadv(descriptor.number, [buffer[done:]], offset + done)
            if not got:
                break
            done += got
        descriptor.note(number)
        return done

    def allocate(self, identity: str, number: int, length: int) -> None:
        """Have the disk's space for bytes that are about to be written, from a chunk on."""
        descriptor = self._descriptor(identity, os.O_RDWR | os.O_CREAT)
        _allocate(descriptor.number, number * CHUNK, length)

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

    def fit(self, identity: str, size: int, *, cut: bool) -> Version | None:
        """Which file it is that holds `size` bytes, no more (what is behind them is `cut`) and no fewer."""
        descriptor = self._descriptor(identity, os.O_RDWR)
        if cut and os.fstat(descriptor.number).st_size > size:
            os.ftruncate(descriptor.number, size)
        found = version(descriptor.number)
        return found if found.size == size else None

    def lend(self, identity: str) -> int:
        """A descriptor of its own for somebody who only reads; the caller's to close."""
        return os.open(self.directory / identity, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def discard(self, identity: str) -> None:
        """Remove a file that nobody reads by himself, and give back its space at once."""
        with contextlib.suppress(FileNotFoundError):
            os.truncate(self.directory / identity, 0)
        self.unlink(identity)

    def unlink(self, identity: str) -> None:
        """Remove a file; who has it open goes on to read it, and its space is given back after the last."""
        # Within the lock: a late reader must not open the old file anew, for the next writer to find.
        with self._lock:
            self._open.pop(identity, None)
            (self.directory / identity).unlink(missing_ok=True)

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

    def _at_once(self, descriptor: _Descriptor, buffer: memoryview, offset: int) -> int:
        """How much of `buffer` the page cache filled."""
        if not self._asks_cache:
            return 0
        try:
            return os.preadv(descriptor.number, [buffer], offset, os.RWF_NOWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
            self._asks_cache = False  # a file system that cannot tell
            return 0

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
    """A file descriptor, closed with the last reference to it: never under a reader's hands.

    It remembers, without a lock, the numbers of the chunks read and fetched ahead lately: a guess that is
    lost between two threads costs nothing but time.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._read: tuple[int, ...] = ()
        self._fetched: tuple[int, ...] = ()

    def note(self, number: int) -> None:
        """A chunk, or a part of it, was read."""
        if number not in self._read:
            self._read = (*self._read[1 - _RECENT :], number)

    def is_cold_run(self, number: int) -> bool:
        """Whether a chunk, which is not in the page cache, goes on a sequence; once for each."""
        if number - 1 not in self._read or number in self._fetched:
            return False
        self._fetched = (*self._fetched[1 - _RECENT :], number)
        return True

    def __del__(self) -> None:
        os.close(self.number)


@dataclass(frozen=True, slots=True)
class Version:
    """Which file, and as of which change, a descriptor leads to."""

    device: int
    inode: int
    size: int
    mtime_ns: int


def version(descriptor: int) -> Version:
    """What is found behind `descriptor` now."""
    found = os.fstat(descriptor)
    return Version(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _allocate(descriptor: int, offset: int, length: int) -> None:
    """Have the disk's space for bytes that are about to be written, as far as the file system can.

    ext4 otherwise reserves it block by block while they are written: a third of what that costs, at times far
    more (1.7 ms for a mebibyte were seen, and 0.2 with this). Raises OSError where the disk is full.
    """
    if _fallocate(descriptor, _KEEP_SIZE, offset, length):
        number = ctypes.get_errno()
        if number in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
            raise OSError(number, os.strerror(number))


def punch(descriptor: int, offset: int, length: int) -> None:
    """Give back the space of a range of a file; it reads as zeros, and the file keeps its size."""
    if _fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, offset, length):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
