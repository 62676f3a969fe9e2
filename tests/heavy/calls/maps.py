"""Maps: private, shared, populated, kept, writable; and what is asked and advised about them."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from contextlib import closing

import numpy as np

from tests.heavy.calls.reader import LIBC, PAGE, Op, Reader, prove
from tests.heavy.comparing import WrongBytes

_ADVICE = (mmap.MADV_WILLNEED, mmap.MADV_DONTNEED, mmap.MADV_RANDOM, mmap.MADV_SEQUENTIAL, mmap.MADV_NORMAL)


def _window(reader: Reader, op: Op, descriptor: int, flags: int, prot: int) -> tuple[mmap.mmap, int]:
    """A map of the pages of the range, and where in it the range begins."""
    start = op.offset // PAGE * PAGE
    length = min(op.offset + op.length, reader.size) - start
    return mmap.mmap(descriptor, length, flags=flags, prot=prot, offset=start), op.offset - start


def mapped(flags: int) -> Callable[[Reader, Op], None]:
    def run(reader: Reader, op: Op) -> None:
        window, start = _window(reader, op, reader.descriptor(), flags, mmap.PROT_READ)
        with closing(window):
            reader.check(op.offset, op.length, window[start : start + op.length])

    return run


def kept_map(reader: Reader, op: Op) -> None:
    reader.check(op.offset, op.length, reader.map[op.offset : op.offset + op.length])


def private_writable(reader: Reader, op: Op) -> None:
    """A copy of one's own may be written; nobody else sees that."""
    prot = mmap.PROT_READ | mmap.PROT_WRITE
    window, start = _window(reader, op, reader.descriptor(), mmap.MAP_PRIVATE, prot)
    with closing(window):
        right = reader.right(op.offset, op.length)
        changed = bytes([right[0] ^ 0xFF])
        window[start : start + 1] = changed
        reader.check(op.offset, op.length, right[:1] + window[start + 1 : start + op.length])
        if window[start : start + 1] != changed:
            raise WrongBytes(f"{reader.target.name}: a private copy forgot what was written")
    reader.check(op.offset, 1, os.pread(reader.descriptor(), 1, op.offset))


def shared_writable(reader: Reader, op: Op) -> None:
    """As MLX and OpenVINO do: opened to write, mapped to write, and never written."""
    with reader.opened(os.O_RDWR) as descriptor:
        prot = mmap.PROT_READ | mmap.PROT_WRITE
        window, start = _window(reader, op, descriptor, mmap.MAP_SHARED, prot)
        with closing(window):
            reader.check(op.offset, op.length, window[start : start + op.length])
        reader.check(op.offset, op.length, os.pread(descriptor, op.length, op.offset))


def madvise(reader: Reader, op: Op) -> None:
    start = op.offset // PAGE * PAGE
    length = min(op.offset + op.length, reader.size) - start
    reader.map.madvise(_ADVICE[op.choice % len(_ADVICE)], start, length)
    kept_map(reader, op)


def mincore(reader: Reader, op: Op) -> None:
    """Only asks; an answer of another process's pages may be refused, an error may not be."""
    view = np.frombuffer(reader.map, np.uint8)
    start = op.offset // PAGE * PAGE
    pages = -(-(min(op.offset + op.length, reader.size) - start) // PAGE)
    told = ctypes.create_string_buffer(pages)
    address = ctypes.c_void_p(view.ctypes.data + start)
    prove(LIBC.mincore(address, ctypes.c_size_t(pages * PAGE), told))
