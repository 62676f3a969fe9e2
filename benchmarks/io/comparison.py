"""Comparing: the same bytes read in the same way from several sides, turn by turn, with medians.

A side is a path and what lies behind it. Before each sample the page cache is brought into one of three
states: "hot" (the file was just read by this very path), "cold" (neither it nor what is behind it is there)
and "first" (what is behind it is there, but not the file itself: for a plain file the same as hot).
Knows nothing of prismfs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.findings import Row
from benchmarks.reading import Reader, drop, warm

NATIVE, RCLONE = "native", "rclone"
STATES = ("hot", "cold", "first")


@dataclass(frozen=True)
class Side:
    """`path` is read; `behind` are the plain files that its bytes come from (itself, if it is one)."""

    name: str
    path: Path
    behind: tuple[Path, ...]

    def bring(self, state: str) -> float:
        """Bring the page cache into a state; returns the part that stayed where none should."""
        if state == "hot":
            warm([self.path])
            return 0.0
        stayed = drop([self.path, *self.behind])
        if state == "first":
            warm(self.behind)
        return stayed


@dataclass(frozen=True)
class Compared:
    """Median rates by side. `stayed` is the largest part of a file that was still there when it was cold."""

    reader: Reader
    state: str
    rates: dict[str, float]
    stayed: float

    def ratio(self, side: str, to: str) -> float:
        """How many times as fast one side is as another."""
        return self.rates[side] / self.rates[to]

    def row(self, what: str) -> Row:
        """For a table: the rates, and the ratios to a plain file's and to rclone's."""
        row: Row = {"file": what, "reading": self.reader.name, "cache": self.state, "unit": self.reader.unit}
        row |= self.rates
        for side in self.rates:
            if side not in (NATIVE, RCLONE):
                row |= {f"{side} / {to}": self.ratio(side, to) for to in (NATIVE, RCLONE) if to in self.rates}
        if self.stayed > 0.01:
            row["not cold"] = f"{self.stayed:.0%}"
        return row


def compare(sides: Sequence[Side], reader: Reader, state: str, repeat: int) -> Compared:
    """Read from each side `repeat` times, in turns, each time from another first."""
    rates: dict[str, list[float]] = {side.name: [] for side in sides}
    stayed = 0.0
    if state == "hot":  # pages that somebody wrote or read otherwise may lie in memory in smaller pieces
        for side in sides:
            side.bring("cold")
    for turn in range(repeat):
        first = turn % len(sides)
        for side in (*sides[first:], *sides[:first]):
            stayed = max(stayed, side.bring(state))
            rates[side.name].append(reader.rate(side.path, state == "cold"))
    return Compared(reader, state, {name: median(found) for name, found in rates.items()}, stayed)
