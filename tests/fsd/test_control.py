"""Control: what is told of models and files, what names mean, pins and eviction, warm and export jobs."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

import fsd.engine.engine
from fsd.engine import Engine
from fsd.engine.flights import Flight
from fsd.errors import Ambiguous, BadOption, ExportRefused, NoStore, NoSuchEntry, Pinned, PlanRefused
from tests.fsd.controlled import Controlled, controlled
from tests.fsd.mounting import until
from tests.tiny_models import build
from tests.tiny_variants import MODELS

NAME, SHARDED = "Tiny-Llama-3-8B-Instruct-v0.2", "Biased-llama-1.5b"
Q8, Q4 = f"{NAME}/model.gguf-q8_0", f"{NAME}/model.gguf-q4_0"
GOLDEN = json.loads((Path(__file__).parents[1] / "oracle" / "golden" / f"{NAME}.json").read_text())["files"]
Over = Callable[..., Controlled]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    build(MODELS[NAME], folder)
    build(MODELS[SHARDED], folder / "org")
    (folder / "broken").mkdir()
    (folder / "broken" / "model.safetensors").write_bytes(b"\xff" * 64)
    return folder


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture
def over(tmp_path: Path, source: Path, plans: Path) -> Iterator[Controlled]:
    with controlled(tmp_path, source, plan_cache=str(plans)) as made:
        yield made


def test_models_are_told_without_planning_them(tmp_path: Path, source: Path) -> None:
    with controlled(tmp_path, source) as over:
        control = over.control
        models = control.models()
        assert [(model.name, model.state) for model in models] == [
            (NAME, "unplanned"), ("broken", "unplanned"), (f"org/{SHARDED}", "unplanned"),
        ]  # fmt: skip
        assert over.parts.planner.started == 0
        assert models[0].source == str(source / NAME) and models[0].mountpoint == str(over.mountpoints[0])
        files = control.files(NAME)
        ready = control.models()[0]
        assert ready == files.model and ready.state == "ready" and ready.files == len(files.files)
        broken = control.files("broken").model
        assert broken.state == "refused" and broken.problem is not None
        assert broken.problem.kind == "MalformedSource"
        with pytest.raises(NoSuchEntry):
            control.files("org")
        with pytest.raises(NoSuchEntry):
            control.models(mountpoint="/elsewhere")


def test_files_tell_what_they_are_equal_to_and_what_they_cost(over: Controlled) -> None:
    files = {file.name: file for file in over.control.files(NAME, all=True).files}
    shard = files["model.safetensors"]
    assert (shard.kind, shard.translated, shard.equals) == ("source", False, "the source file")
    q8, own = files["model.gguf-q8_0"], files["model.gguf-bf16"]
    assert q8.size == GOLDEN["model.gguf-q8_0"]["size"] and q8.listed
    assert not files["model.gguf-q5_0"].listed and "gguf/x" not in files
    assert own.equals == "convert_hf_to_gguf.py --outtype bf16 (llama.cpp b11434) of the source"
    assert q8.equals == ("llama-quantize Q8_0 (llama.cpp b11434) of convert_hf_to_gguf.py --outtype bf16")
    assert q8.path == f"{over.mountpoints[0]}/{Q8}" and str(shard.sources[0]) in q8.sources
    # All weights are read once, headers are not among them; nothing was measured yet.
    weights = q8.cost.source_bytes
    assert 0 < shard.size - weights < 16384 and own.cost.source_bytes == weights
    assert q8.cost.cpu_seconds is None and q8.cost.cache_bytes == q8.size
    done = over.warmed(Q8)
    assert (done.cached, done.cost.cpu_seconds, done.cost.source_bytes, done.cost.cache_bytes) == (
        q8.size, 0.0, 0, 0,
    )  # fmt: skip
    counted, seconds = over.parts.engine.counters().by_target["gguf-q8_0"]
    assert counted == q8.size and seconds > 0
    merged = {file.name: file for file in over.control.files(f"org/{SHARDED}").files}["model.safetensors"]
    assert merged.equals == "what the safetensors library's own writer makes of the source's tensors"
    assert not merged.translated and merged.cost.cpu_seconds == 0


def test_what_a_name_means(over: Controlled) -> None:
    file = over.control.file
    whole = str(over.mountpoints[0] / Q8)
    for name in (whole, Q8, f"{NAME}/model.gguf-Q8_0", f"{NAME}/gguf/{NAME}-Q8_0.gguf", f"//{whole}"):
        assert file(name).path == whole
    assert file(f"{NAME}/config.json").kind == "source"
    assert over.control.files(str(over.mountpoints[0] / NAME)).model.name == NAME
    beside = over.mountpoints[0].with_name("mnt-01")
    for name in (
        "", "/", ".", "..", "/etc/passwd", f"{NAME}/../{Q8}", f"{over.mountpoints[0]}/../mnt-0/{Q8}",
        f"./{Q8}", f"{NAME}/x", f"{NAME}/.prismfs", f"{Q8}/x", str(over.mountpoints[0]), f"{beside}/{Q8}",
        ".prismfs/status.json", NAME, "a\0b", f"{over.mountpoints[0]}{Q8}",
    ):  # fmt: skip
        with pytest.raises(NoSuchEntry):
            file(name)
    with pytest.raises(PlanRefused):
        file(f"{NAME}/model.gguf-iq2_xxs")
    with pytest.raises(NoSuchEntry):
        over.control.warm([Q8, f"{NAME}/nothing"])
    for paths in ([], [Q8] * 1001):
        with pytest.raises(BadOption):
            over.control.warm(paths)


def test_two_mounts(tmp_path: Path, source: Path, plans: Path) -> None:
    with controlled(tmp_path, source, source / "org", plan_cache=str(plans)) as over:
        control, (first, second) = over.control, over.mountpoints
        assert [(report.mountpoint, report.serving) for report in control.mounts()] == [
            (str(first), True), (str(second), True),
        ]  # fmt: skip
        assert control.ready() and control.status().ready
        assert [model.name for model in control.models(str(second))] == [SHARDED]
        # The same model, so the same bytes: a file of either is a file of both.
        done = over.warmed(f"{second}/{SHARDED}/model.gguf-q8_0")
        other = control.file(f"{first}/org/{SHARDED}/model.gguf-q8_0")
        assert other.cached == done.cached == done.size and other.sha256 == done.sha256
        with pytest.raises(NoSuchEntry):
            control.files(NAME, str(second))
    with controlled(tmp_path, source, source, plan_cache=str(plans)) as over:
        with pytest.raises(Ambiguous):
            over.control.file(Q8)
        with pytest.raises(Ambiguous):
            over.control.files(NAME)
        second = over.mountpoints[1]
        assert over.control.files(NAME, str(second)).model.mountpoint == str(second)
        assert over.control.file(f"{second}/{Q8}").path == f"{second}/{Q8}"


def test_warming_a_directory(over: Controlled, tmp_path: Path) -> None:
    control = over.control
    queued = control.warm([NAME, Q8, f"{NAME}/gguf"])
    assert queued.kind == "warm" and queued.paths == (NAME, Q8, f"{NAME}/gguf")
    job = over.ended(queued)
    listed = [file for file in control.files(NAME).files if file.translated]
    assert [file.name for file in listed] == ["model.gguf-bf16", "model.gguf-q8_0", "model.gguf-q4_0"]
    assert job.done == job.total == sum(file.size for file in listed)
    assert [(line["path"], line["state"], line["bytes"]) for line in job.results] == [
        (file.path, "read", file.size) for file in listed
    ]
    for file in listed:
        assert file.sha256 == GOLDEN[file.name]["sha256"]
    again = over.ended(control.warm([NAME]))
    assert [line["state"] for line in again.results] == ["whole"] * 3 and again.done == again.total
    assert over.ended(control.warm([f"{NAME}/config.json"])).results[0]["state"] == "read through"
    failed = over.ended(control.warm(["broken", Q8]))
    assert [line["state"] for line in failed.results] == ["failed", "whole"]
    assert failed.state == "failed" and failed.problem is not None
    # The digests are told in the mount, too, and are known after a restart.
    tree = control._mounts[0].tree
    ino = tree.catalogue.find(Q8).ino
    assert tree.xattrs(ino)["user.prismfs.sha256"].decode() == GOLDEN["model.gguf-q8_0"]["sha256"]


def test_sums_are_a_file_of_the_mount(over: Controlled) -> None:
    tree = over.control._mounts[0].tree

    def sums() -> tuple[int, bytes]:
        found = tree.lookup(tree.lookup(tree.ROOT, ".prismfs").ino, "SHA256SUMS")
        with tree.open(found.ino) as handle:
            assert handle.size == found.size
            return found.ino, handle.read(0, found.size + 10)

    before = sums()
    assert before[1] == b""
    digest = over.warmed(Q4).sha256
    until(lambda: sums()[1] == f"{digest}  {Q4}\n".encode(), "the sum is told")
    after = sums()
    assert after[0] != before[0] and sums() == after
    with tree.open(before[0]) as handle:  # who has an earlier version open goes on to read that one
        assert handle.size == 0


@pytest.mark.parametrize("disk", [True, False])
def test_digests_are_known_after_a_restart(tmp_path: Path, source: Path, plans: Path, disk: bool) -> None:
    own = {"plan_cache": str(tmp_path / "own")} if not disk else {"plan_cache": str(plans)}
    options = own | ({} if disk else {"no_cache": "yes"})
    with controlled(tmp_path, source, **options) as over:
        digest = over.warmed(Q4).sha256
        assert digest == GOLDEN["model.gguf-q4_0"]["sha256"]
    with controlled(tmp_path, source, **options) as over:
        assert over.control.file(Q4).sha256 == digest


def test_a_pin_holds_over_a_restart_and_against_the_limit(tmp_path: Path, source: Path, plans: Path) -> None:
    small = {"plan_cache": str(plans), "cache_size": "8M", "cache_min_free": "1M"}
    with controlled(tmp_path, source, **small) as over:
        control = over.control
        (pinned,) = control.pin(Q8, True)  # before anything of it is there
        assert pinned.pinned and pinned.cached == 0 and pinned.path == f"{over.mountpoints[0]}/{Q8}"
        size = over.warmed(Q8).size
    with controlled(tmp_path, source, **small) as over:
        control = over.control
        assert control.file(Q8).pinned
        job = over.ended(control.warm([f"{NAME}/model.gguf-f16"]))  # 10 MB, of which 2.4 find room
        (line,) = job.results
        assert job.state == "done" and line["state"] == "not kept" and "too small" in str(line["error"])
        assert control.file(Q8).cached == size
        with pytest.raises(Pinned):
            control.evict(Q8)
        assert [(file.name, file.pinned) for file in control.evict(NAME) if file.cached] == [
            ("model.gguf-q8_0", True)
        ]
        assert control.cache_clear().bytes >= size
        cached = {file.label: (file.bytes, file.pinned, file.complete) for file in control.cache().files}
        assert cached == {Q8: (size, True, True)}
        (freed,) = control.pin(Q8, False)
        assert not freed.pinned
        (gone,) = control.evict(Q8)
        assert gone.cached == 0 and gone.sha256 == GOLDEN["model.gguf-q8_0"]["sha256"]
        assert control.cache().files == () and control.cache().bytes == 0
        (nothing,) = control.pin(f"{NAME}/config.json", True)
        assert not nothing.pinned and "nothing of it is kept" in nothing.note


def test_a_lent_file_is_evicted_when_it_is_given_back(over: Controlled) -> None:
    size = over.warmed(Q4).size
    tree = over.control._mounts[0].tree
    with tree.engine_file(tree.catalogue.find(Q4).ino) as file:
        until(lambda: file.lend() is not None, "the file is lent")
        (report,) = over.control.evict(Q4)
        assert report.cached == 0 and "closes it" in report.note
        assert over.control.cache().bytes >= size  # its space is still taken
    until(lambda: over.control.cache().bytes == 0, "its space is given back")


def test_without_a_store_nothing_is_pinned_or_evicted(tmp_path: Path, source: Path, plans: Path) -> None:
    with controlled(tmp_path, source, plan_cache=str(plans), no_cache="yes") as over:
        for ask in (lambda: over.control.pin(Q8, True), lambda: over.control.evict(Q8)):
            with pytest.raises(NoStore):
                ask()
        assert over.control.cache().directory is None
        assert over.warmed(Q4).cached == over.control.cache().bytes > 0
        assert over.control.cache_clear().bytes == 0


class Brake:
    """Has every chunk but the first few wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
        self.go, self.waiting, self._free = threading.Event(), threading.Event(), free
        self._lock = threading.Lock()
        self._translated = fsd.engine.engine._translated
        monkeypatch.setattr(fsd.engine.engine, "_translated", self)

    def __call__(self, flight: Flight) -> memoryview:
        with self._lock:
            self._free -= 1
            held = self._free < 0
        if held:
            self.waiting.set()
            assert self.go.wait(60)
        return self._translated(flight)


def test_a_job_is_called_off_midway(over: Controlled, monkeypatch: pytest.MonkeyPatch) -> None:
    brake = Brake(monkeypatch, free=4)
    job = over.control.warm([Q8, Q4])
    assert brake.waiting.wait(60)
    until(lambda: over.control.jobs.get(job.id).done == 4 << 20, "the first piece is done")
    running = over.control.jobs.get(job.id)
    assert running.state == "running" and running.current.endswith(Q8) and running.total > running.done
    over.control.jobs.cancel(job.id)
    last = over.ended(job)  # without waiting for what is translated
    assert (last.state, last.results, last.problem) == ("cancelled", (), None)
    brake.go.set()


def test_a_source_that_changes_ends_its_own_file_alone(
    tmp_path: Path, plans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(MODELS[NAME], tmp_path / "models")
    build(MODELS[SHARDED], tmp_path / "models")
    other = f"{SHARDED}/model.gguf-q8_0"
    with controlled(tmp_path, tmp_path / "models", plan_cache=str(plans)) as over:
        over.control.files(SHARDED)
        brake = Brake(monkeypatch, free=4)
        job = over.control.warm([Q8, other])
        assert brake.waiting.wait(60)
        os.utime(folder / "model.safetensors", ns=(1, 1))
        brake.go.set()
        last = over.ended(job)
        assert [line["state"] for line in last.results] == ["failed", "read"]
        assert last.state == "failed" and last.done == last.total
        assert last.problem is not None and last.problem.kind == "SourceChanged"
        assert over.control.file(Q8).cached == 0  # of the version that is there now
        assert over.ended(over.control.verify([other])).state == "done"


def test_warming_gives_way_to_readers(over: Controlled, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every worker held, what a reader asks for later goes before what is queued for the job."""
    workers = over.parts.engine.workers
    began: list[tuple[str, int]] = []
    original = Engine._taken

    def taken(self: Engine) -> Iterator[Flight]:
        for flight in original(self):
            began.append((flight.key.identity, flight.key.number))
            yield flight

    monkeypatch.setattr(Engine, "_taken", taken)
    brake = Brake(monkeypatch, free=0)
    job = over.control.warm([Q8])
    assert brake.waiting.wait(60)
    until(lambda: len(began) == workers, "every worker is at a chunk")
    tree = over.control._mounts[0].tree
    with tree.engine_file(tree.catalogue.find(Q4).ino) as file:
        reader = threading.Thread(target=file.read, args=(0, 10))
        reader.start()
        until(lambda: any(f.key.identity == file.identity for f in over.parts.engine._flights.queued()))
        brake.go.set()
        reader.join(60)
        assert began[workers][0] == file.identity
    assert over.ended(job).state == "done"


def test_export(tmp_path: Path, source: Path, plans: Path) -> None:
    directory = tmp_path / "exports"
    directory.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (directory / "link").symlink_to(tmp_path / "elsewhere")
    with controlled(tmp_path, source, plan_cache=str(plans), export_dir=str(directory)) as over:
        control = over.control
        job = over.ended(control.export(Q4, "deep/x.gguf"))
        written = (directory / "deep" / "x.gguf").read_bytes()
        (line,) = job.results
        assert (job.state, job.done, line["state"]) == ("done", len(written), "written")
        assert sha256(written).hexdigest() == line["sha256"] == GOLDEN["model.gguf-q4_0"]["sha256"]
        assert control.file(Q4).sha256 == line["sha256"]
        for to in (
            "",
            ".",
            "..",
            "../x",
            "deep/../../x",
            "/etc/x",
            "link/x",
            "deep/",
            "deep/x.gguf/y",
            "a\0",
        ):
            with pytest.raises(ExportRefused):
                control.export(Q4, to)
        with pytest.raises(ExportRefused):
            control.export(Q4, "deep/x.gguf")
        assert over.ended(control.export(f"{NAME}/config.json", "deep/x.gguf", replace=True)).state == "done"
        assert (directory / "deep" / "x.gguf").read_bytes() == (source / NAME / "config.json").read_bytes()
        with pytest.raises(NoSuchEntry):
            control.export(NAME, "y")
        assert not list((tmp_path / "elsewhere").iterdir())
    with controlled(tmp_path, source, plan_cache=str(plans)) as over, pytest.raises(ExportRefused):
        over.control.export(Q4, "x")


def test_options_tell_their_origin(over: Controlled) -> None:
    found = {option.name: (option.value, option.origin) for option in over.control.options()}
    assert found["types"] == ("q8_0,q4_0", "--types")
    assert found["workers"][1] == "default"
