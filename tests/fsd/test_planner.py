"""The planner: what comes back from its process, what is kept, and that no model can stall or kill it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fsd.errors import NoSuchEntry, PlanningCrash, PlanningMemory, PlanningTimeout, PlanRefused, StaleHandle
from fsd.planner import TRANSLATORS, Planner
from tests.fsd.fake_plans import PROVIDER, TYPES, whole
from tests.fsd.mounting import ROOT
from tests.translators.test_sources_onnx import graph, outside, tensor
from translators.errors import MalformedSource, MissingSource, Unsupported

MEMORY = 2 << 30
Make = Callable[..., Planner]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "plannings"
    path.touch()
    monkeypatch.setenv("FAKE_PLANS_LOG", str(path))
    return path


@pytest.fixture
def planner_of(tmp_path: Path) -> Iterator[Make]:
    made: list[Planner] = []

    def make(**changes: object) -> Planner:
        settings = {"seconds": 30, "memory": MEMORY, "provider": PROVIDER} | changes
        made.append(Planner(settings.pop("cache", tmp_path / "plans"), **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for planner in made:
        planner.close()


def model(folder: Path, *files: str, weights: bytes = bytes(range(256)) * 32) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.gguf").write_bytes(weights)
    for name in files:
        (folder / name).write_text("")
    return folder


def plannings(log: Path) -> int:
    return len(log.read_text().splitlines())


def test_listing_and_layout(tmp_path: Path, planner_of: Make) -> None:
    weights = os.urandom(64 * 300)
    path = model(tmp_path / "m", weights=weights)
    planner = planner_of()
    assert planner.started == 0
    listing = planner.listing(path)
    assert listing.error is None
    sizes = {entry.name: entry.size for entry in listing.entries}
    assert list(sizes) == [
        "model.safetensors", *(f"model.gguf-{kind}" for kind in TYPES), "mlx-4bit/config.json"
    ]  # fmt: skip
    assert [(entry.name, entry.remedy) for entry in listing.refusals] == [("model.gguf-iq1_s", "choose q2_k")]
    assert [file.path for file in listing.files] == [os.fsencode(path / "model.gguf")]
    for kind in TYPES:
        layout = planner.layout(path, f"model.gguf-{kind}")
        assert layout.size == sizes[f"model.gguf-{kind}"]
        assert layout.read(0, layout.size) == whole(kind, weights)
        layout.close()
    assert planner.started == 1


def test_one_planning_serves_listing_and_layouts(tmp_path: Path, planner_of: Make, log: Path) -> None:
    path = model(tmp_path / "m")
    planner = planner_of()
    for _ in range(2):
        planner.listing(path)
        planner.layout(path, "model.gguf-f16")
        planner.layout(path, "model.gguf-q8_0")
    assert plannings(log) == 1


def test_many_who_ask_at_once_share_one_planning(tmp_path: Path, planner_of: Make, log: Path) -> None:
    paths = [model(tmp_path / f"m{number}") for number in range(2)]
    planner = planner_of()
    with ThreadPoolExecutor(16) as threads:
        listings = list(threads.map(lambda number: planner.listing(paths[number % 2]), range(32)))
    assert plannings(log) == 2
    assert len({id(listing) for listing in listings}) == 2
    assert planner.started <= 2


def test_kept_on_disk_across_planners(tmp_path: Path, planner_of: Make, log: Path) -> None:
    path = model(tmp_path / "m")
    first = planner_of()
    listing, layout = first.listing(path), first.layout(path, "model.gguf-f16")
    first.close()
    second = planner_of()
    assert second.listing(path) == listing
    assert second.layout(path, "model.gguf-f16").identity == layout.identity
    assert second.started == 0
    assert plannings(log) == 1
    assert (tmp_path / "plans").stat().st_mode & 0o777 == 0o700


def test_damaged_plans_are_made_again(tmp_path: Path, planner_of: Make, log: Path) -> None:
    path = model(tmp_path / "m")
    first = planner_of()
    listing, layout = first.listing(path), first.layout(path, "model.gguf-f16")
    first.close()
    for damage in (lambda data: data[:-1], lambda data: b"", lambda data: data[:40] + b"\xff" + data[41:]):
        for file in (tmp_path / "plans").iterdir():
            file.write_bytes(damage(file.read_bytes()))
        planner = planner_of()
        assert planner.listing(path) == listing
        assert planner.layout(path, "model.gguf-f16").identity == layout.identity
        assert planner.started == 1
        planner.close()
    assert plannings(log) == 4
    assert not list((tmp_path / "plans").glob(".part-*"))


def test_a_directory_that_others_can_write_to_is_not_trusted(tmp_path: Path, planner_of: Make) -> None:
    (tmp_path / "plans").mkdir(mode=0o700)
    (tmp_path / "plans").chmod(0o777)
    path = model(tmp_path / "m")
    assert planner_of().listing(path).entries
    assert not list((tmp_path / "plans").iterdir())


def test_plans_can_be_read_where_none_can_be_written(
    tmp_path: Path, planner_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model(tmp_path / "m")
    first = planner_of()
    listing = first.listing(path)
    first.close()

    def refused(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr(tempfile, "mkstemp", refused)
    second = planner_of()
    assert second.listing(path) == listing
    assert second.started == 0
    assert second.layout(path, "model.gguf-f16").size


def test_a_process_that_cannot_be_started_is_told(
    tmp_path: Path, planner_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    failure = planner_of().listing(model(tmp_path / "m")).error
    assert failure is not None
    assert type(failure.error()) is PlanningCrash
    assert "cannot be started" in failure.reason


def test_works_without_a_place_for_plans(tmp_path: Path, planner_of: Make) -> None:
    path = model(tmp_path / "m")
    assert planner_of(cache=None).listing(path).entries
    (tmp_path / "file").touch()
    assert planner_of(cache=tmp_path / "file" / "plans").listing(path).entries


@pytest.mark.parametrize("changed", ["model.gguf", "config.json", "additional_chat_templates/tool.jinja"])
def test_a_changed_source_is_planned_anew(tmp_path: Path, planner_of: Make, log: Path, changed: str) -> None:
    path = model(tmp_path / "m", "config.json")
    planner = planner_of()
    before = planner.listing(path)
    (path / changed).parent.mkdir(exist_ok=True)
    (path / changed).write_bytes(bytes(64 * 7))
    after = planner.listing(path)
    assert plannings(log) == 2
    if changed == "model.gguf":
        assert after.entries != before.entries
        assert planner.layout(path, "model.safetensors").size == 64 * 7


@pytest.mark.parametrize("name", ["m", "m/a.onnx"])
def test_a_file_that_only_the_model_tells_of_makes_a_version(
    tmp_path: Path, planner_of: Make, name: str
) -> None:
    weights = tmp_path / "m" / "data" / "weights.bin"
    weights.parent.mkdir(parents=True)
    for each in ("a.onnx", "b.onnx") if name.endswith(".onnx") else ("model.onnx",):
        content = graph(tensor("w", "F32", (4, 4), outside("data/weights.bin")))
        (tmp_path / "m" / each).write_bytes(content)
    path = tmp_path / name

    def put(byte: int) -> bytes:
        (tmp_path / "new").write_bytes(bytes([byte]) * 64)
        return (tmp_path / "new").replace(weights).read_bytes()

    def served(planner: Planner) -> bytes:
        assert planner.known(path) in (None, planner.listing(path))
        assert planner.listing(path) is planner.listing(path)
        layout = planner.layout(path, "model.safetensors")
        assert layout is planner.layout(path, "model.safetensors")
        try:
            return layout.read(0, layout.size)[-64:]
        finally:
            layout.close()

    first = planner_of(provider=TRANSLATORS)
    for byte in (1, 2):
        expected = put(byte)
        assert served(first) == expected, byte
    first.close()
    second = planner_of(provider=TRANSLATORS)
    assert served(second) == expected
    assert second.started == 0
    second.close()
    expected = put(3)
    third = planner_of(provider=TRANSLATORS)
    assert third.known(path) is None
    assert served(third) == expected
    weights.unlink()
    error = third.listing(path).error
    assert error is not None
    assert error.kind == "MissingSource"
    with pytest.raises(MissingSource):
        third.layout(path, "model.safetensors")


def test_a_weight_file_among_others_is_its_own_model(tmp_path: Path, planner_of: Make, log: Path) -> None:
    path = model(tmp_path / "m")
    (path / "other.gguf").write_bytes(bytes(64))
    planner = planner_of()
    listing = planner.listing(path / "model.gguf")
    assert listing.entries
    (path / "other.gguf").write_bytes(bytes(128))
    assert planner.listing(path / "model.gguf") is listing
    (path / "config.json").write_text("{}")
    assert planner.listing(path / "model.gguf") is not listing
    assert plannings(log) == 2


def test_refusals_and_absent_names(tmp_path: Path, planner_of: Make) -> None:
    path = model(tmp_path / "m")
    planner = planner_of()
    with pytest.raises(PlanRefused) as refused:
        planner.layout(path, "model.gguf-iq1_s")
    assert (refused.value.reason, refused.value.remedy) == ("it needs an importance matrix", "choose q2_k")
    with pytest.raises(NoSuchEntry):
        planner.layout(path, "model.gguf-q9_9")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("unsupported", Unsupported), ("malformed", MalformedSource), ("missing", MissingSource)],
)
def test_errors_come_back_typed(tmp_path: Path, planner_of: Make, name: str, kind: type[Exception]) -> None:
    path = model(tmp_path / os.fsdecode(b"m\xff"), name)
    planner = planner_of()
    listing = planner.listing(path)
    assert listing.error is not None
    assert not listing.entries
    error = listing.error.error()
    assert type(error) is kind
    assert "\\udcff" in listing.error.path
    with pytest.raises(kind):
        planner.layout(path, "model.gguf-f16")
    if name == "unsupported":
        assert (listing.error.reason, listing.error.place, listing.error.remedy) == (
            "no such family", "config.json", "wait"
        )  # fmt: skip


def test_a_failure_is_not_planned_again_at_once_nor_kept_on_disk(
    tmp_path: Path, planner_of: Make, log: Path
) -> None:
    path = model(tmp_path / "m", "missing")
    planner = planner_of()
    for _ in range(5):
        assert planner.listing(path).error is not None
    assert plannings(log) == 1
    assert [failure.kind for failure in planner.failures()] == ["MissingSource"]
    assert planner_of().listing(path).error is not None
    assert plannings(log) == 2
    (path / "missing").unlink()
    assert planner.listing(path).error is None


def test_a_planning_that_stalls_is_ended_and_holds_up_no_other(tmp_path: Path, planner_of: Make) -> None:
    stalled, healthy = model(tmp_path / "stalled", "stall"), model(tmp_path / "healthy")
    planner = planner_of(seconds=3)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(planner.listing, stalled) for _ in range(3)]
        time.sleep(0.1)
        assert planner.listing(healthy).entries
        assert not any(future.done() for future in waiting)
        failures = [future.result().error for future in waiting]
    assert 3 <= time.monotonic() - began < 20
    for failure in failures:
        assert failure is not None
        assert type(failure.error()) is PlanningTimeout
    assert planner.listing(stalled).error == failures[0]
    assert planner.layout(healthy, "model.gguf-f16").size


def test_a_memory_bomb_meets_its_limit(tmp_path: Path, planner_of: Make) -> None:
    path, healthy = model(tmp_path / "m", "bomb"), model(tmp_path / "healthy")
    planner = planner_of()
    failure = planner.listing(path).error
    assert failure is not None
    assert type(failure.error()) is PlanningMemory
    assert planner.listing(healthy).entries
    assert planner.started == 2


@pytest.mark.parametrize(
    ("name", "told"), [("exit", "status 3"), ("abort", "SIGABRT"), ("bug", "ZeroDivisionError: a bug")]
)
def test_a_process_that_dies_is_replaced(tmp_path: Path, planner_of: Make, name: str, told: str) -> None:
    path, healthy = model(tmp_path / "m", name), model(tmp_path / "healthy")
    planner = planner_of(count=1)
    failure = planner.listing(path).error
    assert failure is not None
    assert type(failure.error()) is PlanningCrash
    assert told in failure.reason
    assert planner.listing(healthy).entries


def test_an_idle_process_that_was_killed_is_replaced(tmp_path: Path, planner_of: Make) -> None:
    planner = planner_of(count=1)
    planner.listing(model(tmp_path / "a"))
    (process,) = planner._processes._idle
    process.stop()
    assert planner.listing(model(tmp_path / "b")).entries
    assert planner.started == 2


def test_what_a_library_prints_does_not_get_into_the_answers(tmp_path: Path, planner_of: Make) -> None:
    planner = planner_of(provider="tests.fsd.fake_plans:print_and_provide")
    assert planner.listing(model(tmp_path / "m")).entries


def test_a_provider_that_cannot_be_loaded_is_told(tmp_path: Path, planner_of: Make) -> None:
    failure = planner_of(provider="tests.fsd.no_such_module:provide").listing(model(tmp_path / "m")).error
    assert failure is not None
    assert "does not start" in failure.reason


def test_nothing_is_imported_from_where_a_model_lies(
    tmp_path: Path, planner_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model(tmp_path / "m")
    trap = tmp_path / "trapped"
    (path / "json.py").write_text(f"open({str(trap)!r}, 'w')")
    (path / "translators").mkdir()
    (path / "translators" / "__init__.py").write_text(f"open({str(trap)!r}, 'w')")
    monkeypatch.chdir(path)
    assert planner_of().listing(path).entries
    assert not trap.exists()


def test_close_ends_who_waits(tmp_path: Path, planner_of: Make) -> None:
    planner = planner_of()
    path = model(tmp_path / "m", "stall")
    threading.Timer(1.5, planner.close).start()
    began = time.monotonic()
    with pytest.raises(StaleHandle):
        planner.listing(path)
    assert time.monotonic() - began < 15
    with pytest.raises(StaleHandle):
        planner.listing(model(tmp_path / "other"))


def test_a_process_whose_daemon_is_gone_ends_without_a_word() -> None:
    """Also one that had not yet said that it is ready."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-P", "-m", "fsd.planner.worker", PROVIDER, "30", str(4 << 30)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE, env=environment,
            timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
