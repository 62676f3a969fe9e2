"""`prismfs ls PATH`: what each model appears as, with exact sizes, and why a form or a model is refused.

Needs no mount, and reads no tensor data: the same tree, with the same planner and limits, as behind one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fsd.cli.mounts import SECTOR, TRANSLATED
from fsd.cli.sources import located, opened_tree
from fsd.cli.terminal import print_json, print_table
from fsd.config import resolve
from fsd.errors import NoSuchEntry
from fsd.figures import human, share
from fsd.planner import RefusedEntry
from fsd.tree import ModelReport

GGUF, PEOPLE = "model.gguf-", "gguf/"
COLUMNS = ("name", ">bytes", ">size", "what it is")


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("path", metavar="PATH", help="a source, a model, or a place inside a mount")
    parser.add_argument("--all", action="store_true", help="every type, and every name of it")
    parser.add_argument("--json", action="store_true", help="print what is found as JSON")


def run(arguments: argparse.Namespace) -> int:
    """List every model at and below the path."""
    options = resolve({}, os.environ)
    place = located(arguments.path)
    with opened_tree(place.source, options) as tree:
        reports = tree.explain(place.below)
    if not arguments.all:
        reports = [_usual(report, options.types) for report in reports]
    kept = _kept(place.mount, reports) if place.mount else {}
    if arguments.json:
        about = {"source": place.source, "models": [_data(report) for report in reports]}
        cached = {f"{model}/{name}": held for (model, name), held in kept.items()}
        print_json(about | {"cached": cached} if place.mount else about)
    else:
        for report in reports:
            _print(report, kept)
    if not reports:
        remedy = "name a directory with safetensors or GGUF files in it or below it"
        raise NoSuchEntry("there is no model here", path=arguments.path, remedy=remedy)
    return 0


def _usual(report: ModelReport, types: tuple[str, ...]) -> ModelReport:
    """Without the forms that a directory would not list, and without second names for the same bytes."""
    usual = {GGUF + kind for kind in types}
    entries = tuple(entry for entry in report.entries if entry.listed and not entry.name.startswith(PEOPLE))
    refusals = tuple(
        refusal
        for refusal in report.refusals
        if refusal.name in usual or not refusal.name.startswith(GGUF) or refusal.name.endswith("*")
    )
    folders = tuple(folder for folder in report.folders if folder.listed)
    return replace(report, entries=entries, refusals=refusals, folders=folders)


def _data(report: ModelReport) -> dict[str, Any]:
    """A model for a program: the same names as in `ModelReport`."""
    error = report.error
    return {
        "name": report.name,
        "source": report.source,
        "entries": [asdict(entry) for entry in report.entries],
        "folders": [{"name": f.name, "describe": f.describe, "listed": f.listed} for f in report.folders],
        "refusals": [{"name": r.name, "reason": r.reason, "remedy": r.remedy} for r in report.refusals],
        "error": {name: getattr(error, name) for name in error.__struct_fields__} if error else None,
    }


def _kept(mount: Path, reports: Sequence[ModelReport]) -> dict[tuple[str, str], int]:
    """Bytes that the daemon keeps of each form, by model and name; not of what is only read through."""
    kept = {}
    for report in reports:
        for entry in report.entries:
            path = mount / report.name / entry.name
            try:
                if os.getxattr(path, TRANSLATED) == b"yes":
                    kept[report.name, entry.name] = min(os.stat(path).st_blocks * SECTOR, entry.size)
            except OSError:  # a source file has no such attribute; a model may have gone meanwhile
                continue
    return kept


def _print(report: ModelReport, kept: Mapping[tuple[str, str], int]) -> None:
    rows: list[tuple[str, ...]] = list(_rows(report))
    columns: tuple[str, ...] = COLUMNS
    if kept:
        sizes = {entry.name: entry.size for entry in report.entries}
        columns = (*COLUMNS, ">cached")
        rows = [(*row, _share(kept.get((report.name, row[0])), sizes.get(row[0], 0))) for row in rows]
    if sys.stdout.isatty():
        print_table(report.name, columns, rows)
        print()
    else:  # every line of a pipe says which model it is about
        print_table("", columns, [(f"{report.name}/{name}".rstrip("/"), *rest) for name, *rest in rows])


def _share(held: int | None, size: int) -> str:
    return "-" if held is None else share(held, size)


def _rows(report: ModelReport) -> Iterator[tuple[str, str, str, str]]:
    for entry in report.entries:
        yield entry.name, str(entry.size), human(entry.size), entry.describe
    for folder in report.folders:
        yield f"{folder.name}/", "-", "-", folder.describe
    for refusal in report.refusals:
        yield refusal.name, "-", "-", f"refused: {_with_remedy(refusal)}"
    if report.error:
        error = report.error.error()
        yield "", "-", "-", f"refused: {error}"


def _with_remedy(refusal: RefusedEntry) -> str:
    """Reason and remedy; a reason that was an error's text has its remedy in it already."""
    if not refusal.remedy or refusal.remedy in refusal.reason:
        return refusal.reason
    return f"{refusal.reason} ({refusal.remedy})"
