"""`make bench-io`: reading at the speed of the disk, as ratios in one run. One module a scenario.

Exit code 0 whatever was measured; with --strict 1 where a target does not hold.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks import synthetic
from benchmarks.findings import Findings, summary, write
from benchmarks.io import merging, paging, passthrough, sharing, translation
from benchmarks.io.setting import Setting
from benchmarks.reading import reclaims
from fsd.config import size

_WITH_RCLONE: dict[str, Callable[[Setting, str], Findings]] = {
    "passthrough": passthrough.run,
    "paging": paging.run,
    "merging": merging.run,
}
_ALONE: dict[str, Callable[[Setting], Findings]] = {
    "translation": translation.run,
    "libggml": translation.by_libggml,
    "sharing": sharing.run,
}


def main() -> int:
    """Make a model, run the scenarios asked for, show and write what they found."""
    names = (*_WITH_RCLONE, *_ALONE)
    options = argparse.ArgumentParser(prog="python -m benchmarks.io", description=__doc__)
    options.add_argument("scenario", nargs="*", help=f"of {', '.join(names)}; all unless named")
    options.add_argument("--repeat", type=int, default=5, help="samples of which the median counts")
    options.add_argument("--size", type=size, default=size("1100M"), help="bytes of the model's weights")
    options.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options.add_argument("--rclone-mode", default="off", help="rclone's --vfs-cache-mode: off or full")
    options.add_argument(
        "--work", type=Path, help="a directory on the disk to be measured; else that of temporary files"
    )
    options.add_argument("--json", type=Path, help="write the figures there as well")
    options.add_argument("--strict", action="store_true", help="exit with 1 where a target does not hold")
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # unmount, remove
    unknown = set(chosen.scenario) - set(names)
    if unknown:
        options.error(f"no such scenario: {', '.join(sorted(unknown))}")
    console = Console(width=None if sys.stdout.isatty() else 180)
    found: dict[str, Findings] = {}
    with tempfile.TemporaryDirectory(prefix="prismfs-bench-", dir=chosen.work) as name:
        work = Path(name)
        facts = _facts(work, chosen)
        console.print(*(f"{key}: {value}" for key, value in facts.items()), sep="\n", markup=False)
        model = synthetic.build(work / "models", chosen.size)
        setting = Setting(work, model, chosen.repeat, chosen.workers)
        for scenario in chosen.scenario or names:
            if scenario in _WITH_RCLONE:
                found[scenario] = _WITH_RCLONE[scenario](setting, chosen.rclone_mode)
            else:
                found[scenario] = _ALONE[scenario](setting)
            found[scenario].show(console)
            if chosen.json:  # each time: what was found is not lost if it is ended
                write(chosen.json, facts, found)
    misses = summary(console, found)
    return 1 if chosen.strict and misses else 0


def _facts(work: Path, chosen: argparse.Namespace) -> dict[str, object]:
    """What a reader of the figures has to know of the machine and the run."""
    shown = ["df", "--output=fstype", str(work)]
    reclaimed = "kdamond runs: cold pages leave the page cache by themselves" if reclaims() else "no kdamond"
    return {
        "kernel": platform.release(),
        "processors": len(os.sched_getaffinity(0)),
        "file system": subprocess.run(shown, check=True, capture_output=True, text=True).stdout.split()[-1],
        "page cache": reclaimed,
        "load before": os.getloadavg()[0],
        "weights": chosen.size,
        "repeat": chosen.repeat,
        "rclone": f"{_version('rclone')}, --vfs-cache-mode {chosen.rclone_mode}",
        "fio": _version("fio"),
    }


def _version(tool: str) -> str:
    return subprocess.run(
        [tool, "--version"], check=True, capture_output=True, text=True
    ).stdout.splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
