"""The directions of imports that DESIGN lays down, held by reading every module's syntax tree.

`translators` never imports `fsd`; `fsd` sees a small surface of `translators`; only `fsd.mount` knows a FUSE
binding; within both packages imports point downwards, so that no two parts know each other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BINDINGS = {"mfusepy", "fuse", "fusepy", "pyfuse3", "llfuse"}
# From the bottom; parts of one row may not import each other either.
LAYERS = [
    {"children", "errors"},
    {"config", "logs"},
    {"engine", "planner"},
    {"store", "tree"},
    {"mount"},
    {"metrics", "watch"},
    {"control"},
    {"api"},
    {"daemon"},
    {"cli"},
]
SURFACE = {
    "translators",
    "translators.copying",
    "translators.errors",
    "translators.layout",
    "translators.model",
    "translators.plan",
    "translators.quants.kernels",
    "translators.ranges",
    "translators.sources.bases",
    "translators.sources.matrices",
    "translators.sources.recognise",
}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, wherever in it."""
    own = (*path.relative_to(ROOT).with_suffix("").parts,)
    package = own[:-1]
    for node in ast.walk(ast.parse(path.read_text(), path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                below = ROOT.joinpath(*name.split("."), alias.name)
                is_module = below.is_dir() or below.with_suffix(".py").exists()
                yield f"{name}.{alias.name}" if is_module else name


def part(name: str) -> str:
    """The part of its package that a module belongs to: `fsd.tree.nodes` belongs to `tree`."""
    return name.split(".")[1] if "." in name else ""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_the_reader_of_imports_sees_what_there_is() -> None:
    seen = set(imported(ROOT / "fsd" / "tree" / "tree.py"))
    assert {"os", "fsd.engine", "fsd.errors", "fsd.tree.nodes", "translators.layout"} <= seen
    assert "fsd.tree.hub" in set(imported(ROOT / "fsd" / "tree" / "places.py"))


@pytest.mark.parametrize("path", modules("translators"), ids=name_of)
def test_translators_never_import_fsd(path: Path) -> None:
    assert not [name for name in imported(path) if name.split(".")[0] == "fsd"]


@pytest.mark.parametrize("path", modules("fsd"), ids=name_of)
def test_only_the_mount_knows_a_fuse_binding(path: Path) -> None:
    if part(name_of(path)) != "mount":
        assert not [name for name in imported(path) if name.split(".")[0] in BINDINGS]


@pytest.mark.parametrize("path", modules("fsd"), ids=name_of)
def test_the_daemon_imports_downwards(path: Path) -> None:
    rank = {name: level for level, names in enumerate(LAYERS) for name in names}
    own = part(name_of(path))
    if own in rank:
        others = [part(name) for name in imported(path) if name.startswith("fsd.") and part(name) != own]
        assert not [name for name in others if rank.get(name, -1) >= rank[own]]


@pytest.mark.parametrize("path", modules("fsd"), ids=name_of)
def test_tree_engine_and_planner_see_the_surface_of_translators_alone(path: Path) -> None:
    if part(name_of(path)) in {"errors", "config", "logs", "engine", "planner", "store", "tree", "mount"}:
        assert {name for name in imported(path) if name.split(".")[0] == "translators"} <= SURFACE


@pytest.mark.parametrize("package", ["fsd", "translators"])
def test_no_two_parts_of_a_package_know_each_other(package: str) -> None:
    graph: dict[str, set[str]] = {}
    for path in modules(package):
        own = part(name_of(path))
        others = {part(name) for name in imported(path) if name.startswith(f"{package}.")}
        if own:
            graph.setdefault(own, set()).update(others - {own, ""})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other: {' -> '.join(error.args[1])}")
