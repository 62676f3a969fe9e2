"""How files are read under measurement, and what the page cache holds before.

A reader returns a rate and is never the bottleneck: preadv into one buffer, a map of which NumPy touches a
byte a page, or fio for what is a microsecond each. "Cold" is proved: where pages stay that were to go, all
of the machine's are dropped, or the reading says so. Knows nothing of prismfs.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BLOCK = 1 << 20
_PAGE = mmap.PAGESIZE
# So many random reads, or for so long (seconds): what is slow need not do them all.
_HOT_READS, _COLD_READS, _LONGEST = 400_000, 12_000, 3
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


@dataclass(frozen=True)
class Reader:
    """A way to read. `rate(path, cold)` is in `unit`; `cold` only says that fewer reads will do."""

    name: str
    unit: str
    rate: Callable[[Path, bool], float]


def sequential(path: Path, cold: bool = False) -> float:
    """MB/s of reading a file once from front to end, 1 MiB a call."""
    buffer = [memoryview(bytearray(BLOCK))]
    started, offset = time.perf_counter(), 0
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while count := os.preadv(descriptor, buffer, offset):
            offset += count
    finally:
        os.close(descriptor)
    return offset / 1e6 / (time.perf_counter() - started)


def walk(path: Path, cold: bool = False) -> float:
    """MB/s of mapping a file and touching each of its pages, in order."""
    started = time.perf_counter()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ) as pages:
        view = np.frombuffer(pages, np.uint8)
        size = view.size
        view[::_PAGE].max()
        del view
    return size / 1e6 / (time.perf_counter() - started)


def random(path: Path, cold: bool = False) -> float:
    """4 KiB reads a second at random offsets, by fio's psync engine; the offsets are the same each time."""
    reads = _COLD_READS if cold else _HOT_READS
    command = [
        "fio", "--name=random", f"--filename={path}", "--readonly", "--rw=randread", "--bs=4k",
        "--ioengine=psync", "--invalidate=0", "--fadvise_hint=0", "--norandommap=1", "--gtod_reduce=1",
        "--thread", f"--runtime={_LONGEST}", f"--io_size={reads * 4096}", "--output-format=json",
    ]  # fmt: skip
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(json.loads(told[told.index("{") :])["jobs"][0]["read"]["iops"])


SEQUENTIAL = Reader("read 1 MiB", "MB/s", sequential)
WALK = Reader("mmap walk", "MB/s", walk)
RANDOM = Reader("random 4 KiB", "reads/s", random)
READERS = (SEQUENTIAL, WALK, RANDOM)


def warm(paths: Iterable[Path]) -> None:
    """Read files into the page cache."""
    for path in paths:
        sequential(path)


def drop(paths: Iterable[Path]) -> float:
    """Take files out of the page cache; returns the part of their bytes that stayed, 0 to 1."""
    paths = list(paths)
    for path in paths:
        _forget(path)
    if resident(paths) > 0.01 and os.geteuid() == 0:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("1")
    return resident(paths)


def resident(paths: Iterable[Path]) -> float:
    """The part of the files' pages that is in the page cache, 0 to 1."""
    counts = [_resident_pages(path) for path in paths]
    pages = sum(of for _, of in counts)
    return sum(held for held, _ in counts) / pages if pages else 0.0


def reclaims() -> bool:
    """Whether the kernel reclaims cold pages by itself (DAMON): files leave the page cache within seconds."""
    return any(_name(path).startswith("kdamond") for path in Path("/proc").glob("[0-9]*/comm"))


def _name(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended meanwhile
        return ""


def _forget(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)  # dirty pages stay
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _resident_pages(path: Path) -> tuple[int, int]:
    if not path.stat().st_size:
        return 0, 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ) as pages:
        view = np.frombuffer(pages, np.uint8)
        held = np.zeros(-(-view.size // _PAGE), np.uint8)
        failed = _LIBC.mincore(view.ctypes.data, view.size, held.ctypes.data)
        del view
    return (0 if failed else int((held & 1).sum())), len(held)
