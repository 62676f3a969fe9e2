"""What a benchmark found: rows of figures, and targets that hold or do not.

Shown as tables, then a line a target ("PASS ..." or "MISS ..."), and as JSON. Knows nothing of how anything
was measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """What ought to be: `name` says of what, `wanted` and `value` are told to people."""

    name: str
    wanted: str
    value: str
    holds: bool

    def __str__(self) -> str:
        return f"{'PASS' if self.holds else 'MISS'}  {self.name}: {self.value} (wanted: {self.wanted})"


def at_least(name: str, value: float, wanted: float, unit: str = "") -> Target:
    """The target that a figure is `wanted` or more."""
    return Target(name, f">= {_short(wanted)}{unit}", f"{_short(value)}{unit}", value >= wanted)


def at_most(name: str, value: float, wanted: float, unit: str = "") -> Target:
    """The target that a figure is `wanted` or less."""
    return Target(name, f"<= {_short(wanted)}{unit}", f"{_short(value)}{unit}", value <= wanted)


@dataclass
class Findings:
    """Of one scenario: tables by title, targets, and notes on how it was measured."""

    tables: dict[str, list[Row]] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def show(self, console: Console) -> None:
        """The tables, the notes, the targets."""
        for title, rows in self.tables.items():
            columns = list(dict.fromkeys(column for row in rows for column in row))
            table = Table(title=title, title_justify="left")
            for column in columns:
                words = all(isinstance(row.get(column, ""), str) for row in rows)
                table.add_column(column, justify="left" if words else "right")
            for row in rows:
                table.add_row(*(_shown(row.get(column, "")) for column in columns))
            console.print(table)
        for line in (*self.notes, *map(str, self.targets)):
            console.print(line, markup=False, highlight=False)


def write(path: Path, facts: Mapping[str, Any], found: Mapping[str, Findings]) -> None:
    """All of it as one JSON document: `facts` of the run, and `scenarios` by name."""
    scenarios = {name: asdict(findings) for name, findings in found.items()}
    path.write_text(json.dumps({**facts, "scenarios": scenarios}, indent=2) + "\n")


def summary(console: Console, found: Mapping[str, Findings]) -> int:
    """Show the targets that do not hold, of all scenarios; returns how many there are."""
    targets = [target for findings in found.values() for target in findings.targets]
    misses = [target for target in targets if not target.holds]
    console.rule(f"{len(targets) - len(misses)} of {len(targets)} targets hold")
    console.print(*map(str, misses), sep="\n", markup=False, highlight=False)
    return len(misses)


def _shown(value: object) -> str:
    return _short(value) if isinstance(value, float) else str(value)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
