"""A source that fails: the right errno, no wrong byte, recovery, and nothing of it for the other models.

prismfs is mounted over `faulty_source`; handles are opened before a fault, and cold: every test has models
that were never read. A stall is lifted by the test itself, so that no time has to be guessed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest

from tests.fsd.faulty_source import Fault, FaultySource, faulty
from tests.fsd.mounting import ADAPTERS, Daemon, is_mounted, mounting, opened, running, until
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from translators import Plan, open_model, plans

T = TypeVar("T")

# "hurt" is what the faults are for: 10 MB, so that a file has many chunks. "well" lies beside it.
HURT = replace(MODELS["Tiny-Llama-3-8B-Instruct-v0.2"], name="hurt", shards=2)
WELL = replace(MODELS["Qwen2.5-0.5B-Instruct"], name="well")
SHARD = "model-00002-of-00002.safetensors"
# Read through, and computed.
VIRTUAL = ("model.safetensors", "model.gguf-q8_0", "model.gguf-q4_k_m")
SOME = ("model.safetensors", "model.gguf-q8_0")
CHUNK, PAGE = 1 << 20, 4096
# A read that waits for another model's stall never returns; one that does not, long before this (seconds).
PATIENCE = 60.0


@dataclass
class World:
    """The daemon over the faulty source; `right` has every file's bytes."""

    source: FaultySource
    daemon: Daemon
    fresh: Path
    right: dict[tuple[str, str], bytes]

    def at(self, model: str, name: str) -> Path:
        return self.daemon.mountpoint / model / name

    def renew(self) -> None:
        """Both models as they were, but other files: nothing of them is known or kept."""
        for model in (HURT.name, WELL.name):
            for file in (self.fresh / model).iterdir():
                new = self.source.behind / "new"
                shutil.copyfile(file, new)
                new.replace(self.source.behind / model / file.name)


def expected(folder: Path, targets: tuple[str, ...]) -> dict[tuple[str, str], bytes]:
    made = plans(open_model(folder))
    found = {(folder.name, file.name): file.read_bytes() for file in folder.iterdir()}
    for target in targets:
        plan = made.get(target)
        if isinstance(plan, Plan):
            found[folder.name, target] = plan.layout().read(0, plan.size)
    return found


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("fresh").resolve()
    for model in (HURT, WELL):
        build(model, base)
    return base


@pytest.fixture(scope="module")
def right(fresh: Path) -> dict[tuple[str, str], bytes]:
    return expected(fresh / HURT.name, VIRTUAL) | expected(fresh / WELL.name, (*VIRTUAL, "model.gguf-q4_0"))


@pytest.fixture(scope="module", params=ADAPTERS)
def mounted(
    request: pytest.FixtureRequest,
    fresh: Path,
    right: dict[tuple[str, str], bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    base = tmp_path_factory.mktemp("faulty").resolve()
    shutil.copytree(fresh, base / "behind")
    with faulty(base / "behind", base / "source", base / "faulty") as source:
        command = [*mounting(source.path, base / "mnt", request.param), "--workers", "2"]
        with running(command, source.path, base / "mnt", base / "home") as daemon:
            try:
                yield World(source, daemon, fresh, right)
            finally:
                source.lift()


@pytest.fixture
def world(mounted: World) -> Iterator[World]:
    mounted.renew()
    yield mounted
    mounted.source.lift()
    assert mounted.daemon.process.poll() is None, mounted.daemon.log
    assert "Traceback" not in mounted.daemon.log


def whole(descriptor: int) -> bytes:
    """All of an open file, in the pieces that it comes in."""
    parts, at = [], 0
    while part := os.pread(descriptor, CHUNK, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def failure(call: Callable[[], object]) -> int:
    """The errno of a call that has to fail."""
    with pytest.raises(OSError) as caught:
        call()
    assert caught.value.errno is not None
    return caught.value.errno


def begun(call: Callable[[], T]) -> Future[T]:
    """A call in a thread of its own, which may wait as long as it likes."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result


def prove_well(world: World, target: str = "model.gguf-q8_0") -> None:
    """The other model is listed, told of and read, cold, while the first one is not."""

    def use() -> bytes:
        for folder in (world.daemon.mountpoint, world.at("well", "")):
            assert os.listdir(folder)  # noqa: PTH208
        assert world.at("well", target).stat().st_size == len(world.right["well", target])
        return world.at("well", target).read_bytes()

    assert begun(use).result(PATIENCE) == world.right["well", target]


@pytest.mark.parametrize("target", [*VIRTUAL, SHARD])
def test_an_error_is_told_to_its_reader_and_is_over_when_the_source_is_well(
    world: World, target: str
) -> None:
    content = world.right["hurt", target]
    middle = len(content) // 2
    with opened(world.at("hurt", target)) as descriptor:
        world.source.befall(Fault("hurt/*", "EIO"))
        for offset in (middle, len(content) - PAGE, middle):
            assert failure(lambda offset=offset: os.pread(descriptor, PAGE, offset)) == errno.EIO
        prove_well(world)
        world.source.lift()
        assert os.pread(descriptor, PAGE, middle) == content[middle : middle + PAGE]
        assert whole(descriptor) == content
    assert world.at("hurt", target).read_bytes() == content


@pytest.mark.parametrize("target", SOME)
def test_a_reader_that_tries_again_gets_every_byte_right(world: World, target: str) -> None:
    content = world.right["hurt", target]
    got, failed, following = bytearray(), 0, 0
    with opened(world.at("hurt", target)) as descriptor:
        while len(got) < len(content):
            if len(got) >= following:
                world.source.befall(Fault("hurt/*", "EIO"))
                following = len(got) + CHUNK
            try:
                got += os.pread(descriptor, 1 << 16, len(got))
            except OSError as error:
                assert error.errno == errno.EIO
                failed += 1
                world.source.lift()
    assert got == content
    assert failed


def test_a_map_of_a_failing_source_is_a_bus_error_and_then_right(world: World) -> None:
    script = (
        "import mmap, sys, hashlib; file = open(sys.argv[1], 'rb');"
        "print(hashlib.sha256(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)).hexdigest())"
    )
    command = [sys.executable, "-c", script, str(world.at("hurt", "model.gguf-q8_0"))]
    content = world.right["hurt", "model.gguf-q8_0"]
    with Path(command[-1]).open("rb") as file:  # its layout is planned now, which reads the source's header
        assert os.fstat(file.fileno()).st_size == len(content)
    world.source.befall(Fault("hurt/*", "EIO"))
    assert subprocess.run(command, check=False).returncode == -signal.SIGBUS
    world.source.lift()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("operation", ["read", "open", "getattr"])
def test_a_source_that_asks_for_another_try_gets_a_few(world: World, operation: str) -> None:
    target = "model.gguf-q8_0"
    content = world.right["hurt", target]
    with opened(world.at("hurt", target)) as descriptor:
        world.source.befall(Fault("hurt/model-*", "EAGAIN", operation, times=3))
        assert os.pread(descriptor, PAGE, 2 * CHUNK) == content[2 * CHUNK : 2 * CHUNK + PAGE]
        assert world.source.befallen("EAGAIN") >= 3
        if operation != "open":  # it has been opened now
            world.source.befall(Fault("hurt/model-*", "EAGAIN", operation))
            assert failure(lambda: os.pread(descriptor, PAGE, 4 * CHUNK)) == errno.EIO
        world.source.lift()
        assert whole(descriptor) == content


def test_an_interrupted_read_is_repeated(world: World) -> None:
    with opened(world.at("hurt", "model.gguf-q8_0")) as descriptor:
        world.source.befall(Fault("hurt/*", "EINTR", times=20))
        assert whole(descriptor) == world.right["hurt", "model.gguf-q8_0"]
    assert world.source.befallen("EINTR") >= 20


@pytest.mark.parametrize("target", [*SOME, SHARD])
def test_short_reads_are_continued(world: World, target: str) -> None:
    with opened(world.at("hurt", target)) as descriptor:
        world.source.befall(Fault("hurt/*", "short"))
        assert whole(descriptor) == world.right["hurt", target]
    assert world.source.befallen("short")


@pytest.mark.parametrize("target", SOME)
def test_a_file_that_ends_too_early_is_an_error(world: World, target: str) -> None:
    content = world.right["hurt", target]
    with opened(world.at("hurt", target)) as descriptor:
        world.source.befall(Fault("hurt/*", "empty"))
        assert failure(lambda: os.pread(descriptor, PAGE, len(content) // 2)) == errno.EIO
        world.source.lift()
        assert whole(descriptor) == content


def test_attributes_that_cannot_be_told_are_no_change(world: World) -> None:
    target = "model.gguf-q8_0"
    content = world.right["hurt", target]
    with opened(world.at("hurt", target)) as descriptor:
        assert os.pread(descriptor, PAGE, 4 * CHUNK) == content[4 * CHUNK : 4 * CHUNK + PAGE]
        world.source.befall(Fault("hurt/model-*", "EIO", "getattr"))
        assert failure(lambda: os.pread(descriptor, PAGE, 2 * CHUNK)) == errno.EIO
        prove_well(world)
        world.source.lift()
        assert whole(descriptor) == content
    assert world.at("hurt", target).read_bytes() == content


def test_a_model_that_could_not_be_planned_is_there_when_the_source_is_well(world: World) -> None:
    target = "model.gguf-q8_0"
    world.source.befall(Fault("hurt/*", "EIO"))
    assert failure(world.at("hurt", target).open) == errno.EIO
    assert SHARD in os.listdir(world.at("hurt", ""))  # noqa: PTH208
    prove_well(world)
    world.source.lift()

    def is_read() -> bool:
        try:
            return world.at("hurt", target).read_bytes() == world.right["hurt", target]
        except OSError as error:
            assert error.errno == errno.EIO
            return False

    until(is_read, "the model is planned again")


def test_what_is_cut_off_without_a_word_is_an_error(world: World) -> None:
    """The attributes are still those of the whole file: only its end tells."""
    target = "model.gguf-q8_0"
    content = world.right["hurt", target]
    world.source.befall(Fault("hurt/model-*", "frozen", "getattr"))
    with opened(world.at("hurt", target)) as descriptor:
        os.truncate(world.source.behind / "hurt" / SHARD, 100_000)
        seen = set()
        for offset in range(0, len(content), CHUNK):
            try:
                assert os.pread(descriptor, PAGE, offset) == content[offset : offset + PAGE]
            except OSError as error:
                seen.add(error.errno)
    assert seen == {errno.EIO}


@pytest.mark.parametrize("fuse", ADAPTERS)
def test_a_source_that_was_mounted_anew_is_read_on(
    fuse: str, fresh: Path, right: dict[tuple[str, str], bytes], tmp_path: Path
) -> None:
    """Through the same open handles, although every descriptor behind them is of a mount that is gone."""
    base = tmp_path.resolve()
    mountpoint = base / "mnt"
    with ExitStack() as first, ExitStack() as files:
        first.enter_context(faulty(fresh, base / "source", base / "faulty"))
        files.enter_context(
            running(mounting(base / "source", mountpoint, fuse), fresh, mountpoint, base / "home")
        )
        handles = {name: files.enter_context(opened(mountpoint / "hurt" / name)) for name in VIRTUAL}
        for name, descriptor in handles.items():
            assert os.pread(descriptor, PAGE, CHUNK) == right["hurt", name][CHUNK : CHUNK + PAGE]
        first.close()
        for descriptor in handles.values():
            with pytest.raises(OSError) as caught:
                os.pread(descriptor, PAGE, 2 * CHUNK)
            assert caught.value.errno in (errno.EIO, errno.ESTALE)
        with faulty(fresh, base / "source", base / "faulty"):
            for name, descriptor in handles.items():
                assert whole(descriptor) == right["hurt", name]


STALLED = 8  # four times as many as there are workers


@contextmanager
def stalled(world: World, target: str, operation: str = "read") -> Iterator[list[Future[bytes]]]:
    """Readers of one file of "hurt", each at a place of its own, whose source says nothing until the end."""
    content = world.right["hurt", target]
    offsets = [len(content) * at // STALLED // PAGE * PAGE + CHUNK // 2 for at in range(STALLED)]
    with opened(world.at("hurt", target)) as descriptor:
        before = world.source.befallen("stall")
        world.source.befall(Fault("hurt/*", "stall", operation))
        readers = [begun(lambda at=at: os.pread(descriptor, PAGE, at)) for at in offsets]
        several = 1 if operation == "open" else 2  # a source file is opened once, whoever waits for it
        until(lambda: world.source.befallen("stall") >= before + several, "readers are stalled")
        yield readers
        assert not any(reader.done() for reader in readers)
        world.source.lift()
        for offset, reader in zip(offsets, readers, strict=True):
            assert reader.result(PATIENCE) == content[offset : offset + PAGE]


@pytest.mark.parametrize(
    ("target", "other"),
    [
        ("model.gguf-q8_0", "model.gguf-q4_0"),
        ("model.safetensors", "model.gguf-q8_0"),
        (SHARD, "model.safetensors"),
    ],
)
def test_a_stall_is_its_own_readers_alone(world: World, target: str, other: str) -> None:
    with stalled(world, target):
        prove_well(world, other)
        assert world.at("hurt", target).stat().st_size == len(world.right["hurt", target])


@pytest.mark.parametrize("operation", ["open", "getattr"])
def test_whatever_it_is_that_stalls(world: World, operation: str) -> None:
    with stalled(world, "model.gguf-q8_0", operation):
        prove_well(world)


def test_a_close_that_stalls_is_nobodys_matter(world: World) -> None:
    with opened(world.at("hurt", "model.gguf-q8_0")) as descriptor:
        assert os.pread(descriptor, PAGE, CHUNK)
        world.source.befall(Fault("hurt/*", "stall", "flush"))
    until(lambda: world.source.befallen("stall") > 0, "the daemon closes its descriptors")
    prove_well(world)


def test_planning_that_stalls_holds_up_no_other_model(world: World) -> None:
    world.source.befall(Fault("hurt/*", "stall"))
    readers = [begun(world.at("hurt", "model.gguf-q8_0").read_bytes) for _ in range(STALLED)]
    until(lambda: world.source.befallen("stall") > 0, "the planner is stalled")
    prove_well(world)
    world.source.lift()
    for reader in readers:
        assert reader.result(PATIENCE) == world.right["hurt", "model.gguf-q8_0"]


@pytest.mark.parametrize("waiting", [True, False], ids=["a reader waits", "the reader was killed"])
def test_the_daemon_ends_although_its_source_stalls(waiting: bool, fresh: Path, tmp_path: Path) -> None:
    """Both adapters at once: each waits some seconds for its readers. Pages of this source are the kernel's,
    as a process that waits for a direct read of a FUSE file cannot even be killed."""
    base = tmp_path.resolve()
    with faulty(fresh, base / "source", base / "faulty", direct="") as source, ExitStack() as daemons:
        found: list[Daemon] = []
        readers: list[subprocess.Popen[bytes]] = []
        for fuse in ADAPTERS:
            mountpoint, home = base / fuse, base / f"home-{fuse}"
            command = [*mounting(source.path, mountpoint, fuse), "--workers", "2"]
            found.append(daemons.enter_context(running(command, source.path, mountpoint, home)))
            for model in (HURT.name, WELL.name):
                assert (mountpoint / model / "model.gguf-q8_0").stat().st_size
        source.befall(Fault("*", "stall"))
        try:
            # Each another model: the daemons share the source's pages, and so would wait for one read.
            for daemon, model in zip(found, (HURT.name, WELL.name), strict=True):
                before = source.befallen("stall")
                command = ["cat", str(daemon.mountpoint / model / "model.gguf-q8_0")]
                readers.append(
                    subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                )
                until(lambda before=before: source.befallen("stall") > before, "a reader is stalled")
            if not waiting:
                for reader in readers:
                    reader.kill()
            for daemon in found:
                daemon.process.terminate()
            for daemon in found:
                assert daemon.process.wait(PATIENCE) == 0, daemon.log
                assert not is_mounted(daemon.mountpoint)
        finally:
            source.lift()
            for reader in readers:
                reader.kill()
                reader.wait(PATIENCE)
