"""Importance matrices as the tree and the command line show them: names, versions, reasons."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd.engine import Engine, MemoryStore
from fsd.errors import NoSuchEntry, PlanRefused
from fsd.planner import Planner
from fsd.tree import Attributes, Tree
from tests.fsd.command_line import in_process
from tests.tiny_imatrices import MOE, as_dat, as_gguf, sums, write_experts
from translators.errors import SourceChanged

NAME = "Experts"
COLUMNS = {f"blk.{n}.attn_{part}.weight": sums(f"{n}{part}", 256) for n in range(4) for part in "qkv"}


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    planner = Planner(None, seconds=120, memory=2 << 30)
    yield planner
    planner.close()


@pytest.fixture
def tree(tmp_path: Path, planner: Planner) -> Iterator[Tree]:
    """A source with one model of experts, no matrix beside it yet."""
    (tmp_path / "source" / NAME).mkdir(parents=True)
    write_experts(tmp_path / "source" / NAME)
    engine = Engine(MemoryStore(16 << 20), workers=2)
    yield Tree(tmp_path / "source", planner, engine, types=("q4_0", "q8_0"))
    engine.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "source" / NAME


def at(tree: Tree, path: str) -> Attributes:
    attributes = tree.attributes(tree.ROOT)
    for part in path.split("/"):
        attributes = tree.lookup(attributes.ino, part)
    return attributes


def content(tree: Tree, path: str) -> bytes:
    with tree.open(at(tree, path).ino) as handle:
        return handle.read(0, handle.size)


def test_without_a_matrix_noimat_is_another_name(tree: Tree) -> None:
    for name in ("model.gguf-q4_0-noimat", "MODEL.GGUF-Q4_0-NOIMAT", f"gguf/{NAME}-Q4_0-noimat.gguf"):
        assert at(tree, f"{NAME}/{name}").ino == at(tree, f"{NAME}/model.gguf-q4_0").ino, name
    own = at(tree, f"{NAME}/gguf/{NAME}-BF16.gguf").ino
    assert at(tree, f"{NAME}/model.gguf-bf16-noimat").ino == own
    for name in ("model.gguf-iq2_xxs", "model.gguf-iq2_xxs-noimat", f"gguf/{NAME}-IQ2_XXS-noimat.gguf"):
        with pytest.raises(PlanRefused, match="needs an importance matrix"):
            at(tree, f"{NAME}/{name}")
    for name in ("model.gguf-q4_9-noimat", "model.gguf--noimat", f"gguf/{NAME}-noimat.gguf", "x-noimat"):
        with pytest.raises(NoSuchEntry):
            at(tree, f"{NAME}/{name}")


def test_with_a_matrix_both_can_be_opened(tree: Tree, folder: Path) -> None:
    plain = content(tree, f"{NAME}/model.gguf-q4_0")
    (folder / "imatrix.gguf").write_bytes(as_gguf(COLUMNS, {}))
    names = [name for name, _ in tree.entries(at(tree, NAME).ino)]
    assert [name for name in names if "gguf" in name] == [
        f"{MOE}.gguf", "imatrix.gguf", "gguf", "model.gguf-bf16", "model.gguf-q8_0", "model.gguf-q4_0",
    ]  # fmt: skip
    weighed = content(tree, f"{NAME}/model.gguf-q4_0")
    assert weighed != plain
    assert b"quantize.imatrix.file" in weighed
    assert content(tree, f"{NAME}/gguf/{NAME}-Q4_0.gguf") == weighed
    assert content(tree, f"{NAME}/model.gguf-q4_0-noimat") == plain
    assert content(tree, f"{NAME}/gguf/{NAME}-Q4_0-noimat.gguf") == plain
    with pytest.raises(PlanRefused):  # what no matrix had a part in cannot be had with one
        at(tree, f"{NAME}/gguf/{NAME}-IQ2_XXS-noimat.gguf")


def test_another_matrix_makes_other_files_and_no_other_model(tree: Tree, folder: Path) -> None:
    matrix = folder / "imatrix.dat"
    matrix.write_bytes(as_dat(COLUMNS))
    first, without = at(tree, f"{NAME}/model.gguf-q4_0"), content(tree, f"{NAME}/model.gguf-q4_0-noimat")
    with tree.open(first.ino) as handle:
        before = handle.read(0, handle.size)
        matrix.write_bytes(as_dat({name: values[::-1] for name, values in COLUMNS.items()}))
        os.utime(matrix, ns=(1, 1))
        assert at(tree, f"{NAME}/model.gguf-q4_0").ino != first.ino
        after = content(tree, f"{NAME}/model.gguf-q4_0")
        assert (len(after), after == before) == (len(before), False)
    with tree.open(at(tree, f"{NAME}/model.gguf-q4_0").ino) as handle:
        matrix.unlink()
        with pytest.raises(SourceChanged):
            handle.read(0, handle.size)
    assert content(tree, f"{NAME}/model.gguf-q4_0-noimat") == without
    assert content(tree, f"{NAME}/model.gguf-q4_0") == without


def test_models_side_by_side_have_the_matrix_of_their_name(tree: Tree, folder: Path) -> None:
    for name in ("a-BF16.gguf", "b-BF16.gguf"):
        shutil.copy(folder / f"{MOE}.gguf", folder.parent / name)
    (folder.parent / "a.imatrix").write_bytes(as_dat(COLUMNS))
    (folder.parent / "imatrix.gguf").write_bytes(as_gguf(COLUMNS, {}))
    assert [model.path for model in tree.models()] == [NAME, "a-BF16", "b-BF16"]
    assert b"a.imatrix" in content(tree, "a-BF16/model.gguf-q4_0")
    assert b"quantize.imatrix" not in content(tree, "b-BF16/model.gguf-q4_0")
    first = at(tree, "a-BF16/model.gguf-q4_0").ino
    (folder.parent / "a.imatrix").write_bytes(as_dat({"x": sums("x", 3)}))
    assert at(tree, "a-BF16/model.gguf-q4_0").ino != first


def test_a_matrix_may_be_named_wherever_it_lies(tmp_path: Path, folder: Path, tree: Tree) -> None:
    named, other = tmp_path / "elsewhere.gguf", COLUMNS | {"blk.0.attn_q.weight": sums("other", 256)}
    (folder / "imatrix.gguf").write_bytes(as_gguf(COLUMNS, {}))
    assert b"imatrix.gguf" in content(tree, f"{NAME}/model.gguf-q4_0")
    planner = Planner(None, seconds=120, memory=2 << 30, imatrix_of={str(folder): str(named)}.get)
    engine = Engine(MemoryStore(16 << 20), workers=2)
    tree = Tree(folder.parent, planner, engine, types=("q4_0", "q8_0"))
    try:
        assert "model.gguf-q4_0" not in [name for name, _ in tree.entries(at(tree, NAME).ino)]
        named.write_bytes(as_gguf(COLUMNS, {}))
        first = at(tree, f"{NAME}/model.gguf-q4_0")
        before = content(tree, f"{NAME}/model.gguf-q4_0")
        assert b"elsewhere.gguf" in before
        named.write_bytes(as_gguf(other, {}))
        os.utime(named, ns=(1, 1))
        assert at(tree, f"{NAME}/model.gguf-q4_0").ino != first.ino
        after = content(tree, f"{NAME}/model.gguf-q4_0")
        assert (len(after), after == before) == (len(before), False)
    finally:
        engine.close()
        planner.close()


def test_a_matrix_that_the_configuration_names_is_exported_with(
    tmp_path: Path,
    folder: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "elsewhere.dat").write_bytes(as_dat(COLUMNS))
    (tmp_path / "some.toml").write_text(f'[imatrix]\n"{folder}" = "elsewhere.dat"\n')
    run = in_process(tmp_path / "home", monkeypatch, capfd)
    monkeypatch.setenv("PRISMFS_CONFIG", str(tmp_path / "some.toml"))
    assert "elsewhere.dat" in run("config", "show").stdout
    assert run("export", folder, "q4_0", "-o", tmp_path / "named").returncode == 0
    named = (tmp_path / "named").read_bytes()
    (folder / "imatrix.dat").write_bytes(as_dat(COLUMNS))
    beside = content(tree, f"{NAME}/model.gguf-q4_0")
    assert b"elsewhere.dat" in named
    assert named[-len(named) // 2 :] == beside[-len(named) // 2 :]


def test_a_bad_matrix_is_told_where_it_matters(
    tmp_path: Path,
    folder: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (folder / "imatrix.gguf").write_bytes(
        as_gguf({"blk.0.attn_q.weight": -COLUMNS["blk.0.attn_q.weight"]}, {})
    )
    with pytest.raises(PlanRefused, match="cannot have a weight of"):
        at(tree, f"{NAME}/model.gguf-q4_0")
    without = content(tree, f"{NAME}/model.gguf-q4_0-noimat")
    run = in_process(tmp_path / "home", monkeypatch, capfd)
    listed = run("ls", folder)
    assert listed.returncode == 0
    line = next(line for line in listed.stdout.splitlines() if "model.gguf-q4_k_m" in line)
    for part in (
        "refused: ",
        "imatrix.gguf",
        "blk.0.attn_q.weight",
        "model.gguf-q4_k_m-noimat is made without it",
    ):
        assert part in line
    for number, name in enumerate(("model.gguf-q4_0-noimat", "q4_0-NOIMAT", f"{NAME}-Q4_0-noimat.gguf")):
        assert run("export", folder, name, "-o", tmp_path / str(number)).returncode == 0
        assert (tmp_path / str(number)).read_bytes() == without
    refused = run("export", folder, "q4_0", "-o", tmp_path / "refused")
    assert refused.returncode != 0
    assert "noimat" in refused.stderr


def test_noimat_can_be_exported_where_there_is_no_matrix(
    tmp_path: Path,
    folder: Path,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = in_process(tmp_path / "home", monkeypatch, capfd)
    assert run("export", folder, "q4_0-noimat", "-o", tmp_path / "q4_0").returncode == 0
    assert (tmp_path / "q4_0").read_bytes() == content(tree, f"{NAME}/model.gguf-q4_0")
