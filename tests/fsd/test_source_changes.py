"""A source that changes while it is read, on a plain disk: versions never mix, and new opens see the new one.

What an open handle may give is a byte of the version it was opened on, or ESTALE; never one of another. What
nobody can notice is here as well (contents and mtime both forged): such bytes are wrong, but nothing breaks,
and touching the file heals it.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.fsd.mounting import ADAPTERS, Daemon, mounting, opened, running, until
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from translators import Plan, open_model, plans

MODEL = replace(MODELS["Qwen2.5-0.5B-Instruct"], name="model-a")
WEIGHTS = "model.safetensors"
# Mostly read through, and computed.
VIRTUAL = ("model.gguf-bf16", "model.gguf-q8_0")
CHUNK, PAGE = 1 << 20, 4096

Versions = dict[str, dict[str, bytes]]


@dataclass
class World:
    """A model of two versions: `versions` has the folders, `right` every file's bytes by version and name."""

    daemon: Daemon
    versions: dict[str, Path]
    right: Versions

    @property
    def weights(self) -> Path:
        return self.daemon.source / MODEL.name / WEIGHTS

    def at(self, name: str) -> Path:
        return self.daemon.mountpoint / MODEL.name / name

    def replace(self, version: str) -> None:
        """Another file under the name: what a download or `mv` does."""
        new = self.daemon.source / "new"
        shutil.copyfile(self.versions[version] / WEIGHTS, new)
        new.replace(self.weights)

    def rewrite(self, version: str) -> None:
        """The same file, with other bytes: what `cp` does."""
        content = (self.versions[version] / WEIGHTS).read_bytes()
        descriptor = os.open(self.weights, os.O_WRONLY)
        os.pwrite(descriptor, content, 0)
        os.close(descriptor)

    def forge(self, version: str) -> None:
        """As `rewrite`, with the time of before."""
        before = self.weights.stat()
        self.rewrite(version)
        os.utime(self.weights, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture(scope="module", params=ADAPTERS)
def mounted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    base = tmp_path_factory.mktemp("changes").resolve()
    versions = {"old": build(MODEL, base / "old"), "new": base / "new" / MODEL.name}
    shutil.copytree(versions["old"], versions["new"])
    other = build(replace(MODEL, name="other"), base)
    shutil.copyfile(other / WEIGHTS, versions["new"] / WEIGHTS)
    right: Versions = {}
    for version, folder in versions.items():
        right[version] = {}
        for target, plan in plans(open_model(folder)).items():
            if target in VIRTUAL and isinstance(plan, Plan):
                right[version][target] = plan.layout().read(0, plan.size)
        right[version][WEIGHTS] = (folder / WEIGHTS).read_bytes()
    source = base / "source"
    shutil.copytree(versions["old"], source / MODEL.name)
    with running(
        mounting(source, base / "mnt", request.param), source, base / "mnt", base / "home"
    ) as daemon:
        yield World(daemon, versions, right)


@pytest.fixture
def world(mounted: World) -> Iterator[World]:
    mounted.replace("old")
    yield mounted
    assert mounted.daemon.process.poll() is None, mounted.daemon.log
    assert "Traceback" not in mounted.daemon.log


def pieces(descriptor: int, size: int) -> Iterator[tuple[int, bytes]]:
    """What an open file gives from each chunk's start: less where the rest, nothing where all is ESTALE."""
    for offset in range(0, size, CHUNK):
        try:
            yield offset, os.pread(descriptor, CHUNK, offset)
        except OSError as error:
            assert error.errno == errno.ESTALE
            yield offset, b""


def is_of(content: bytes, offset: int, piece: bytes) -> bool:
    return piece == content[offset : offset + len(piece)]


def prove_of(content: bytes, descriptor: int) -> int:
    """Every byte that comes is `content`'s; returns how many are refused."""
    refused = len(content)
    for offset, piece in pieces(descriptor, len(content)):
        assert is_of(content, offset, piece), f"other bytes at {offset}"
        refused -= len(piece)
    return refused


def truncate(world: World) -> None:
    os.truncate(world.weights, world.weights.stat().st_size // 2)


def remove(world: World) -> None:
    world.weights.unlink()


CHANGES: dict[str, Callable[[World], None]] = {
    "replaced": lambda world: world.replace("new"),
    "rewritten": lambda world: world.rewrite("new"),
    "truncated": truncate,
    "removed": remove,
}


@pytest.mark.parametrize("target", VIRTUAL)
@pytest.mark.parametrize("change", CHANGES)
def test_an_open_handle_gives_its_own_version_or_nothing(world: World, change: str, target: str) -> None:
    old = world.right["old"][target]
    with opened(world.at(target)) as cold, opened(world.at(target)) as warm:
        assert os.pread(warm, PAGE, 0) == old[:PAGE]
        CHANGES[change](world)
        assert prove_of(old, warm) > 0  # most of it was never read: it cannot come from anywhere
        prove_of(old, cold)
    if change in ("replaced", "rewritten"):
        assert world.at(target).read_bytes() == world.right["new"][target]
    else:
        with pytest.raises(OSError):
            world.at(target).read_bytes()
    world.replace("old")
    assert world.at(target).read_bytes() == old


@pytest.mark.parametrize("target", [*VIRTUAL, WEIGHTS])
def test_readers_of_a_source_that_changes_on_and_on(world: World, target: str) -> None:
    """Each file that they open is of one version, from its first byte to its last."""
    done = threading.Event()
    reads = [0] * 4
    mixed: list[str] = []

    def read(number: int) -> None:
        while not done.is_set():
            try:
                with opened(world.at(target)) as descriptor:
                    size = os.fstat(descriptor).st_size
                    got = list(pieces(descriptor, size))
            except OSError as error:
                if error.errno != errno.ESTALE:
                    mixed.append(str(error))
                continue
            contents = [right[target] for right in world.right.values()]
            if not any(all(is_of(content, *each) for each in got) for content in contents):
                mixed.append(f"{[(at, len(piece)) for at, piece in got]} of {size}")
            reads[number] += 1

    threads = [threading.Thread(target=read, args=(number,)) for number in range(len(reads))]
    for thread in threads:
        thread.start()
    try:
        for turn in range(6):
            before = sum(reads)
            world.replace("new" if turn % 2 == 0 else "old")
            until(lambda before=before: sum(reads) > before + 4 or bool(mixed), "readers go on")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not mixed


@pytest.mark.parametrize("target", VIRTUAL)
def test_what_was_moved_away_and_back_is_what_it_was(world: World, target: str) -> None:
    old, away = world.right["old"][target], world.daemon.source.parent / "away"
    model = world.daemon.source / MODEL.name
    with opened(world.at(target)) as descriptor:
        assert os.pread(descriptor, PAGE, 0) == old[:PAGE]
        model.rename(away)
        try:
            assert prove_of(old, descriptor) > 0
        finally:
            away.rename(model)
        until(lambda: prove_of(old, descriptor) == 0, "the open handle is read on")
    until(world.at(target).exists, "the watch has seen that it is back")
    assert world.at(target).read_bytes() == old


def test_another_time_is_another_version_of_the_same_bytes(world: World) -> None:
    target = "model.gguf-q8_0"
    old = world.right["old"][target]
    with opened(world.at(target)) as descriptor:
        os.utime(world.weights)
        assert prove_of(old, descriptor) > 0
        assert world.at(target).read_bytes() == old
        prove_of(old, descriptor)


def test_what_does_not_touch_the_bytes_is_no_change(world: World) -> None:
    """Modes, owners and further names change a file's ctime, which is therefore no part of its identity."""
    target = "model.gguf-q8_0"
    with opened(world.at(target)) as descriptor:
        world.weights.chmod(0o600)
        link = world.weights.with_suffix(".link")
        link.hardlink_to(world.weights)
        link.unlink()
        world.weights.chmod(0o644)
        assert prove_of(world.right["old"][target], descriptor) == 0


@pytest.mark.parametrize(("target", "unit"), [(VIRTUAL[0], PAGE), (VIRTUAL[1], CHUNK)])
def test_a_forged_time_cannot_be_noticed_but_is_healed_by_a_touch(
    world: World, target: str, unit: int
) -> None:
    """What was read before is old, the rest new. No chunk that is computed is half of each, and no page of
    what is read through."""
    old, new = world.right["old"][target], world.right["new"][target]
    middle = len(old) // CHUNK // 2 * CHUNK
    with opened(world.at(target)) as descriptor:
        assert os.pread(descriptor, PAGE, middle) == old[middle : middle + PAGE]
        world.forge("new")
        for offset, piece in pieces(descriptor, len(old)):
            assert len(piece) == len(old[offset : offset + CHUNK])
            for at in range(0, len(piece), unit):
                part = piece[at : at + unit]
                assert is_of(old, offset + at, part) or is_of(new, offset + at, part)
    os.utime(world.weights)
    assert world.at(target).read_bytes() == new


def test_a_source_file_is_the_plain_file_that_it_is(world: World) -> None:
    """An open one is the file that was opened, though the name is another's by now."""
    with opened(world.at(WEIGHTS)) as descriptor:
        world.replace("new")
        assert prove_of(world.right["old"][WEIGHTS], descriptor) == 0
        assert world.at(WEIGHTS).read_bytes() == world.right["new"][WEIGHTS]
        world.rewrite("old")
        assert world.at(WEIGHTS).read_bytes() == world.right["old"][WEIGHTS]
        truncate(world)
        assert world.at(WEIGHTS).read_bytes() == world.weights.read_bytes()
        remove(world)
        with pytest.raises(OSError) as caught:  # no such file, or no whole model to look for the name in
            world.at(WEIGHTS).read_bytes()
        assert caught.value.errno in (errno.ENOENT, errno.EIO)


@pytest.mark.parametrize("what", ["store", "store/chunks", "store/index.sqlite"])
def test_a_store_that_is_removed_underneath_is_not_missed(world: World, what: str) -> None:
    target = "model.gguf-q8_0"
    old = world.right["old"][target]
    path = world.daemon.mountpoint.parent / "home" / "cache" / "prismfs" / what
    until(path.exists, "the store is there, also if it had to be made anew")
    with opened(world.at(target)) as descriptor:
        assert os.pread(descriptor, 2 * CHUNK, 0) == old[: 2 * CHUNK]
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        assert prove_of(old, descriptor) == 0
    assert world.at(target).read_bytes() == old
