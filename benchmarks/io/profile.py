"""Where a daemon's time goes: a sampling profile by py-spy, summed up by what the innermost frame is for.

Only threads that do something are counted: they run, or wait for the disk or for a processor. Waiting for
the GIL, for a lock or for a request is none of it. On a machine that is otherwise busy the sum may be more
than the processors could give. Needs `benchmarks/tools.sh`; without py-spy there is one row that says so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.findings import Row

_PY_SPY = Path(__file__).resolve().parents[2] / ".benchmarks" / "profiler" / "bin" / "py-spy"
_RATE = 250
# By a part of the innermost frame's file name; the first that fits.
_CATEGORIES = (
    ("quants/ggml.py", "kernels"),
    ("quants/validity.py", "checks of values"),
    ("quants/", "conversion around the kernels"),
    ("translators/reading.py", "source reads"),
    ("translators/recipes/", "recipes"),
    ("translators/", "layout"),
    ("fsd/store/", "store"),
    ("fsd/engine/", "engine"),
    ("fsd/tree/", "tree"),
    ("fsd/mount/", "FUSE requests"),
    ("mfusepy", "FUSE requests"),
    ("threading.py", "locks and futures"),
    ("concurrent/futures", "locks and futures"),
)


@dataclass
class Profile:
    """Samples by category, and by the innermost frame of ours."""

    categories: Counter[str] = field(default_factory=Counter)
    places: dict[str, Counter[str]] = field(default_factory=dict)

    def rows(self, wall: float) -> list[Row]:
        """Thread-seconds by category, the most first, with their busiest lines; then what was idle."""
        if not self.categories:
            return [{"for": "no profile: py-spy is missing (benchmarks/tools.sh) or may not attach"}]
        processors = len(os.sched_getaffinity(0))
        rows: list[Row] = []
        for category, samples in self.categories.most_common():
            busiest = ", ".join(
                f"{place} {100 * n // samples} %" for place, n in self.places[category].most_common(3)
            )
            rows.append(_row(category, samples / _RATE, wall * processors) | {"busiest lines": busiest})
        idle = wall * processors - sum(self.categories.values()) / _RATE
        rows.append(_row("idle, waiting, other processes", max(0.0, idle), wall * processors))
        return rows

    def add(self, stack: str, samples: int) -> None:
        """Count a stack as py-spy writes it: frames from the outermost, with semicolons between them."""
        for frame in reversed(stack.split(";")):
            for part, category in _CATEGORIES:
                if part in frame:
                    self.categories[category] += samples
                    self.places.setdefault(category, Counter())[_place(frame)] += samples
                    return
        self.categories["other"] += samples
        self.places.setdefault("other", Counter())[_place(stack.rpartition(";")[2])] += samples


@contextmanager
def recorded(pid: int, work: Path) -> Iterator[Profile]:
    """Sample process `pid` while the block runs; the profile is filled at its end."""
    profile = Profile()
    if not _PY_SPY.exists():
        yield profile
        return
    output = work / "profile.txt"
    output.unlink(missing_ok=True)
    command = [str(_PY_SPY), "record", "--pid", str(pid), "--rate", str(_RATE), "--format", "raw"]
    command += ["--nonblocking", "--output", str(output), "--duration", "unlimited"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()  # it samples once it has said so
    time.sleep(0.3)
    yield profile
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    if output.exists():
        for line in output.read_text().splitlines():
            stack, _, samples = line.rpartition(" ")
            profile.add(stack, int(samples))


def _row(what: str, seconds: float, of: float) -> Row:
    return {"for": what, "thread-seconds": seconds, "%": 100 * seconds / of}


def _place(frame: str) -> str:
    """A frame without its directories."""
    function, _, rest = frame.partition(" (")
    return f"{rest.rstrip(')').rpartition('/')[2]} {function}"
