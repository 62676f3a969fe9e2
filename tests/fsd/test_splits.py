"""Splits of a GGUF in the tree and on the command line: by the name of one, and listed by a size."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fsd.engine import Engine, MemoryStore
from fsd.errors import NoSuchEntry, PlanRefused
from fsd.planner import Planner
from fsd.splits import SplitName
from fsd.tree import Tree
from fsd.tree.forms import target_of
from tests.fsd.command_line import in_process
from tests.oracle.splits import TINY
from tests.tiny_models import build
from translators import Plan, open_model, plans
from translators.errors import Unsupported

TreeOf = Callable[[int | None], Tree]
TYPES = ("bf16", "q8_0")
MB = 1_000_000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(TINY, tmp_path_factory.mktemp("splits"))


@pytest.fixture(scope="module")
def tree_of(source: Path) -> Iterator[TreeOf]:
    engine = Engine(MemoryStore(64 << 20), workers=2)
    planner = Planner(None, seconds=60, memory=2 << 30)

    def make(split_size: int | None) -> Tree:
        return Tree(source.parent, planner, engine, types=TYPES, split_size=split_size)

    yield make
    planner.close()
    engine.close()


def content(tree: Tree, path: str) -> bytes:
    with closing(tree.open(tree.catalogue.find(path).ino)) as handle:
        return handle.read(0, handle.size + 1)


def expected(source: Path, folder: str) -> list[bytes]:
    found = plans(open_model(source), folder)
    layouts = [plan.layout() for plan in found.values() if isinstance(plan, Plan)]
    return [layout.read(0, layout.size) for layout in layouts]


def names(tree: Tree) -> list[str]:
    return [name for name, _ in tree.entries(tree.catalogue.find(f"{TINY.name}/gguf").ino)]


def test_by_name(source: Path, tree_of: TreeOf) -> None:
    tree = tree_of(None)
    whole = [f"{TINY.name}-BF16.gguf", f"{TINY.name}-Q8_0.gguf"]
    assert names(tree) == whole
    for number, data in enumerate(expected(source, "gguf-q4_k_m-of-2"), 1):
        assert content(tree, f"{TINY.name}/gguf/{TINY.name}-Q4_K_M-{number:05d}-of-00002.gguf") == data
        assert content(tree, f"{TINY.name}/gguf/{TINY.name}-q4_k_m-{number:05d}-of-00002.gguf") == data
    assert names(tree) == whole


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("Q4_K_M-00003-of-00002", NoSuchEntry),
        ("Q4_K_M-00000-of-00002", NoSuchEntry),
        ("Q4_K_M-1-of-2", NoSuchEntry),
        ("Q9_K-00001-of-00002", NoSuchEntry),
        ("Q4_K_M-00001-of-09999", Unsupported),
        ("Q4_K_M-00001-of-00000", NoSuchEntry),
        ("IQ1_S-00001-of-00002", PlanRefused),
    ],
)
def test_what_there_is_not(tree_of: TreeOf, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        tree_of(None).catalogue.find(f"{TINY.name}/gguf/{TINY.name}-{name}.gguf")


def test_a_size_lists_them_and_goes_before_the_number(source: Path, tree_of: TreeOf) -> None:
    by_size = expected(source, "gguf-q8_0-by-4m")
    by_number = expected(source, "gguf-q8_0-of-2")
    assert len(by_size) == len(by_number) == 2
    assert by_size != by_number
    tree, path = tree_of(4 * MB), f"{TINY.name}/gguf/{TINY.name}-Q8_0"
    stem = TINY.name
    assert names(tree) == [
        f"{stem}-BF16.gguf", f"{stem}-Q8_0.gguf",
        *(f"{stem}-BF16-{number:05d}-of-00003.gguf" for number in range(1, 4)),
        *(f"{stem}-Q8_0-{number:05d}-of-00002.gguf" for number in range(1, 3)),
    ]  # fmt: skip
    assert [content(tree, f"{path}-{number:05d}-of-00002.gguf") for number in (1, 2)] == by_size
    assert content(tree_of(None), f"{path}-00001-of-00002.gguf") == by_number[0]
    # Another number is to be had all the same, and what is smaller than the size is listed as it is.
    assert content(tree, f"{path}-00001-of-00003.gguf") == expected(source, "gguf-q8_0-of-3")[0]
    assert [name for name in names(tree_of(5 * MB)) if "Q8_0" in name] == [f"{stem}-Q8_0.gguf"]


def test_a_split_is_found_as_a_file_of_its_model(tree_of: TreeOf) -> None:
    catalogue = tree_of(None).catalogue
    path = f"{TINY.name}/gguf/{TINY.name}-Q8_0-00002-of-00003.gguf"
    file = catalogue.file(catalogue.find(path))
    assert (file.path, file.listed) == (path, True)
    assert file.entry is not None
    assert file.entry.describe.startswith("split 2 of 3 of model.gguf-q8_0")
    assert target_of(file.entry.name) == "gguf-q8_0"


def test_a_listing_for_people_tells_of_them(tree_of: TreeOf) -> None:
    (report,) = tree_of(3 * MB).explain("")
    told = {entry.name: entry.describe for entry in report.entries if "-of-" in entry.name}
    assert len(told) == 6
    assert told[f"gguf/{TINY.name}-Q8_0-00001-of-00002.gguf"].startswith("split 1 of 2 of model.gguf-q8_0")


def test_export(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = in_process(tmp_path, monkeypatch, capfd)
    target = tmp_path / "split.gguf"
    name = f"gguf/{TINY.name}-Q8_0-00002-of-00003.gguf"
    done = run("export", source, name, "-o", target, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == target.stat().st_size
    assert target.read_bytes() == expected(source, "gguf-q8_0-of-3")[1]
    assert run("export", source, "gguf-q8_0-by-2m", "-o", tmp_path / "all").returncode == 0
    files = sorted((tmp_path / "all").iterdir())
    assert [path.name for path in files] == [f"{TINY.name}-Q8_0-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]
    assert [path.read_bytes() for path in files] == expected(source, "gguf-q8_0-by-2m")


def test_names() -> None:
    assert SplitName.of("gguf/a-Q8_0-00002-of-00003.GGUF") == SplitName("gguf/a-Q8_0.gguf", 2, 3)
    for name in (
        "a-Q8_0.gguf",
        "-00001-of-00002.gguf",
        "a-0001-of-00002.gguf",
        "a-00001-of-00002.bin",
        "a-00003-of-00002.gguf",
    ):
        assert SplitName.of(name) is None
