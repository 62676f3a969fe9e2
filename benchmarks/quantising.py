"""`make bench-quantise`: a model of 1.24 B weights as q4_k_m, by prismfs and by upstream's tools, in one run.

Two things are compared. The work: `prismfs export` of the Hugging Face folder with `llama-quantize` of
upstream's bf16 GGUF, as many threads each, weights in the page cache. The wait: from a cold mount to
llama.cpp's first token, with convert, quantise and load; here nothing is in the page cache, and disk space
counts as well.
Exit code 0 whatever was measured; with --strict 1 where a target does not hold.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks import billion
from benchmarks.daemon import mounted
from benchmarks.findings import Findings, at_least, at_most, summary, write
from benchmarks.reading import drop, warm
from tests.oracle.regenerate import ORACLE, convert
from translators.quants import kernels

KIND = "q4_k_m"
_TIMES = 6  # what the issue asks for
_BESIDE = 1.02  # of the file's size, what may be on disk after a first load: chunks, their index, a plan
# llama.cpp as its Python package has it: the file is mapped, all of it is read, and one token made of it.
_LOAD = """
import sys, llama_cpp
model = llama_cpp.Llama(sys.argv[1], n_ctx=512, n_threads=int(sys.argv[2]), verbose=False)
model.create_completion("Hello", max_tokens=1)
"""
_PRISMFS = [sys.executable, "-m", "fsd.cli"]


@dataclass
class Subject:
    """The model, a directory on the disk that is measured, and how often and with how many threads."""

    work: Path
    folder: Path
    threads: int
    repeat: int
    findings: Findings = field(default_factory=Findings)

    @property
    def weights(self) -> list[Path]:
        """The folder's weights."""
        return sorted(self.folder.glob("*.safetensors"))

    def path(self, name: str) -> Path:
        """A file beside the model."""
        return self.work / f"{name}.gguf"

    def seconds(self, work: Callable[[], float]) -> float:
        """The median of what `work` says it took."""
        return median(work() for _ in range(self.repeat))


def main() -> int:
    """Make the model, let both work, show and write what was found."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.quantising", description=__doc__)
    options.add_argument("--repeat", type=int, default=1, help="runs of which the median counts")
    options.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of each tool")
    options.add_argument("--model", type=Path, help="the model, if an earlier run's was kept")
    options.add_argument("--work", type=Path, help="a directory with 7 GB; else that of temporary files")
    options.add_argument("--json", type=Path, help="write the figures there as well")
    options.add_argument("--strict", action="store_true", help="exit with 1 where a target does not hold")
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # unmount, remove
    with tempfile.TemporaryDirectory(prefix="prismfs-bench-", dir=chosen.work) as name:
        work = Path(name)
        folder = chosen.model or billion.build(work / "models")
        subject = Subject(work, folder, chosen.threads, chosen.repeat)
        _compare(subject)
    console = Console(width=None if sys.stdout.isatty() else 160)
    subject.findings.show(console)
    found = {"quantising": subject.findings}
    if chosen.json:
        facts = {"threads": chosen.threads, "repeat": chosen.repeat, "kernels": kernels.in_use()}
        write(chosen.json, facts, found)
    misses = summary(console, found)
    return 1 if chosen.strict and misses else 0


def _compare(subject: Subject) -> None:
    found = subject.findings
    converting = _converted(subject)
    quantising = subject.seconds(lambda: _quantised(subject))
    exporting = subject.seconds(lambda: _exported(subject))
    same = filecmp.cmp(subject.path("ours"), subject.path("theirs"), shallow=False)
    size = subject.path("theirs").stat().st_size
    theirs_on_disk = size + subject.path("bf16").stat().st_size
    loading = subject.seconds(lambda: _loaded(subject, subject.path("theirs")))
    for name in ("bf16", "ours", "theirs"):
        subject.path(name).unlink()
    firsts = [_first_token(subject) for _ in range(subject.repeat)]
    first, on_disk = median(each[0] for each in firsts), max(each[1] for each in firsts)
    found.tables[f"{KIND} of 1.24 B weights, {subject.threads} threads"] = [
        {"step": "llama-quantize, from bf16", "seconds": quantising},
        {"step": "prismfs export, from the folder", "seconds": exporting, "times": quantising / exporting},
    ]
    theirs = converting + quantising + loading
    mounted_row = {"step": "prismfs: mount, load from it", "seconds": first, "times": theirs / first}
    found.tables["from the folder to the first token"] = [
        {"step": "convert", "seconds": converting},
        {"step": "llama-quantize", "seconds": quantising},
        {"step": "load", "seconds": loading},
        {"step": "these three", "seconds": theirs, "MB on disk": theirs_on_disk / 1e6},
        mounted_row | {"MB on disk": on_disk / 1e6},
    ]
    found.targets += [
        at_least(f"prismfs export against llama-quantize, {KIND}", quantising / exporting, _TIMES, "x"),
        at_least("the two files are equal", float(same), 1),
        at_least("first token, against convert, quantise and load", theirs / first, _TIMES, "x"),
        at_most("disk after a first load, of the file's size", on_disk / size, _BESIDE, "x"),
    ]


def _timed(command: Sequence[object]) -> float:
    started = time.monotonic()
    done = subprocess.run([*map(str, command)], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.monotonic() - started


def _converted(subject: Subject) -> float:
    drop(subject.weights)
    started = time.monotonic()
    convert(subject.folder, "bf16", subject.path("bf16"))
    return time.monotonic() - started


def _quantised(subject: Subject) -> float:
    warm([subject.path("bf16")])
    tool = ORACLE / "quantize" / "llama-quantize"
    return _timed([tool, subject.path("bf16"), subject.path("theirs"), KIND, subject.threads])


def _exported(subject: Subject) -> float:
    warm(subject.weights)
    flags = ["-o", subject.path("ours"), "--force", "--workers", subject.threads]
    return _timed([*_PRISMFS, "export", subject.folder, KIND, *flags])


def _loaded(subject: Subject, path: Path) -> float:
    return _timed([ORACLE / "llama" / "bin" / "python", "-c", _LOAD, path, subject.threads])


def _first_token(subject: Subject) -> tuple[float, int]:
    """Seconds from the mount's command to the first token, and the bytes on disk that it left."""
    drop(subject.weights)
    with mounted(subject.folder.parent, subject.work, "--workers", str(subject.threads)) as daemon:
        _loaded(subject, daemon.mount / subject.folder.name / f"model.gguf-{KIND}")
        seconds = time.monotonic() - daemon.started
        return seconds, _on_disk(subject.work / "cache")


def _on_disk(directory: Path) -> int:
    return sum(path.stat().st_blocks << 9 for path in directory.rglob("*"))


if __name__ == "__main__":
    sys.exit(main())
