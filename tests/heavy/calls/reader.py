"""Reader: a thread's view of one target, through which operations read and compare.

Descriptors and the map are made when first needed, so that any operation can be the first.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.heavy.comparing import CHUNK, WrongBytes, difference
from tests.heavy.subject import Target

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Op:
    """An operation: a call on a target, a range that begins in the file, and a number for other choices."""

    call: str
    target: int
    offset: int
    length: int
    choice: int


class Reader:
    """One thread's descriptors and map of one target."""

    def __init__(self, path: Path, target: Target, scratch: Path) -> None:
        self.path, self.target, self.size = path, target, target.size
        self.scratch = scratch
        self._reference = os.open(target.reference, os.O_RDONLY)
        self._descriptors: dict[int, int] = {}
        self._map: mmap.mmap | None = None
        self.buffer = mmap.mmap(-1, CHUNK + PAGE)

    def descriptor(self, flags: int = os.O_RDONLY) -> int:
        """One that stays open."""
        if flags not in self._descriptors:
            self._descriptors[flags] = os.open(self.path, flags)
        return self._descriptors[flags]

    @contextmanager
    def opened(self, flags: int) -> Iterator[int]:
        """One that is closed at once."""
        descriptor = os.open(self.path, flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @property
    def map(self) -> mmap.mmap:
        """Of the whole file, shared, and kept."""
        if self._map is None:
            self._map = mmap.mmap(self.descriptor(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        return self._map

    def close(self) -> None:
        """Let go of all, for good."""
        self.let_go()
        os.close(self._reference)

    def let_go(self) -> None:
        """Close descriptors and map; the next operation opens anew."""
        if self._map is not None:
            self._map.close()
            self._map = None
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

    def right(self, offset: int, length: int) -> bytes:
        """What the file has there; fewer bytes at its end."""
        return os.pread(self._reference, max(0, min(length, self.size - offset)), offset)

    def check(self, offset: int, length: int, got: bytes, *, short: bool = False) -> None:
        """`got` has to be what `length` bytes at `offset` are, or a part from their start if `short`."""
        right = self.right(offset, length)
        if got != (right[: len(got)] if short else right):
            raise WrongBytes(f"{self.target.name}: {difference(offset, got, right)}")


def prove(result: int) -> int:
    """What a function of LIBC returned. Raises OSError where that is an error."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
