"""What a model sees by, as the tree and the command line show it: names, listing, reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd.engine import Engine, MemoryStore
from fsd.errors import NoSuchEntry
from fsd.planner import Planner
from fsd.tree import Attributes, Tree
from tests.fsd.command_line import in_process
from tests.oracle.families.variant import load, variants_by_name

NAME = "Qwen2-VL-2B-Instruct"
SIZES = {
    name.removeprefix("model.gguf-"): entry["size"]
    for name, entry in load(variants_by_name()[NAME])["mmproj"]["files"].items()
}


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    planner = Planner(None, seconds=120, memory=2 << 30)
    yield planner
    planner.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    variant = variants_by_name()[NAME]
    built = variant.build(tmp_path / "source", load(variant)["inventory"])
    # Upstream's name for the vocabulary of the variants is known to their own tests only.
    (built / "tokenizer.json").unlink()
    return built


@pytest.fixture
def tree(folder: Path, planner: Planner) -> Iterator[Tree]:
    engine = Engine(MemoryStore(16 << 20), workers=2)
    yield Tree(folder.parent, planner, engine, types=("f16", "q4_0"))
    engine.close()


def at(tree: Tree, path: str) -> Attributes:
    attributes = tree.attributes(tree.ROOT)
    for part in path.split("/"):
        attributes = tree.lookup(attributes.ino, part)
    return attributes


def names(tree: Tree, path: str) -> list[str]:
    return [name for name, _ in tree.entries(at(tree, path).ino) if name.startswith("mmproj")]


def test_configured_types_and_the_own_are_listed(tree: Tree) -> None:
    assert names(tree, NAME) == ["mmproj-f16.gguf", "mmproj-bf16.gguf"]
    assert names(tree, f"{NAME}/gguf") == [f"mmproj-{NAME}-F16.gguf", f"mmproj-{NAME}-BF16.gguf"]


@pytest.mark.parametrize("kind", SIZES)
def test_every_type_is_found_in_any_case_under_both_names(tree: Tree, kind: str) -> None:
    file = at(tree, f"{NAME}/mmproj-{kind}.gguf")
    assert file.size == SIZES[kind]
    for name in (
        f"mmproj-{kind.upper()}.gguf", f"gguf/mmproj-{NAME}-{kind.upper()}.gguf",
        f"gguf/MMPROJ-{NAME.lower()}-{kind}.GGUF",
    ):  # fmt: skip
        assert at(tree, f"{NAME}/{name}").ino == file.ino, name


def test_there_is_no_other_type(tree: Tree) -> None:
    for name in ("mmproj-q4_0.gguf", "mmproj-.gguf", "mmproj-f16", f"gguf/mmproj-{NAME}.gguf"):
        with pytest.raises(NoSuchEntry):
            at(tree, f"{NAME}/{name}")


def test_what_ls_and_export_say(
    tmp_path: Path,
    folder: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = in_process(tmp_path / "home", monkeypatch, capfd)
    for number, name in enumerate(("mmproj-f16.gguf", "MMPROJ-F16.gguf", f"mmproj-{NAME}-F16.gguf")):
        assert run("export", folder, name, "-o", tmp_path / str(number)).returncode == 0
        assert (tmp_path / str(number)).stat().st_size == SIZES["f16"]
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["UnknownForSeeing"]}))
    listed = run("ls", folder)
    assert "mmproj-*.gguf" in listed.stdout
    assert "the part of UnknownForSeeing that sees or hears has no translation yet" in listed.stdout
    refused = run("export", folder, "mmproj-f16.gguf", "-o", tmp_path / "refused")
    assert "UnknownForSeeing" in refused.stderr


def test_a_part_without_weights_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    variant = variants_by_name()[NAME]
    inventory = load(variant)["inventory"]
    kept = {name: shape for name, shape in inventory.items() if not name.startswith("visual.")}
    run = in_process(tmp_path / "home", monkeypatch, capfd)
    listed = run("ls", variant.build(tmp_path / "source", kept))
    assert "has no weights of the part" in next(
        line for line in listed.stdout.splitlines() if "mmproj" in line
    )
