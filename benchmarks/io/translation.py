"""Item 1: cold translation, against the kernels without a mount: what do FUSE, engine and store add?

The same layout is translated by as many threads without any of these (`bare.py`), in turns with readings
through a fresh mount, the source in the page cache. Somebody has to hand the bytes over: a mount without a
store is compared with a pipe to its reader, one with a store with a plain file on the same disk that is
written and read meanwhile. Translation that nobody reads is shown beside.
Target: the difference is at most 15 % of the wall time. A sampling profile says where the rest goes.

Twice: with our kernels (`run`), and with libggml's (`by_libggml`), which the target was set for: the faster
the kernels, the less time is 15 % of the wall time.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

from benchmarks.findings import Findings, Row, at_most
from benchmarks.io.profile import recorded
from benchmarks.io.setting import Setting
from benchmarks.reading import sequential, warm
from translators.quants import kernels

TARGETS = ("model.gguf-q8_0", "model.gguf-f16")
_WAYS = {
    "mfusepy": ("--fuse", "mfusepy"),
    "mfusepy, no store": ("--fuse", "mfusepy", "--no-cache"),
    "kernel": ("--fuse", "kernel"),
    "kernel, no store": ("--fuse", "kernel", "--no-cache"),
}
_ALONE, _PIPE, _FILE = "translation alone", "to a pipe, read", "to a plain file, read"
_BARE = {_ALONE: "alone", _PIPE: "pipe", _FILE: "file"}
_WANTED = 15.0


@dataclass(frozen=True)
class Sample:
    """Seconds for one file: by the clock, of the daemon's (or bare process's) processors, of the reader's."""

    wall: float
    cpu: float
    reader: float = 0.0


def run(setting: Setting) -> Findings:
    """Both types in all four ways, and a profile of each type."""
    found, by = Findings(), f"{kernels.in_use()} kernels"
    for name in TARGETS:
        ways = [*_BARE, *_WAYS]
        samples: dict[str, list[Sample]] = {way: [] for way in ways}
        for _ in range(setting.repeat):
            for way in ways:
                samples[way].append(_sample(setting, name, way))
        _tell(setting, f"{name}, {by}", samples, found)
        for way in ("mfusepy", "kernel"):
            title = f"{name}, {by}: where the daemon's time goes ({way})"
            found.tables[title] = profiled(setting, name, _WAYS[way])
    return found


def by_libggml(setting: Setting) -> Findings:
    """The same with libggml's kernels, in the bare processes and in the daemons."""
    with _libggml():
        return run(setting)


@contextmanager
def _libggml() -> Iterator[None]:
    """Processes that are started meanwhile have no kernels but libggml's."""
    before = os.environ.get(kernels.VARIABLE)
    os.environ[kernels.VARIABLE] = "ggml"
    try:
        yield
    finally:
        del os.environ[kernels.VARIABLE]
        if before is not None:
            os.environ[kernels.VARIABLE] = before


def profiled(setting: Setting, name: str, flags: Sequence[str]) -> list[Row]:
    """Thread-seconds of the daemon by category while it translates one file."""
    with setting.mounted(*flags) as daemon:
        path = _ready(setting, setting.path(daemon, name))
        with recorded(daemon.pid, setting.work) as profile:
            started = time.monotonic()
            sequential(path)
            wall = time.monotonic() - started
    return profile.rows(wall)


def _tell(setting: Setting, name: str, samples: dict[str, list[Sample]], found: Findings) -> None:
    rows = found.tables[f"{name}, cold, source in the page cache, {setting.workers} workers"] = []
    bare = {way: _medians(samples[way]) for way in _BARE}
    alone = bare[_ALONE]
    for way, taken in samples.items():
        shown = _medians(taken)
        row: Row = {"by": way, "seconds": shown.wall, "over alone, %": _share(shown, alone)}
        # These say the same on a machine that has more to do.
        row |= {"processor seconds": shown.cpu, "of the reader": shown.reader}
        rows.append(row | {"more than alone, %": 100 * (shown.cpu + shown.reader - alone.cpu) / alone.cpu})
        if way in _WAYS:
            other = _PIPE if "no store" in way else _FILE
            overhead = row["overhead, %"] = _share(shown, bare[other])
            title = f"cold {name.removeprefix('model.gguf-')}, {way}: overhead of the wall time ({other})"
            found.targets.append(at_most(title, overhead, _WANTED, " %"))


def _share(shown: Sample, bare: Sample) -> float:
    """How much of a reading's wall time is beyond `bare`, in percent."""
    return 100 * (shown.wall - bare.wall) / shown.wall


def _medians(samples: Sequence[Sample]) -> Sample:
    return Sample(*(median(column) for column in zip(*map(astuple, samples), strict=True)))


def _sample(setting: Setting, name: str, way: str) -> Sample:
    if way in _WAYS:
        return _mounted(setting, name, way)
    return _bare(setting, name, _BARE[way])


def _bare(setting: Setting, name: str, way: str) -> Sample:
    warm(setting.sources)
    command = [
        sys.executable,
        "-m",
        "benchmarks.io.bare",
        str(setting.model),
        name,
        str(setting.workers),
        way,
    ]
    command.append(str(setting.work / "translated"))
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return Sample(told["wall"], told["cpu"], told["reader"])


def _mounted(setting: Setting, name: str, way: str) -> Sample:
    with setting.mounted(*_WAYS[way]) as daemon:
        path = _ready(setting, setting.path(daemon, name))
        before, own = daemon.cpu(), _own_cpu()
        started = time.monotonic()
        sequential(path)
        wall = time.monotonic() - started
        return Sample(wall, daemon.cpu() - before, _own_cpu() - own)


def _ready(setting: Setting, path: Path) -> Path:
    """Planned, and the source in the page cache: what is left is to translate."""
    os.close(os.open(path, os.O_RDONLY))
    warm(setting.sources)
    return path


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
