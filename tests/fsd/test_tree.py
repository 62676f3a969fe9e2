"""The tree: names, look-up, attributes and handles, over fake plans in a real planning process."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fsd.engine import Engine, MemoryStore
from fsd.errors import (
    IsADirectory,
    NoSuchEntry,
    NotADirectory,
    PlanningCrash,
    PlanRefused,
    StaleHandle,
    errno_of,
)
from fsd.planner import Planner
from fsd.tree import Attributes, Handle, Tree
from fsd.tree.ahead import PlanAhead
from fsd.tree.nodes import ModelSource
from tests.fsd.fake_plans import PROVIDER, whole
from translators.errors import MalformedSource, SourceChanged

WEIGHTS = bytes(range(256)) * 64
LISTED = ("q8_0", "q4_k_m")
TreeOf = Callable[..., Tree]


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    planner = Planner(None, seconds=30, memory=2 << 30, provider=PROVIDER)
    yield planner
    planner.close()


@pytest.fixture
def tree_of(planner: Planner) -> Iterator[TreeOf]:
    engine = Engine(MemoryStore(16 << 20), workers=2)

    def make(source: Path, planner: Planner = planner, **changes: object) -> Tree:
        return Tree(source, planner, engine, **({"types": LISTED} | changes))  # type: ignore[arg-type]

    yield make
    engine.close()


def model(folder: Path, *files: str, name: str = "model.gguf", weights: bytes = WEIGHTS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(weights)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(os.fsencode(file))
    return folder


def at(tree: Tree, path: str) -> Attributes:
    attributes = tree.attributes(tree.ROOT)
    for part in filter(None, path.split("/")):
        attributes = tree.lookup(attributes.ino, part)
    return attributes


def names(tree: Tree, path: str = "") -> list[str]:
    return [name for name, _ in tree.entries(at(tree, path).ino)]


def opened(tree: Tree, path: str) -> Handle:
    return tree.open(at(tree, path).ino)


def content(tree: Tree, path: str) -> bytes:
    with opened(tree, path) as handle:
        return handle.read(0, handle.size + 10)


def test_a_directory_of_models(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "b")
    model(tmp_path / "a" / "deep", "config.json")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty" / "below").mkdir(parents=True)
    tree = tree_of(tmp_path)
    assert names(tree) == ["a", "b"]
    assert names(tree, "a") == ["deep"]
    for absent in ("notes.txt", "empty", "B", "", ".", "..", "a/deep", "x\0y"):
        with pytest.raises(NoSuchEntry):
            tree.lookup(tree.ROOT, absent)
    assert [entry.path for entry in tree.models()] == ["a/deep", "b"]


def test_a_models_directory(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "M-1B", "config.json", "original/params.json", ".git/HEAD", ".gitattributes")
    (tmp_path / "M-1B" / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "M-1B" / "pipe")
    tree = tree_of(tmp_path)
    assert names(tree, "M-1B") == [
        ".gitattributes", "config.json", "model.gguf", "original",
        "mlx-4bit", "gguf", "model.safetensors", "model.gguf-q8_0", "model.gguf-q4_k_m",
    ]  # fmt: skip
    assert names(tree, "M-1B/gguf") == ["M-1B-Q8_0.gguf", "M-1B-Q4_K_M.gguf"]
    assert names(tree, "M-1B/original") == ["params.json"]
    assert names(tree, "M-1B/mlx-4bit") == ["config.json"]
    assert content(tree, "M-1B/original/params.json") == b"original/params.json"
    assert content(tree, "M-1B/config.json") == b"config.json"
    assert content(tree, "M-1B/model.gguf") == content(tree, "M-1B/model.safetensors") == WEIGHTS
    assert content(tree, "M-1B/mlx-4bit/config.json") == b"{}"
    for kind in ("f16", "q8_0", "q4_k_m", "q4_0"):
        assert content(tree, f"M-1B/model.gguf-{kind}") == whole(kind, WEIGHTS)
    for absent in (
        ".git",
        "dangling",
        "pipe",
        "gguf/x.gguf",
        "gguf/gguf",
        "model.gguf-q9",
        "mlx-4bit/x",
        "mlx",
    ):
        with pytest.raises(NoSuchEntry):
            at(tree, f"M-1B/{absent}")
    with pytest.raises(NotADirectory):
        at(tree, "M-1B/config.json/x")
    with pytest.raises(IsADirectory):
        opened(tree, "M-1B/gguf")


def test_look_up_takes_any_case_and_unlisted_types(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "Modèle-7B")
    tree = tree_of(tmp_path)
    for kind in ("q4_k_m", "f16"):
        ino = at(tree, f"Modèle-7B/model.gguf-{kind}").ino
        for other in (
            f"model.gguf-{kind.upper()}", f"MODEL.GGUF-{kind}",
            f"gguf/Modèle-7B-{kind.upper()}.gguf", f"gguf/modèle-7b-{kind}.GGUF",
        ):  # fmt: skip
            assert at(tree, f"Modèle-7B/{other}").ino == ino
    for other in ("Model.safetensors", "GGUF/Modèle-7B-F16.gguf", "mlx-4bit/CONFIG.json"):
        with pytest.raises(NoSuchEntry):
            at(tree, f"Modèle-7B/{other}")


def test_attributes(tmp_path: Path, tree_of: TreeOf) -> None:
    path = model(tmp_path / "m", "config.json")
    os.utime(path / "config.json", ns=(1, 2_000_000_000_000_000_001))
    tree = tree_of(tmp_path)
    top, virtual, stored = (
        tree.attributes(tree.ROOT),
        at(tree, "m/model.gguf-q8_0"),
        at(tree, "m/config.json"),
    )
    assert (top.ino, top.kind, top.mode) == (1, "directory", 0o755)
    assert (virtual.kind, virtual.mode, virtual.nlink) == ("file", 0o644, 1)
    assert virtual.size == len(whole("q8_0", WEIGHTS))
    assert virtual.mtime_ns == stored.mtime_ns == 2_000_000_000_000_000_001
    assert virtual.allocated == 0
    assert stored.allocated == (path / "config.json").stat().st_blocks * 512
    content(tree, "m/model.gguf-q8_0")
    assert tree.attributes(virtual.ino).allocated == virtual.size
    for name, attributes in tree.entries(at(tree, "m").ino):
        assert attributes == at(tree, f"m/{name}") == tree.attributes(attributes.ino)
    xattrs = tree.xattrs(virtual.ino)
    assert xattrs["user.prismfs.target"] == b"q8_0 of a fake"
    assert os.fsencode(path / "model.gguf") in xattrs["user.prismfs.sources"].split(b"\n")
    assert xattrs["user.prismfs.engine"].startswith(b"prismfs ")
    assert tree.xattrs(stored.ino)["user.prismfs.target"] == b"source"
    assert tree.xattrs(top.ino) == {}
    assert tree.statfs().f_namemax >= 255
    with pytest.raises(NoSuchEntry):
        tree.attributes(10_000)


def test_a_source_file_goes_before_a_form_of_its_name(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "m", "gguf/own.gguf", "config.json", name="model.safetensors")
    tree = tree_of(tmp_path)
    assert names(tree, "m").count("model.safetensors") == 1
    assert tree.xattrs(at(tree, "m/model.safetensors").ino)["user.prismfs.target"] == b"source"
    assert names(tree, "m/gguf") == ["own.gguf", "m-Q8_0.gguf", "m-Q4_K_M.gguf"]


@pytest.mark.parametrize("name", ["model.gguf", "Some.Q4_0.gguf", "model.safetensors"])
def test_a_source_that_is_one_model(tmp_path: Path, tree_of: TreeOf, name: str) -> None:
    path = model(tmp_path / "Own-7B", "config.json", name=name)
    tree = tree_of(path)
    assert names(tree) == ["Own-7B"]
    assert content(tree, f"Own-7B/{name}") == WEIGHTS
    assert at(tree, "Own-7B/gguf/Own-7B-Q8_0.gguf").size
    with pytest.raises(NoSuchEntry):
        tree.lookup(tree.ROOT, "config.json")


def test_a_source_that_is_one_file(tmp_path: Path, tree_of: TreeOf) -> None:
    path = model(tmp_path / "m", "config.json", name="Own-7B.gguf") / "Own-7B.gguf"
    (tmp_path / "m" / "other.gguf").write_bytes(b"other")
    tree = tree_of(path)
    assert names(tree) == ["Own-7B"]
    assert "Own-7B.gguf" in names(tree, "Own-7B")
    assert not {"other.gguf", "config.json"} & set(names(tree, "Own-7B"))
    assert content(tree, "Own-7B/Own-7B.gguf") == WEIGHTS
    assert content(tree, "Own-7B/model.gguf-f16") == whole("f16", WEIGHTS)


def test_several_ggufs_are_models_each(tmp_path: Path, tree_of: TreeOf) -> None:
    for name in ("a.gguf", "b-00001-of-00002.gguf", "b-00002-of-00002.gguf"):
        model(tmp_path / "many", name=name)
        model(tmp_path, name=name)
    model(tmp_path / "a")
    tree = tree_of(tmp_path)
    assert names(tree) == ["a", "a.gguf", "b", "many"]
    assert names(tree, "many") == ["a", "b"]
    assert names(tree, "many/b")[:2] == ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"]
    assert names(tree, "many/a/gguf") == ["a-Q8_0.gguf", "a-Q4_K_M.gguf"]
    assert content(tree, "a.gguf/a.gguf") == content(tree, "a/model.gguf") == WEIGHTS


def test_a_lone_gguf_beside_models_is_a_model(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path, name="loose.gguf")
    model(tmp_path / "other")
    assert names(tree_of(tmp_path)) == ["loose", "other"]


@pytest.mark.parametrize(
    ("weights", "shown"),
    [
        (("a-Q4_0.gguf",), ["a-Q4_0.gguf", "onnx"]),
        (("model.safetensors",), ["model.safetensors", "onnx"]),
        (("a.gguf", "b.gguf"), ["a", "b"]),
        (("pytorch_model.bin", "a.gguf", "b.gguf"), ["a.gguf", "b.gguf", "onnx", "pytorch_model.bin"]),
        ((), ["onnx"]),
    ],
)
def test_what_weights_were_exported_to_is_no_model_beside_them(
    tmp_path: Path, tree_of: TreeOf, weights: tuple[str, ...], shown: list[str]
) -> None:
    source = tmp_path / "source"
    for name in ("onnx/model.onnx", "onnx/model_fp16.onnx", *(weights)):
        model((source / "m" / name).parent, name=Path(name).name)
    tree = tree_of(source)
    report = names(tree, "m")
    assert [name for name in report if name in shown] == shown
    assert {name for name in report if name.startswith(("onnx", "model_"))} <= {"onnx"} & set(shown)
    places = [entry.path for entry in tree.models()]
    if not weights:
        assert places == ["m/onnx/model", "m/onnx/model_fp16"]
    else:
        assert places == (["m"] if "onnx" in shown else ["m/a", "m/b"])


def test_models_in_a_directory_called_onnx_are_models(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path, name="loose.gguf")
    model(tmp_path / "onnx" / "net", name="model.onnx")
    model(tmp_path / "other" / "onnx", name="model.onnx")
    model(tmp_path / "third" / "onnx", name="model.onnx")
    model(tmp_path / "third", name="model.safetensors")
    tree = tree_of(tmp_path)
    assert [entry.path for entry in tree.models()] == ["loose", "onnx/net", "other/onnx", "third"]


def hub(cache: Path, repository: str, commits: dict[str, bytes], main: str | None) -> None:
    """A repository as huggingface_hub leaves it: blobs, and snapshots of links to them."""
    root = cache / repository
    for number, (commit, weights) in enumerate(commits.items()):
        (root / "blobs").mkdir(parents=True, exist_ok=True)
        (root / "blobs" / f"{number:064x}").write_bytes(weights)
        snapshot = root / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (snapshot / "model.safetensors").symlink_to(f"../../blobs/{number:064x}")
        os.utime(snapshot, ns=(number, number))
    if main is not None:
        (root / "refs").mkdir(parents=True)
        (root / "refs" / "main").write_text(main)


def test_a_hub_cache(tmp_path: Path, tree_of: TreeOf) -> None:
    first, second = b"first " * 100, b"second" * 100
    hub(tmp_path, "models--org--with-main", {"aaa": first, "bbb": second}, main="aaa")
    hub(tmp_path, "models--org--newest", {"aaa": first, "bbb": second}, main=None)
    hub(tmp_path, "models--org--bad-ref", {"aaa": first}, main="../../../etc")
    hub(tmp_path, "models--gpt2", {"ccc": second}, main="ccc\n")
    hub(tmp_path, "models--empty--repo", {}, main="aaa")
    hub(tmp_path, "datasets--org--data", {"aaa": first}, main="aaa")
    (tmp_path / ".locks").mkdir()
    model(tmp_path / "org" / "plain")
    tree = tree_of(tmp_path)
    assert names(tree) == ["gpt2", "org"]
    assert names(tree, "org") == ["bad-ref", "newest", "plain", "with-main"]
    assert content(tree, "org/with-main/model.safetensors") == first
    assert content(tree, "org/newest/model.safetensors") == second
    assert content(tree, "org/bad-ref/model.safetensors") == first
    assert content(tree, "gpt2/model.safetensors") == second
    assert at(tree, "org/with-main/model.safetensors").kind == "file"
    assert at(tree, "org/with-main/gguf/with-main-Q8_0.gguf").size
    assert names(tree_of(tmp_path / "models--org--newest")) == ["newest"]
    assert names(tree_of(tmp_path / "models--gpt2" / "snapshots" / "ccc")) == ["gpt2"]
    (tmp_path / "models--org--with-main" / "refs" / "main").write_text("bbb")
    assert content(tree, "org/with-main/model.safetensors") == second


def test_names_that_are_no_text(tmp_path: Path, tree_of: TreeOf) -> None:
    name = os.fsdecode(b"m\xff\xfe")
    model(tmp_path / name, os.fsdecode(b"f\x80.json"))
    tree = tree_of(tmp_path)
    assert names(tree) == [name]
    assert os.fsdecode(b"f\x80.json") in names(tree, name)
    assert content(tree, f"{name}/gguf/{name}-Q8_0.gguf") == whole("q8_0", WEIGHTS)
    (report,) = tree.explain()
    json.dumps([entry.name for entry in report.entries], ensure_ascii=False).encode()
    assert report.name == "m\\udcff\\udcfe"


def test_links_that_lead_back_and_directories_that_cannot_be_read(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "a" / "m", "x/y.json", name="model.safetensors")
    (tmp_path / "a" / "loop").symlink_to("..")
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "a" / "m" / "x" / "back").symlink_to(tmp_path / "a")
    (tmp_path / "other").symlink_to(tmp_path / "a" / "m")
    tree = tree_of(tmp_path)
    assert names(tree) == ["a", "other"]
    assert names(tree, "a") == ["m"]
    assert names(tree, "a/m/x") == ["y.json"]
    for absent in ("a/loop", "a/m/x/back", "itself"):
        with pytest.raises(NoSuchEntry):
            at(tree, absent)
    assert [entry.path for entry in tree.models()] == ["a/m", "other"]
    assert {report.name: report.error.reason for report in tree.explain() if report.error} == {
        "a/loop": "is a symbolic link to a directory that it lies in",
        "itself": "is a symbolic link to nowhere, or to itself",
    }


def test_a_directory_that_cannot_be_read_is_told(
    tmp_path: Path, tree_of: TreeOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    model(tmp_path / "m")
    closed = tmp_path / "closed"
    closed.mkdir()
    scandir = os.scandir

    def guarded(path: str) -> object:
        if Path(path) == closed:  # what root cannot be refused for real
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    tree = tree_of(tmp_path)
    assert names(tree) == ["m"]
    told = {report.name: report.error.reason for report in tree.explain() if report.error}
    assert told == {"closed": "cannot be read: Permission denied"}


def test_the_mount_itself_is_not_looked_into(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "m")
    model(tmp_path / "mnt" / "m")
    tree = tree_of(tmp_path, excluded=[tmp_path / "mnt"])
    assert names(tree) == ["m"]
    with pytest.raises(NoSuchEntry):
        at(tree, "mnt")


def test_200_models_and_none_is_planned(tmp_path: Path) -> None:
    for number in range(200):
        model(tmp_path / "org" / f"m{number}", "config.json", "stall")
    planner = Planner(None, seconds=30, memory=2 << 30, provider=PROVIDER)
    tree = Tree(tmp_path, planner, Engine(MemoryStore(0), 1), types=LISTED)
    began = time.monotonic()
    assert len(tree.entries(at(tree, "org").ino)) == 200
    for number in range(0, 200, 10):
        assert at(tree, f"org/m{number}").kind == "directory"
        assert content(tree, f"org/m{number}/config.json") == b"config.json"
        with pytest.raises(NoSuchEntry):
            at(tree, f"org/m{number}/.hidden")
    assert len(list(tree.models())) == 200
    assert planner.started == 0
    assert time.monotonic() - began < 10


def test_models_that_are_listed_one_after_another_are_planned_ahead() -> None:
    models = [ModelSource(f"/{number:03d}", f"{number:03d}") for number in range(100)]
    planned: list[ModelSource] = []
    ahead = PlanAhead(planned.append)
    ahead.listed(models[0])  # of no folder that was shown
    ahead.shown(models)
    ahead.listed(models[50])
    ahead.listed(models[70])
    assert not planned
    ahead.listed(models[71])
    assert planned == models[72:76]
    for number in (72, 74, 73, 75):  # a locale's order
        ahead.listed(models[number])
    assert planned == models[72 : 72 + len(planned)]
    assert len(planned) > 8
    planned.clear()
    ahead.shown(models)
    for model in models:
        ahead.listed(model)
    assert planned == models[1:]


def test_a_planner_is_told_of_the_next_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("FAKE_PLANS_LOG", str(log))
    for number in range(4):
        model(tmp_path / "models" / f"m{number}")
    planner = Planner(None, seconds=30, memory=2 << 30, provider=PROVIDER)
    engine = Engine(MemoryStore(1 << 20), workers=1)
    try:
        tree = Tree(tmp_path / "models", planner, engine, types=LISTED)
        names(tree)
        names(tree, "m0")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and len(log.read_text().splitlines()) < 4:
            time.sleep(0.01)
        assert len(log.read_text().splitlines()) == 4
    finally:
        engine.close()
        planner.close()


def test_what_the_store_has_is_told_without_opening(tmp_path: Path, planner: Planner) -> None:
    model(tmp_path / "m")
    store = MemoryStore(16 << 20)
    for run in range(2):
        engine = Engine(store, workers=2)
        tree = Tree(tmp_path, planner, engine, types=LISTED)
        assert (at(tree, "m/model.gguf-q8_0").allocated > 0) == (run > 0)
        assert (at(tree, "m/gguf/m-Q8_0.gguf").allocated > 0) == (run > 0)
        content(tree, "m/model.gguf-q8_0")
        engine.close()
    assert at(tree, "m/model.gguf-q4_k_m").allocated == 0


def test_a_changed_source_is_another_file(tmp_path: Path, tree_of: TreeOf) -> None:
    path = model(tmp_path / "m", "config.json")
    tree = tree_of(tmp_path)
    before = at(tree, "m/model.gguf-f16")
    handle = tree.open(before.ino)
    half = handle.read(0, 1000)
    changed = WEIGHTS[::-1] * 2
    (path / "model.gguf").write_bytes(changed)
    time.sleep(0.1)
    with pytest.raises(SourceChanged):
        handle.read(1000, 1000)
    for call in (tree.attributes, tree.open, tree.xattrs):
        with pytest.raises(StaleHandle) as stale:
            call(before.ino)
        assert errno_of(stale.value) == 116
    after = at(tree, "m/model.gguf-f16")
    assert after.ino != before.ino
    assert after.size == len(whole("f16", changed))
    assert content(tree, "m/model.gguf-f16") == whole("f16", changed)
    assert half == whole("f16", WEIGHTS)[:1000]
    handle.close()
    # A file that decides nothing makes no other file.
    (path / "notes.txt").touch()
    assert at(tree, "m/model.gguf-f16").ino == after.ino


def test_a_source_file_behaves_as_a_plain_file(tmp_path: Path, tree_of: TreeOf) -> None:
    path = model(tmp_path / "m", "config.json")
    tree = tree_of(tmp_path)
    before = at(tree, "m/config.json")
    with tree.open(before.ino) as handle:
        (path / "config.json").write_text("longer than before")
        assert handle.read(0, 100) == b"longer than before"
        assert at(tree, "m/config.json").ino == before.ino
        (path / "new").write_text("replaced")
        (path / "new").rename(path / "config.json")
        assert handle.read(0, 100) == b"longer than before"
    with pytest.raises(StaleHandle):
        handle.read(0, 1)
    with pytest.raises(StaleHandle):
        tree.attributes(before.ino)
    with pytest.raises(StaleHandle):
        tree.open(before.ino)
    after = at(tree, "m/config.json")
    assert after.ino != before.ino
    (path / "config.json").unlink()
    with pytest.raises(FileNotFoundError):
        tree.attributes(after.ino)
    with pytest.raises(NoSuchEntry):
        at(tree, "m/config.json")


@pytest.mark.parametrize(("name", "kind"), [("malformed", MalformedSource), ("exit", PlanningCrash)])
def test_a_model_that_cannot_be_planned_shows_its_source_files(
    tmp_path: Path, tree_of: TreeOf, name: str, kind: type[Exception]
) -> None:
    model(tmp_path / "bad", name)
    model(tmp_path / "good")
    tree = tree_of(tmp_path)
    assert sorted(names(tree, "bad")) == sorted(["model.gguf", name])
    assert content(tree, "bad/model.gguf") == WEIGHTS
    for form in ("model.gguf-q8_0", "model.safetensors", "gguf"):
        with pytest.raises(kind):
            at(tree, f"bad/{form}")
    # A program that only probes for an optional file is to hear that it is not there.
    with pytest.raises(NoSuchEntry):
        at(tree, "bad/adapter_config.json")
    assert content(tree, "good/model.gguf-q8_0") == whole("q8_0", WEIGHTS)
    bad, good = tree.explain()
    assert bad.error is not None
    assert type(bad.error.error()) is kind
    assert [entry.name for entry in bad.entries if entry.describe != "source file"] == []
    assert good.error is None


def test_a_refused_form_says_why(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "m")
    tree = tree_of(tmp_path)
    for name in ("model.gguf-iq1_s", "model.gguf-IQ1_S"):
        with pytest.raises(PlanRefused, match="importance matrix"):
            at(tree, f"m/{name}")


def test_explain(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "org" / "m", "config.json")
    model(tmp_path / "n")
    (tmp_path / "empty").mkdir()
    tree = tree_of(tmp_path)
    empty, n, m = tree.explain()
    assert (empty.name, empty.error is not None and empty.error.reason) == (
        "empty", "holds no model that is recognised"
    )  # fmt: skip
    assert (n.name, m.name, m.source) == ("n", "org/m", str(tmp_path / "org" / "m"))
    listed = {entry.name: entry.listed for entry in m.entries}
    assert listed["config.json"] and listed["model.gguf-q8_0"] and listed["gguf/m-Q8_0.gguf"]
    assert not listed["model.gguf-f16"] and not listed["gguf/m-F16.gguf"]
    assert [(entry.name, entry.remedy) for entry in m.refusals] == [("model.gguf-iq1_s", "choose q2_k")]
    assert tree.explain("org") == tree.explain("org/m") == tree.explain("/org/m/config.json") == [m]
    with pytest.raises(NoSuchEntry):
        tree.explain("org/x")
    for entry in m.entries:
        assert at(tree, f"org/m/{entry.name}").size == entry.size


def test_the_status_file(tmp_path: Path, tree_of: TreeOf) -> None:
    for number in range(100):
        model(tmp_path / f"bad{number}{'x' * 100}", "malformed")
    model(tmp_path / "m")
    tree = tree_of(tmp_path)
    assert names(tree, ".prismfs") == ["status.json", "SHA256SUMS", "ollama", "hub", "lmstudio"]
    content(tree, "m/model.gguf-q8_0")
    attributes = at(tree, ".prismfs/status.json")
    text = content(tree, ".prismfs/status.json")
    assert len(text) == attributes.size
    told = json.loads(text)
    assert (told["source"], told["pid"]) == (str(tmp_path), os.getpid())
    assert told["models_known"] == 1
    assert told["engine"]["translated"] == 1
    list(tree.explain())
    crowded = json.loads(content(tree, ".prismfs/status.json"))
    assert at(tree, ".prismfs/status.json").size == attributes.size
    assert crowded["plan_errors_not_shown"] > 0
    assert crowded["plan_errors"][0]["reason"]
    assert at(tree, ".prismfs/status.json").mtime_ns > attributes.mtime_ns


def test_types_of_nodes(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "m", "sub/x")
    tree = tree_of(tmp_path)
    for _, attributes in tree.entries(at(tree, "m").ino):
        assert attributes.kind in ("directory", "file")
        assert stat.S_IMODE(attributes.mode) == attributes.mode
    with pytest.raises(NotADirectory):
        tree.entries(at(tree, "m/model.gguf").ino)


def test_a_directory_of_a_format_is_planned_when_somebody_looks_into_it(
    tmp_path: Path, tree_of: TreeOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("FAKE_PLANS_LOG", str(log))
    source = tmp_path / "source"
    model(source / "m", "folders")
    planner = Planner(None, seconds=30, memory=2 << 30, provider=PROVIDER)
    try:
        assert not {"pytorch", "pytorch-zip", "onnx-int4"} & set(names(tree_of(source, planner=planner), "m"))
        tree = tree_of(source, planner=planner, types=(*LISTED, "pytorch"))
        listed = names(tree, "m")
        assert "pytorch" in listed and not {"pytorch-zip", "onnx-int4"} & set(listed)
        assert at(tree, "m/pytorch").kind == "directory"
        assert "pytorch" not in log.read_text()
        for folder in ("pytorch", "pytorch-zip"):
            assert names(tree, f"m/{folder}") == ["deep"]
            assert names(tree, f"m/{folder}/deep") == ["weights.bin"]
            assert at(tree, f"m/{folder}/deep/weights.bin").size == len(WEIGHTS)
            assert content(tree, f"m/{folder}/deep/weights.bin") == WEIGHTS
        assert log.read_text().split() == [f"{os.fsencode(source / 'm')!r}", "b'pytorch'", "b'pytorch-zip'"]
    finally:
        planner.close()


def test_a_directory_of_a_format_that_cannot_be_says_why(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "m", "folders")
    tree = tree_of(tmp_path)
    with pytest.raises(PlanRefused, match="no such graph"):
        at(tree, "m/onnx-int4")
    with pytest.raises(PlanRefused, match="no such tensor"):
        at(tree, "m/pytorch/x")
    for absent in ("m/onnx-int8", "m/pytorch/y", "m/weights.bin"):
        with pytest.raises(NoSuchEntry):
            at(tree, absent)
    (report,) = tree.explain()
    assert [(folder.name, folder.listed) for folder in report.folders] == [
        ("pytorch", True), ("pytorch-zip", False)
    ]  # fmt: skip
    assert ("onnx-int4/", "wait") in [(refused.name, refused.remedy) for refused in report.refusals]


def test_the_catalogue_finds_a_file_in_a_directory_of_a_format(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "m", "folders")
    tree = tree_of(tmp_path)
    found = tree.catalogue.find("m/pytorch/deep/weights.bin")
    file = tree.catalogue.file(found)
    assert (file.names, file.size) == (("pytorch/deep/weights.bin",), len(WEIGHTS))
    contents = tree.catalogue.contents(tree.catalogue.find("m").model)  # type: ignore[arg-type]
    assert [folder.name for folder in contents.folders] == ["pytorch", "pytorch-zip"]
