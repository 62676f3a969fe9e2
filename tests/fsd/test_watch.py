"""The watch without a mount: a clock of its own for settling, and a source that raises no events."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from fsd.engine import Engine, MemoryStore
from fsd.errors import NoSuchEntry
from fsd.planner import Planner
from fsd.tree import Attributes, Changes, ModelSource, News, Tree
from fsd.tree.places import Places
from fsd.watch import Watch, watching
from fsd.watch.census import Census, Seen
from fsd.watch.complete import missing
from fsd.watch.found import Found, heard, line_of
from fsd.watch.settling import Settling
from tests.fsd.fake_plans import PROVIDER
from tests.fsd.mounting import until


class Silent:
    """An adapter that serves nobody, and remembers what it was told."""

    name = "silent"

    def __init__(self) -> None:
        self.news: list[News] = []
        self.is_watched = False

    def serve(self, mountpoint: str, *, allow_other: bool, on_ready: object) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError

    def watched(self) -> None:
        self.is_watched = True

    def forget(self, news: News) -> None:
        self.news.append(news)

    def refresh(self, inos: Collection[int]) -> None:
        pass

    def counters(self) -> dict[str, object]:
        return {}


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    planner = Planner(None, seconds=30, memory=2 << 30, provider=PROVIDER)
    yield planner
    planner.close()


@pytest.fixture
def tree(tmp_path: Path, planner: Planner) -> Iterator[Tree]:
    source = tmp_path / "source"
    model(source / "here")
    engine = Engine(MemoryStore(1 << 20), workers=1)
    yield Tree(source, planner, engine, types=("q8_0",))
    engine.close()


@pytest.fixture
def adapter() -> Silent:
    return Silent()


@pytest.fixture
def watch(tree: Tree, adapter: Silent) -> Iterator[Watch]:
    """By polling alone."""
    with watching(tree, adapter, settle=0.05, poll=0.05, events=False) as watch:
        yield watch


def model(folder: Path, content: bytes = b"weights") -> Path:
    folder.mkdir(parents=True)
    (folder / "model.gguf").write_bytes(content)
    return folder


def names(tree: Tree, *path: str) -> list[str]:
    at: Attributes = tree.attributes(tree.ROOT)
    for part in path:
        at = tree.lookup(at.ino, part)
    return [name for name, _ in tree.entries(at.ino)]


def test_a_source_without_events(tree: Tree, adapter: Silent, watch: Watch) -> None:
    assert adapter.is_watched
    assert names(tree) == ["here"]
    told: list[Changes] = []
    watch.listen(told.append)
    source = Path(tree.source)
    model(source / "org" / "new")
    until(lambda: names(tree) == ["here", "org"], "the new one is listed")
    assert names(tree, "org") == ["new"]
    (source / "org" / "new" / "model.gguf").write_bytes(b"others, and more")
    until(lambda: any(changes.changed == ("org/new",) for changes in told), "the change is told")
    (source / "org" / "new").rename(source / "renamed")
    until(lambda: names(tree) == ["here", "renamed"], "it is found under its new name")
    shutil.rmtree(source / "here")
    until(lambda: names(tree) == ["renamed"], "the other one is gone")
    until(lambda: any(changes.vanished == ("here",) for changes in told), "that is told")
    assert [changes.appeared for changes in told if changes.appeared] == [("org/new",), ("renamed",)]
    assert watch.changes == sum(changes.count for changes in told)
    assert all(news.folders for news in adapter.news)


def test_a_rescan_tells_what_it_found(tree: Tree, adapter: Silent) -> None:
    with watching(tree, adapter, settle=60, poll=3600, events=False) as watch:
        assert not watch.rescan()
        (Path(tree.source) / "here" / "config.json").write_text("{}")
        assert watch.rescan().changed == ("here",)
        model(Path(tree.source) / "new")
        assert not watch.rescan()
        assert list(watch.pending) == ["new"]
        with pytest.raises(NoSuchEntry):
            tree.lookup(tree.ROOT, "new")
        (Path(tree.source) / "here").rename(Path(tree.source) / "there")
        changes = watch.rescan()
        assert (changes.appeared, changes.vanished) == (("there",), ("here",))
        assert names(tree) == ["there"]


def test_a_lookout_that_died_is_replaced(tree: Tree, adapter: Silent, tmp_path: Path) -> None:
    """What came, changed and went meanwhile is told, and who waits for an answer gets one."""
    with watching(tree, adapter, settle=0.05, poll=0.05, events=False) as watch:
        source = Path(tree.source)
        model(source / "gone")
        model(source / "org" / os.fsdecode(b"no text \xff"))
        until(lambda: len(names(tree)) == 3, "both are listed")
        told: list[Changes] = []
        watch.listen(told.append)
        watch._lookout.stop()
        shutil.rmtree(source / "gone")
        model(source / "new")
        until(lambda: names(tree) == ["here", "new", "org"], "all is as it is now")
        until(lambda: any("gone" in changes.vanished for changes in told), "what went is told")
        until(lambda: any("new" in changes.appeared for changes in told), "what came is told")
        assert {"here", os.fsdecode(b"org/no text \xff")} <= {path for each in told for path in each.changed}
        model(source / "later")
        until(lambda: "later" in names(tree), "the new one looks on")
        assert not watch.rescan()
    assert not watch.rescan()


def test_what_a_look_came_to_is_told_whole() -> None:
    models = {os.fsdecode(b"a\xff"): ModelSource(os.fsdecode(b"/s/\xff\n"), "a")}
    changes = Changes(("new",), (os.fsdecode(b"a\xff"),), (), models)
    found = Found(changes, models, ("/s/org",), ("/s/new",), ("/s/old",), {"b": "why"}, (7,))
    line = line_of(found)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert heard(line) == found
    assert heard(line_of(Found(Changes()))) == Found(Changes())


def seen(path: str, print_: int) -> Seen:
    return Seen(ModelSource(path, path.rpartition("/")[2]), print_, 0)


def taken(settling: Settling, now: float, *found: Seen, reason: str = "") -> Changes:
    return settling.take(
        {each.model.name: each for each in found}, now, covers=lambda path: True, held_up=lambda seen: reason
    )


def test_settling_by_a_clock() -> None:
    settling = Settling(1.0)
    settling.begin({"a": seen("/s/a", 1)}, {"a": seen("/s/a", 1)}, 0.0)
    assert settling.admits("/s/a")
    assert settling.due(0.0) is None
    here, first, second = seen("/s/a", 1), seen("/s/b", 101), seen("/s/b", 2)
    assert not taken(settling, 10.0, here, first)
    assert settling.due(10.0) == 0.25
    assert not taken(settling, 10.9, here, second)
    assert not taken(settling, 11.5, here, second)
    assert not settling.admits("/s/b")
    assert not taken(settling, 12.0, here, second, reason="a shard is missing")
    assert settling.pending == {"b": "a shard is missing"}
    assert settling.due(12.0) is None
    assert taken(settling, 12.1, here, second).appeared == ("b",)
    assert settling.admits("/s/b")
    assert taken(settling, 12.2, here).vanished == ("b",)
    assert not settling.admits("/s/b")
    assert taken(settling, 12.3, here, seen("/s/c", 2)).appeared == ("c",)


def test_what_changes_between_the_first_two_looks_has_to_settle() -> None:
    settling = Settling(1.0)
    settling.begin({"a": seen("/s/a", 2)}, {"a": seen("/s/a", 1)}, 0.0)
    assert not settling.admits("/s/a")


def test_a_disk_that_gives_errors_tells_of_no_change() -> None:
    settling = Settling(1.0)
    here, unknown = seen("/s/a", 1), Seen(ModelSource("/s/a", "a"), None, 0)
    settling.begin({"a": here}, {"a": here}, 0.0)
    assert not taken(settling, 1.0, unknown)
    assert not taken(settling, 2.0, here)
    assert not taken(settling, 3.0, here, Seen(ModelSource("/s/b", "b"), None, 0))
    assert not settling.admits("/s/b")


def test_another_revision_takes_the_place_of_the_first_when_it_has_settled() -> None:
    settling = Settling(1.0)
    old, new = (Seen(ModelSource(f"/s/{rev}", "m"), len(rev), 0) for rev in ("old", "newer"))
    settling.begin({"m": old}, {"m": old}, 0.0)
    assert not taken(settling, 1.0, new)
    assert settling.admits("/s/old")
    assert not settling.admits("/s/newer")
    assert taken(settling, 2.0, new).changed == ("m",)
    assert settling.admits("/s/newer")


def test_what_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    places = Places(str(tmp_path))
    own = ModelSource(str(folder), "m")
    header = json.dumps(
        {"__metadata__": {"a": "b"}, "t": {"dtype": "I8", "shape": [4], "data_offsets": [0, 4]}}
    )
    whole = len(header).to_bytes(8, "little") + header.encode() + b"1234"
    shard = folder / "model-00001-of-00002.safetensors"
    for content, told in (
        (whole, "1 of 2 parts are there"), (whole[:-1], "ends before"), (whole[:20], "ends before"),
        (whole[:4], "ends before"), (b"\xff" * 40, "1 of 2"),
    ):  # fmt: skip
        shard.write_bytes(content)
        assert told in missing(places, own)
    shard.write_bytes(whole)
    (folder / "model-00002-of-00002.safetensors").write_bytes(whole)
    assert not missing(places, own)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"t": "elsewhere.safetensors"}}))
    assert "elsewhere.safetensors" in missing(places, own)
    index.write_text("[" * 100_000)
    assert not missing(places, own)


def test_a_census_tells_versions_apart(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    (folder / "original" / ".cache").mkdir(parents=True)
    census = Census(Places(str(tmp_path)))
    first = census.take()["m"].print
    assert census.take(["m"])["m"].print == first
    assert not census.take(["other"])
    (folder / "original" / ".cache" / "x").touch()
    assert census.take()["m"].print == first
    (folder / "original" / "params.json").touch()
    assert census.take()["m"].print != first
