"""Sources that change under a mount: what comes is shown whole and soon, what goes is gone, kernels are told.

Nothing here waits for a kernel's time-out: attributes and names are kept for an hour where a source is
watched, so that what is seen anew was told of.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.fsd.mounting import ADAPTERS, Daemon, mounting, opened, running, until
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from translators import Plan, open_model, plans

KIND = MODELS["Qwen2.5-0.5B-Instruct"]
WEIGHTS, COMPUTED = "model.safetensors", "model.gguf-q8_0"
CHUNK = 1 << 20


@dataclass
class World:
    """`kept` is a model with two versions of weights: the folder's own, and `other`."""

    daemon: Daemon
    kept: Path
    other: bytes

    @property
    def source(self) -> Path:
        return self.daemon.source

    def at(self, *parts: str) -> Path:
        return self.daemon.mountpoint.joinpath(*parts)

    def copy(self, *parts: str) -> Path:
        """A new model in the source, of `kept`'s files, each at its place at once."""
        return Path(shutil.copytree(self.kept, self.source.joinpath(*parts)))

    def listed(self, *parts: str) -> list[str]:
        """What a listing shows; nothing where there is no such directory."""
        try:
            return sorted(entry.name for entry in self.at(*parts).iterdir())
        except FileNotFoundError:
            return []

    def comes(self, *parts: str) -> None:
        until(lambda: WEIGHTS in self.listed(*parts), f"{parts} is listed")

    def goes(self, *parts: str) -> None:
        until(lambda: not self.at(*parts).exists(), f"{parts} is gone")
        until(lambda: parts[-1] not in self.listed(*parts[:-1]), f"{parts} is not listed")


@pytest.fixture(scope="module", params=ADAPTERS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    base = tmp_path_factory.mktemp("live").resolve()
    kept = build(replace(KIND, name="kept"), base)
    other = (build(replace(KIND, name="other"), base) / WEIGHTS).read_bytes()
    source = base / "source"
    shutil.copytree(kept, source / "here")
    (source / "empty").mkdir()
    command = [*mounting(source, base / "mnt", request.param), "--settle", "0.5"]
    with running(command, source, base / "mnt", base / "home") as daemon:
        yield World(daemon, kept, other)
        assert "Traceback" not in daemon.log


@pytest.fixture(autouse=True)
def alive(world: World) -> Iterator[None]:
    """What a test puts into the source goes with it; what was there at the start stays as it was."""
    yield
    assert world.daemon.process.poll() is None, world.daemon.log
    for path in world.source.iterdir():
        if path.is_symlink():
            path.unlink()
        elif path.name not in ("here", "empty"):
            shutil.rmtree(path)


def translated(folder: Path, name: str = COMPUTED) -> bytes:
    plan = plans(open_model(folder))[name]
    assert isinstance(plan, Plan)
    return plan.layout().read(0, plan.size)


def test_what_is_there_at_the_start_is_listed_at_once(world: World) -> None:
    assert world.listed() == ["here"]
    assert COMPUTED in world.listed("here")


def test_a_copy_is_never_seen_half(world: World) -> None:
    """Piece by piece, with listings all the while: there is nothing, and then all of it."""
    whole = {path.name: path.stat().st_size for path in world.kept.iterdir()}
    halves: list[object] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            try:
                for name in world.listed("copied") and whole:
                    size = world.at("copied", name).stat().st_size
                    if size != whole[name]:
                        halves.append((name, size))
            except OSError as error:
                halves.append(error)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        target = world.source / "copied"
        target.mkdir()
        for name in sorted(whole):
            content = (world.kept / name).read_bytes()
            with (target / name).open("wb", buffering=0) as file:
                for start in range(0, len(content), len(content) // 8 + 1):
                    file.write(content[start : start + len(content) // 8 + 1])
                    os.fsync(file.fileno())
                    done.wait(0.02)
        world.comes("copied")
    finally:
        done.set()
        looker.join()
    assert not halves
    assert world.at("copied", COMPUTED).read_bytes() == translated(target)


def test_a_checkpoint_waits_for_the_shards_of_its_index(world: World) -> None:
    folder = world.copy("sharded")
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    index = {
        "metadata": {},
        "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "later.safetensors"},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    until(lambda: "names later.safetensors" in world.daemon.log, "the log says what is missing")
    assert not world.at("sharded").exists()
    (folder / "model.safetensors.index.json").unlink()
    (folder / "model-00001-of-00002.safetensors").rename(folder / WEIGHTS)
    world.comes("sharded")


def test_weights_that_end_early_are_waited_for(world: World) -> None:
    folder = world.source / "short"
    folder.mkdir()
    for path in world.kept.iterdir():
        content = path.read_bytes()
        (folder / path.name).write_bytes(content[:-1] if path.name == WEIGHTS else content)
    until(lambda: "ends before its last tensor" in world.daemon.log, "the log says what is missing")
    assert not world.at("short").exists()
    shutil.copyfile(world.kept / WEIGHTS, folder / WEIGHTS)
    world.comes("short")


def test_weights_replaced_under_an_open_handle(world: World) -> None:
    folder = world.copy("replaced")
    world.comes("replaced")
    path, old = world.at("replaced", COMPUTED), translated(folder)
    with opened(path) as descriptor:
        assert os.pread(descriptor, 4096, 0) == old[:4096]
        before = path.stat()
        (folder / "new").write_bytes(world.other)
        (folder / "new").replace(folder / WEIGHTS)
        with pytest.raises(OSError) as caught:
            os.pread(descriptor, CHUNK, len(old) - CHUNK)
        assert caught.value.errno == errno.ESTALE
        assert path.read_bytes() == translated(folder) != old
        until(lambda: path.stat().st_ino != before.st_ino, "stat tells of the new one")
        with pytest.raises(OSError):
            os.pread(descriptor, CHUNK, len(old) // 2)


def test_another_size_and_time_are_told(world: World) -> None:
    folder = world.copy("edited")
    world.comes("edited")
    path = world.at("edited", "config.json")
    before = path.stat()
    inode = world.at("edited", COMPUTED).stat().st_ino
    with (folder / "config.json").open("a") as file:
        file.write("\n\n\n")
    until(lambda: path.stat().st_size == before.st_size + 3, "stat tells the new size")
    until(lambda: world.at("edited", COMPUTED).stat().st_ino != inode, "its forms are others")
    (folder / "notes.txt").write_text("new")
    until(lambda: "notes.txt" in world.listed("edited"), "a new file is listed")
    (folder / "notes.txt").unlink()
    until(lambda: "notes.txt" not in world.listed("edited"), "a removed one is not")
    until(lambda: not world.at("edited", "notes.txt").exists(), "nor is it found")


def test_renamed_and_removed(world: World) -> None:
    folder = world.copy("before")
    world.comes("before")
    assert world.at("before", COMPUTED).read_bytes() == translated(folder)
    folder.rename(world.source / "after")
    world.comes("after")
    world.goes("before")
    assert world.at("after", COMPUTED).read_bytes() == translated(world.source / "after")
    shutil.rmtree(world.source / "after")
    world.goes("after")
    with pytest.raises(FileNotFoundError):
        world.at("after", COMPUTED).stat()


def test_a_name_that_was_asked_for_too_early(world: World) -> None:
    for _ in range(3):
        assert not world.at("org", "model", COMPUTED).exists()
        assert "org" not in world.listed()
    world.copy("org", "model")
    world.comes("org", "model")
    assert world.at("org", "model", COMPUTED).exists()
    shutil.rmtree(world.source / "org")
    world.goes("org", "model")
    until(lambda: "org" not in world.listed(), "its folder is not listed either")


def test_a_hub_cache_that_is_updated(world: World) -> None:
    """The new revision is shown when all of it is there, and the old one until then."""
    repository = world.source / "models--acme--tiny"
    blobs, snapshots = repository / "blobs", repository / "snapshots"

    def download(revision: str, weights: bytes) -> None:
        folder = snapshots / revision
        folder.mkdir(parents=True)
        blobs.mkdir(exist_ok=True)
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(revision)
        for path in sorted(world.kept.iterdir()):
            content = weights if path.name == WEIGHTS else path.read_bytes()
            blob = blobs / f"{revision}-{path.name}"
            blob.write_bytes(content)
            (folder / path.name).symlink_to(os.path.relpath(blob, folder))

    download("aaaa", (world.kept / WEIGHTS).read_bytes())
    world.comes("acme", "tiny")
    old = translated(snapshots / "aaaa")
    assert world.at("acme", "tiny", COMPUTED).read_bytes() == old
    download("bbbb", world.other)
    new = translated(snapshots / "bbbb")

    def is_new() -> bool:
        content = world.at("acme", "tiny", COMPUTED).read_bytes()
        assert content in (old, new)
        return content == new

    until(is_new, "the new revision is shown")


def test_a_link_that_is_led_elsewhere(world: World) -> None:
    elsewhere = world.source.parent / "elsewhere"
    shutil.copytree(world.kept, elsewhere / "1")
    shutil.copytree(world.kept, elsewhere / "2")
    (elsewhere / "2" / WEIGHTS).write_bytes(world.other)
    link = world.source / "current"
    link.symlink_to(elsewhere / "1")
    world.comes("current")
    assert world.at("current", WEIGHTS).read_bytes() == (world.kept / WEIGHTS).read_bytes()
    new = world.source / "next"
    new.symlink_to(elsewhere / "2")
    new.replace(link)
    until(lambda: world.at("current", WEIGHTS).read_bytes() == world.other, "the other one is read")
    assert world.at("current", COMPUTED).read_bytes() == translated(link)
    shutil.rmtree(elsewhere)
    world.goes("current")


def test_a_source_that_is_taken_away_and_put_back(world: World) -> None:
    away = world.source.with_name("away")
    world.source.rename(away)
    try:
        world.goes("here")
    finally:
        away.rename(world.source)
    world.comes("here")
    world.copy("later")  # its events come from another directory than those before
    world.comes("later")


def test_what_is_cached_is_told_while_it_grows(world: World) -> None:
    path = world.at("here", "model.gguf-q4_0")
    size, before = path.stat().st_size, path.stat().st_blocks
    assert path.read_bytes()
    until(lambda: path.stat().st_blocks > before, "du tells what is cached")
    assert path.stat().st_size == size
