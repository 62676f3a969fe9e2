"""`make bench-kernels`: our quantisers against libggml's on one core, as ratios in one run.

Processor time of one thread, so that a busy machine disturbs less; each figure is the median of runs that
take turns. Exit code 0 whatever was measured; with --strict 1 where a target does not hold.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console

from benchmarks.findings import Findings, at_least, at_most, summary, write
from tests.translators import kernel_cases as cases
from translators.dtypes import DTYPES
from translators.quants import ggml, kernels

# What the issue asks for, as times libggml's speed: (type, with column weights) by build.
TARGETS = {
    "avx2": {
        ("Q4_K", False): 9, ("Q5_K", False): 9, ("Q6_K", False): 7, ("Q8_0", False): 8, ("Q4_0", False): 2.5,
        ("Q4_K", True): 8, ("Q5_K", True): 8, ("IQ4_NL", False): 18, ("IQ4_XS", False): 18,
        ("Q2_K", False): 6, ("Q3_K", False): 4,
    },
    "avx512": {("Q4_K", False): 11},
}  # fmt: skip
PLACED = ("Q8_0", "Q4_K", "Q6_K")
SLOWEST_PLACE = 1.3
_PAGE = 4096
_MOST = 1 << 18  # weights of a call, which stay in a core's cache; slow types get fewer
_SECONDS = 0.015  # that libggml may take for a run, of one call or several
_ROW = 2048
_READ = 1 << 14  # weights that are quantised to be read, again and again
_TURNS = 16  # calls of a thread, of about 10 ms each, where threads are compared

Work = Callable[[], object]


class Subject:
    """Weights in one source type, room for what is made of them, and the ways to make it."""

    def __init__(self, target: str, source: str, weighted: bool, count: int) -> None:
        self.target, self.source = DTYPES[target], DTYPES[source]
        values = np.random.default_rng(1).standard_normal(count, np.float32) * np.float32(0.02)
        self.raw = cases.stored(values, source)
        self.columns = cases.columns(2, _ROW) if weighted else None
        self.made = np.empty(self.target.nbytes(count), np.uint8)
        self.scratch = np.empty(count, np.float32)
        self.count = count

    def libggml(self) -> None:
        """Widened by libggml where that is needed, then its quantiser."""
        values = self.scratch
        if self.source.name == "F32":
            values = self.raw.view(np.float32)
        else:
            ggml.dequantise(self.source, self.raw, values)
        length = self.count if self.columns is None else self.columns.size
        ggml._library().ggml_quantize_chunk(
            self.target.gguf, values.ctypes.data, self.made.ctypes.data, 0, self.count // length, length,
            None if self.columns is None else self.columns.ctypes.data,
        )  # fmt: skip

    def ours(self, build: str, work: int = 0) -> None:
        """One of our builds, the result checked as well."""
        kernels.quantise(
            self.source, self.target, self.raw, self.made,
            check_result=True, columns=self.columns, build=build, work=work,
        )  # fmt: skip


def main() -> int:
    """Measure, show, and write the figures where asked."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    options.add_argument("--repeat", type=int, default=15, help="runs of which the median counts")
    options.add_argument("--types", nargs="+", default=cases.TYPES[1:], choices=cases.TYPES[1:])
    options.add_argument("--json", type=Path, help="write the figures there as well")
    options.add_argument("--strict", action="store_true", help="exit with 1 where a target does not hold")
    chosen = options.parse_args()
    if not kernels.builds():
        sys.exit("the kernels are not built: make kernels")
    found = {
        "speed": _speed(chosen.types, chosen.repeat),
        "reading": _reading(chosen.repeat),
        "placement": _placement(chosen.repeat),
        "threads": _threads(chosen.repeat),
    }
    console = Console(width=None if sys.stdout.isatty() else 160)
    for findings in found.values():
        findings.show(console)
    if chosen.json:
        facts = {"machine": platform.machine(), "processors": os.cpu_count(), "builds": kernels.builds()}
        write(chosen.json, facts, found)
    misses = summary(console, found)
    return 1 if chosen.strict and misses else 0


def _medians(works: dict[str, Work], repeat: int, calls: int = 1) -> dict[str, float]:
    """Seconds of processor time of a call of each; all take turns, `repeat` runs of `calls`."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeat + 1):
        for name, work in works.items():
            started = time.thread_time()
            for _ in range(calls):
                work()
            if turn:  # the first one warms up
                times[name].append((time.thread_time() - started) / calls)
    return {name: median(each) for name, each in times.items()}


def _sized(target: str, source: str, weighted: bool) -> tuple[Subject, int]:
    """A subject, and how many calls of it libggml needs about `_SECONDS` for."""
    probe = Subject(target, source, weighted, 32 * _ROW)
    probe.libggml()
    seconds = _medians({"libggml": probe.libggml}, 1)["libggml"]
    rows = int(_SECONDS / max(seconds, 1e-6) * probe.count) // _ROW
    subject = Subject(target, source, weighted, min(max(rows, 32) * _ROW, _MOST))
    return subject, max(rows * _ROW // subject.count, 1)


def _speed(types: tuple[str, ...], repeat: int) -> Findings:
    findings = Findings(notes=["speeds: million weights a second of one core; times: libggml's in this run"])
    rows = []
    for target in types:
        for weighted in (False, True) if target in ggml.WEIGHTED else (False,):
            for source in cases.SOURCES if not weighted else ("F32",):
                if source == target:
                    continue
                subject, calls = _sized(target, source, weighted)
                works: dict[str, Work] = {"libggml": subject.libggml}
                for build in kernels.builds():
                    works[build] = lambda build=build, subject=subject: subject.ours(build)
                seconds = _medians(works, repeat, calls)
                speed = {name: subject.count / each / 1e6 for name, each in seconds.items()}
                kind = "columns" if weighted else ""
                row: dict[str, object] = {"type": target, "weights": kind, "from": source}
                for name, each in speed.items():
                    row[name] = each
                    if name != "libggml":
                        row[f"{name}, times"] = each / speed["libggml"]
                rows.append(row)
                if source == "F32":
                    _hold(findings, target, weighted, speed)
    findings.tables["speed"] = rows
    return findings


def _hold(findings: Findings, target: str, weighted: bool, speed: dict[str, float]) -> None:
    for build, targets in TARGETS.items():
        if build in speed and (target, weighted) in targets:
            name = f"{target}{' with column weights' if weighted else ''}, {build}"
            times = speed[build] / speed["libggml"]
            findings.targets.append(at_least(name, times, targets[target, weighted], "x"))


def _reading(repeat: int) -> Findings:
    """The way back, as a conversion does it: by a kernel of our own where there is one, against libggml's.

    Blocks are made of random weights; what libggml makes with an importance matrix only is made with one.
    """
    findings = Findings(notes=["speeds: million weights a second of one core, to float32"])
    rows = []
    for name in (name for name, kind in DTYPES.items() if ggml.decodes(kind) and ggml.encodes(kind)):
        kind = DTYPES[name]
        columns = cases.columns(2, _ROW) if name in ggml.NEEDS_IMATRIX else None
        some = np.empty(kind.nbytes(_READ), np.uint8)
        values = np.random.default_rng(1).standard_normal(_READ, np.float32)
        ggml.quantise(kind, values, some, columns)
        raw, out = np.tile(some, _MOST // _READ), np.empty(_MOST, np.float32)
        works: dict[str, Work] = {"libggml": partial(ggml.dequantise, kind, raw, out)}
        if kernels.reads(kind):
            works["ours"] = partial(kernels.dequantise, kind, raw, out)
        speed = {way: _MOST / each / 1e6 for way, each in _medians(works, repeat, 8).items()}
        row: dict[str, object] = {"type": name, **speed}
        if "ours" in speed:
            row["times"] = speed["ours"] / speed["libggml"]
            findings.targets.append(at_least(f"{name} is read", speed["ours"] / speed["libggml"], 1, "x"))
        rows.append(row)
    findings.tables["reading blocks"] = rows
    return findings


def _placement(repeat: int) -> Findings:
    """The same run with its own memory at many places of a page: the slowest against the median one."""
    findings = Findings()
    build = kernels.builds()[-1]
    room = np.empty(kernels.WORK_BYTES + 2 * _PAGE, np.uint8)
    page = -(-room.ctypes.data // _PAGE) * _PAGE
    rows = []
    for target in PLACED:
        subject, calls = _sized(target, "F32", False)
        works: dict[str, Work] = {
            str(offset): lambda at=page + offset, subject=subject: subject.ours(build, at)
            for offset in range(0, _PAGE, 128)
        }
        seconds = _medians(works, repeat, calls)
        ratio = max(seconds.values()) / median(seconds.values())
        fastest = max(seconds.values()) / min(seconds.values())
        rows.append({"type": target, "slowest / median": ratio, "slowest / fastest": fastest})
        findings.targets.append(at_most(f"{target}, {build}: slowest place", ratio, SLOWEST_PLACE, "x"))
    findings.tables["placement of the workspace"] = rows
    return findings


def _threads(repeat: int) -> Findings:
    """Two threads at once against one: what a second one adds. By the clock: a busy machine shows.

    By the processor's time as well, which waiting for a processor is no part of, nor for the other thread.
    """
    findings = Findings()
    build = kernels.builds()[-1]
    subjects = [Subject("Q4_K", "F32", False, 4 * _MOST) for _ in range(2)]

    def seconds(count: int) -> tuple[float, float]:
        """What `count` threads take to do as much each, so much that starting them is nothing."""
        begin, used = threading.Barrier(count + 1), []

        def work(subject: Subject) -> None:
            begin.wait()
            before = time.thread_time()
            for _ in range(_TURNS):
                subject.ours(build)
            used.append(time.thread_time() - before)

        threads = [threading.Thread(target=work, args=(subject,)) for subject in subjects[:count]]
        for thread in threads:
            thread.start()
        begin.wait()
        started = time.monotonic()
        for thread in threads:
            thread.join()
        return time.monotonic() - started, max(used)

    seconds(2)
    rows = []
    for _ in range(repeat):  # one after the other: what else the machine does may change meanwhile
        one, two = seconds(1), seconds(2)
        rows.append((one[0] * 1e3, two[0] * 1e3, 2 * one[0] / two[0], 2 * one[1] / two[1]))
    shown = [median(column) for column in zip(*rows, strict=True)]
    columns = ("one, ms", "two, ms", "times one", "times one, by processor time")
    findings.tables["threads"] = [dict(zip(columns, shown, strict=True))]
    findings.targets.append(at_least("two threads against one", shown[2], 1.8, "x"))
    return findings


if __name__ == "__main__":
    sys.exit(main())
