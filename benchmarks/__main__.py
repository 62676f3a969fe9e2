"""`make bench`: SmolLM2 in one run. Time to the first token, cold reads, memory, read amplification.

Ratios are against upstream's tools on the same folder, on this machine, in this run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.daemon import Daemon, mounted
from benchmarks.subject import NAME, folder
from benchmarks.upstream import first_token

_LOAD = [sys.executable, "-m", "benchmarks.first_token"]
_QUANTISED = ("q8_0", "q4_k_m")
_BLOCK = 1 << 20


def main() -> None:
    """Measure, print a table of each topic, and the figures as JSON where asked."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("--repeat", type=int, default=3, help="runs of which the median counts")
    options.add_argument("--json", type=Path, help="write the figures there as well")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        model = folder(work / "models")
        figures = {
            "first token": [_first_token(model, kind, work, chosen.repeat) for kind in _QUANTISED],
            "cold reads": _cold_reads(model, work),
        }
    for title, rows in figures.items():
        _print(title, rows)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


def _first_token(model: Path, kind: str, work: Path, repeat: int) -> dict[str, Any]:
    ours = median(_first_token_mounted(model, kind, work) for _ in range(repeat))
    theirs = median(first_token(model, kind, work, _LOAD) for _ in range(repeat))
    return {
        "type": kind,
        "prismfs: mount to first token, s": round(ours, 2),
        "upstream: convert, quantise, load, s": round(theirs, 2),
        "times sooner": round(theirs / ours, 1),
    }


def _first_token_mounted(model: Path, kind: str, work: Path) -> float:
    with mounted(model.parent, work) as daemon:
        file = daemon.mount / NAME / f"model.gguf-{kind}"
        subprocess.run([*_LOAD, str(file)], check=True, capture_output=True)
        return time.monotonic() - daemon.started


def _cold_reads(model: Path, work: Path) -> list[dict[str, Any]]:
    """Each target read once from front to end, all in one cold daemon; then what it cost altogether."""
    rows = []
    with mounted(model.parent, work) as daemon:
        directory = daemon.mount / NAME
        names = sorted(path.name for path in directory.iterdir() if path.name.startswith("model."))
        for name in names:
            rows.append(_cold_read(daemon, directory / name))
        rows.append({"target": "daemon's peak memory, MB", "MB/s": round(daemon.peak_memory() / 1e6)})
    return rows


def _cold_read(daemon: Daemon, path: Path) -> dict[str, Any]:
    read_before = daemon.status()["engine"]["source_bytes"]
    started, served = time.monotonic(), 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            served += len(block)
    elapsed = time.monotonic() - started
    read = daemon.status()["engine"]["source_bytes"] - read_before
    return {
        "target": path.name,
        "MB": round(served / 1e6, 1),
        "MB/s": round(served / 1e6 / elapsed, 1),
        "source bytes read a byte served": round(read / served, 2),
    }


def _print(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column, justify="left" if column in ("type", "target") else "right")
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in rows[0]))
    Console().print(table)


if __name__ == "__main__":
    main()
