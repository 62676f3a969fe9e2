"""`make bench-memory`: a model that is bigger than memory, streamed by a daemon inside a small control group.

The source is sparse (its weights are zeros), so that it takes no disk; it is read as any other is. Whatever
the size, the daemon must not be killed, nor its peak depend on it. With a store of limited size, and without.
Exit code 0 whatever was measured; with --strict 1 where a target does not hold.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from benchmarks import synthetic
from benchmarks.daemon import Daemon, mounted
from benchmarks.findings import Findings, Row, Target, at_most, summary, write
from benchmarks.memory.control_group import Group, limited
from benchmarks.reading import drop, sequential
from fsd.config import ADAPTERS, size

_TARGETS = ("model.gguf-q4_k_m", "model.safetensors")
_EVERY = 0.25  # seconds between looks at what is not recorded by the kernel


def main() -> int:
    """Make the model, stream both files in both ways, show and write what was found."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    options.add_argument("--size", type=size, default=size("20G"), help="bytes of the model's weights")
    options.add_argument(
        "--limit", type=size, default=size("512M"), help="memory of the daemon's control group"
    )
    options.add_argument("--store", type=size, default=size("2G"), help="size of the store")
    options.add_argument("--fuse", choices=ADAPTERS, default="auto", help="the adapter")
    options.add_argument("--work", type=Path, help="a directory; else that of temporary files")
    options.add_argument("--json", type=Path, help="write the figures there as well")
    options.add_argument("--strict", action="store_true", help="exit with 1 where a target does not hold")
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # unmount, remove
    console, found = Console(width=None if sys.stdout.isatty() else 180), Findings()
    with tempfile.TemporaryDirectory(prefix="prismfs-bench-", dir=chosen.work) as name:
        work = Path(name)
        model = synthetic.build(work / "models", chosen.size, shards=8, zeros=True)
        for way, flags in (("store", ("--cache-size", str(chosen.store))), ("no store", ("--no-cache",))):
            rows = found.tables[f"{chosen.size / 1e9:.1f} GB of weights, {way}"] = []
            for target in _TARGETS:
                row = _streamed(model, target, ("--fuse", chosen.fuse, *flags), chosen.limit, found)
                rows.append(row)
                _judge(found, f"{target}, {way}", row, chosen.limit)
        found.show(console)
    if chosen.json:
        write(chosen.json, {"limit": chosen.limit, "store": chosen.store}, {"memory": found})
    return 1 if summary(console, {"memory": found}) and chosen.strict else 0


def _streamed(model: Path, target: str, flags: tuple[str, ...], limit: int, found: Findings) -> Row:
    """Read a file from front to end through a fresh daemon; what memory that took, in MB."""
    shards = sorted(model.glob("*.safetensors"))
    with limited(limit) as group:
        with mounted(model.parent, model.parents[1], *flags, launcher=group.launcher) as daemon:
            path = daemon.mount / model.name / target
            os.close(os.open(path, os.O_RDONLY))  # planned
            drop(shards)  # so that the daemon's group pays for their pages
            with _watched(daemon, group) as peaks:
                started = time.monotonic()
                rate = sequential(path)
                seconds = time.monotonic() - started
            row: Row = {"file": target, "MB": path.stat().st_size / 1e6, "seconds": seconds, "MB/s": rate}
            row |= {"group's peak with page cache, MB": _mb(group.peak()), "killed": group.kills()}
        if group.kind not in found.notes:
            found.notes.append(group.kind)
    return row | {f"{name}, MB": _mb(peak) for name, peak in peaks.items()}


@contextmanager
def _watched(daemon: Daemon, group: Group) -> Iterator[dict[str, int]]:
    """The most that daemon and planner had, each, and that the group had beside page cache."""
    peaks = {"daemon's peak": 0, "planner's peak": 0, "most without page cache": 0}
    ended = threading.Event()

    def note(name: str, value: int) -> None:
        peaks[name] = max(peaks[name], value)

    def look() -> None:
        for name, value in daemon.peaks().items():
            note("daemon's peak" if name == "daemon" else "planner's peak", value)
        note("most without page cache", group.anonymous() or 0)

    def watch() -> None:
        while not ended.wait(_EVERY):
            look()

    thread = threading.Thread(target=watch)
    look()
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()
        look()


def _judge(found: Findings, name: str, row: Row, limit: int) -> None:
    if row["killed"] is not None:
        killed = row["killed"]
        found.targets.append(Target(f"{name}, processes killed", "0", str(killed), killed == 0))
    resident = row["daemon's peak, MB"] + row["planner's peak, MB"]
    found.targets.append(
        at_most(f"{name}, daemon's and planner's peaks together", resident, limit / 1e6, " MB")
    )


def _mb(count: int | None) -> float | str:
    return "" if count is None else count / 1e6


if __name__ == "__main__":
    sys.exit(main())
