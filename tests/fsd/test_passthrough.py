"""Source files that the kernel reads by itself: no request, native behaviour, no way to write them."""

# The system calls themselves are tested here.
# ruff: noqa: PTH105, PTH115

from __future__ import annotations

import errno
import json
import mmap
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from fsd.mount import adapters
from tests.fsd.mounting import (
    Daemon,
    counters,
    environment,
    fake_daemon,
    is_mounted,
    mounting,
    opened,
    prismfs,
    running,
    unmount,
)
from tests.tiny_models import build
from tests.tiny_variants import MODELS

MODEL, FORM = "Qwen2.5-0.5B-Instruct", "model.gguf-q4_k_m"
SIZE = 3 * (1 << 20) + 123
CONTENT = random.Random(5).randbytes(SIZE)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    source = tmp_path.resolve() / "models"
    source.mkdir()
    build(MODELS[MODEL], source)
    (source / MODEL / "extra.bin").write_bytes(CONTENT)
    return source


@pytest.fixture
def daemon(models: Path) -> Iterator[Daemon]:
    mountpoint = models.parent / "mnt"
    with running(mounting(models, mountpoint, "kernel"), models, mountpoint, models.parent) as daemon:
        yield daemon


@pytest.fixture
def file(daemon: Daemon) -> Path:
    """A source file, seen through the mount."""
    return daemon.mountpoint / MODEL / "extra.bin"


def told(mountpoint: Path) -> dict[str, int]:
    """The adapter's counters. Asking costs one READ, which the next answer counts."""
    status = json.loads((mountpoint / ".prismfs" / "status.json").read_text())
    return dict(status["adapter"])


def test_reading_a_source_file_asks_the_daemon_nothing(daemon: Daemon, file: Path, tmp_path: Path) -> None:
    before = told(daemon.mountpoint)
    assert (before["name"], before["passthrough"]) == ("kernel", True)
    assert file.read_bytes() == CONTENT
    with opened(file) as descriptor, closing(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)) as mapped:
        assert mapped[:] == CONTENT
    with opened(file) as descriptor, closing(mmap.mmap(-1, 1 << 20)) as buffer:
        with (tmp_path / "sent").open("wb") as out:
            sent = 0
            while count := os.sendfile(out.fileno(), descriptor, sent, SIZE):
                sent += count
        assert (tmp_path / "sent").read_bytes() == CONTENT
        with opened(file, os.O_RDONLY | os.O_DIRECT) as direct:
            assert os.preadv(direct, [buffer], 1 << 20) == 1 << 20
            assert buffer[:] == CONTENT[1 << 20 : 2 << 20]
    subprocess.run(["cmp", str(file), str(daemon.source / MODEL / "extra.bin")], check=True)
    after = told(daemon.mountpoint)
    assert after["read_requests"] - before["read_requests"] == 1  # that of the first answer itself
    assert after["passthrough_opens"] - before["passthrough_opens"] == 5


def test_a_translated_file_is_read_once_under_both_its_names(daemon: Daemon) -> None:
    folder = daemon.mountpoint / MODEL
    other = next(path for path in (folder / "gguf").iterdir() if path.name.endswith("Q4_K_M.gguf"))
    assert other.stat().st_ino == (folder / FORM).stat().st_ino
    data = (folder / FORM).read_bytes()
    before = told(daemon.mountpoint)["read_requests"]
    assert other.read_bytes() == data
    assert told(daemon.mountpoint)["read_requests"] - before == 1
    assert told(daemon.mountpoint)["passthrough_opens"] == 0


def test_descriptors_and_maps_outlive_a_killed_daemon(daemon: Daemon, file: Path) -> None:
    with opened(file) as descriptor, closing(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)) as mapped:
        daemon.process.kill()
        daemon.process.wait(5)
        deadline = time.monotonic() + 5
        while is_mounted(daemon.mountpoint) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_mounted(daemon.mountpoint)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(descriptor, SIZE, 0) == CONTENT
        assert mapped[:] == CONTENT


@pytest.mark.parametrize("reading_first", [True, False])
def test_a_read_write_open_cannot_write_the_source(daemon: Daemon, file: Path, reading_first: bool) -> None:
    """It is served beside a reader that is passed through, and after one; nothing reaches the source."""
    own = daemon.source / MODEL / "extra.bin"
    number = file.stat().st_ino
    with opened(file if reading_first else own) as first, opened(file, os.O_RDWR) as descriptor:
        assert os.fstat(descriptor).st_ino == number
        assert os.pread(descriptor, SIZE, 0) == CONTENT
        with pytest.raises(OSError) as caught:
            os.pwrite(descriptor, b"no", 0)
        assert caught.value.errno == errno.EROFS
        shared = mmap.mmap(descriptor, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        assert shared[:] == CONTENT
        shared[:2] = b"no"
        with suppress(OSError):
            shared.flush()
        shared.close()
        with opened(file) as third:  # joins those that are open under the name
            assert os.pread(third, 10, 100) == CONTENT[100:110]
        assert os.pread(first, SIZE, 0) == CONTENT
    assert own.read_bytes() == CONTENT
    # Once nobody has it open for writing, and name and promise are forgotten, it is passed through again.
    before = told(daemon.mountpoint)["passthrough_opens"]
    deadline = time.monotonic() + 15
    while told(daemon.mountpoint)["passthrough_opens"] == before and time.monotonic() < deadline:
        time.sleep(0.2)
        assert file.read_bytes() == CONTENT
    assert told(daemon.mountpoint)["passthrough_opens"] > before


def test_readers_and_read_write_openers_side_by_side(daemon: Daemon, file: Path) -> None:
    """Both ways of reading one file, opened and closed without order: each open succeeds."""
    code = (
        "import os, random, sys, time\n"
        "chance, end, data = random.Random(int(sys.argv[2])), time.monotonic() + 3, sys.stdin.buffer.read()\n"
        "while time.monotonic() < end:\n"
        "    descriptor = os.open(sys.argv[1], chance.choice((os.O_RDONLY, os.O_RDONLY, os.O_RDWR)))\n"
        "    offset = chance.randrange(len(data))\n"
        "    assert os.pread(descriptor, 70_000, offset) == data[offset : offset + 70_000]\n"
        "    os.close(descriptor)\n"
        "    time.sleep(chance.choice((0, 0, 0, 0.003)))\n"
    )
    readers = []
    for seed in range(6):
        command = [sys.executable, "-c", code, str(file), str(seed)]
        with (daemon.source / MODEL / "extra.bin").open("rb") as data:
            readers.append(subprocess.Popen(command, stdin=data, stderr=subprocess.PIPE))
    assert [reader.communicate(timeout=30)[1] for reader in readers] == [b""] * 6
    assert (daemon.source / MODEL / "extra.bin").read_bytes() == CONTENT
    assert "Traceback" not in daemon.log


def test_many_opens_share_one_backing_and_leave_none(daemon: Daemon, file: Path) -> None:
    for _ in range(3):
        descriptors = [os.open(file, os.O_RDONLY) for _ in range(40)]
        assert all(os.pread(each, 10, 1000) == CONTENT[1000:1010] for each in descriptors)
        for each in descriptors:
            os.close(each)
    assert told(daemon.mountpoint)["passthrough_opens"] == 120
    deadline = time.monotonic() + 5
    held = Path(f"/proc/{daemon.process.pid}/fd")
    while time.monotonic() < deadline:
        if not [link for link in held.iterdir() if _target(link).endswith("extra.bin")]:
            return
        time.sleep(0.02)
    raise AssertionError("a closed file is still held")


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def test_a_replaced_source_file(daemon: Daemon, file: Path) -> None:
    own = daemon.source / MODEL / "extra.bin"
    for seed in range(4):
        new = random.Random(seed).randbytes(100_000 + seed)
        with opened(file) as old:
            before = os.pread(old, SIZE, 0)
            own.with_name("new").write_bytes(new)
            os.replace(own.with_name("new"), own)
            assert file.read_bytes() == new
            assert file.stat().st_size == len(new)
            assert os.pread(old, SIZE, 0) == before


def test_a_source_that_cannot_be_passed_through_is_served_all_the_same(daemon: Daemon, models: Path) -> None:
    """The source of a second mount is the first: the kernel does not stack that."""
    upper, home = models.parent / "upper", models.parent / "home"
    command = fake_daemon(daemon.mountpoint / MODEL, upper, "kernel")
    (models / MODEL / "model.bin").write_bytes(CONTENT)
    with running(command, daemon.mountpoint, upper, home) as second:
        assert (upper / "model.bin").read_bytes() == CONTENT
        assert second.stop() == 0


def test_a_source_on_an_overlay_is_served_all_the_same(tmp_path: Path) -> None:
    """An overlayfs cannot lie below a passthrough either (both count as layers)."""
    base = tmp_path.resolve()
    lower, upper, work, source = (base / name for name in ("lower", "upper", "work", "source"))
    for directory in (lower, upper, work, source):
        directory.mkdir()
    (lower / "model.bin").write_bytes(CONTENT)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, source], check=True)
    try:
        command = fake_daemon(source, base / "mnt", "kernel")
        with running(command, source, base / "mnt", base / "home") as daemon:
            for _ in range(3):
                assert (base / "mnt" / "model.bin").read_bytes() == CONTENT
                with opened(base / "mnt" / "model.bin", os.O_RDWR) as descriptor:
                    assert os.pread(descriptor, SIZE, 0) == CONTENT
            assert counters(daemon)["passthrough_opens"] == 0
    finally:
        subprocess.run(["umount", "-l", str(source)], check=True)


def test_an_overlay_on_the_mount(tmp_path: Path) -> None:
    """As a writable store over a mount: its files are opened without looking names up anew."""
    base = tmp_path.resolve()
    source, upper, work, top = (base / name for name in ("source", "upper", "work", "top"))
    for directory in (source, upper, work, top):
        directory.mkdir()
    for name in ("model.bin", "flip", "plain"):
        (source / name).write_bytes(CONTENT)
    with running(fake_daemon(source, base / "mnt", "kernel"), source, base / "mnt", base / "home"):
        options = f"lowerdir={base / 'mnt'},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, top], check=True)
        try:
            for name in ("model.bin", "flip", "plain") * 20:
                assert (top / name).read_bytes() == CONTENT
        finally:
            subprocess.run(["umount", str(top)], check=True)


def test_auto_takes_the_kernel_adapter_and_needs_no_libfuse(models: Path, tmp_path: Path) -> None:
    assert adapters.chosen("auto") == ("kernel", "")
    assert adapters.chosen("mfusepy") == ("mfusepy", "")
    mountpoint = tmp_path.resolve() / "mnt"
    lost = environment(tmp_path) | {"FUSE_LIBRARY_PATH": "/nowhere/libfuse3.so"}
    try:
        done = prismfs("mount", "--daemon", models, mountpoint, home=tmp_path, env=lost)
        assert done.returncode == 0, done.stderr
        assert told(mountpoint)["name"] == "kernel"
        assert prismfs("umount", mountpoint, home=tmp_path).returncode == 0
    finally:
        unmount(mountpoint)


def test_doctor_tells_the_adapter(tmp_path: Path) -> None:
    for wanted in ("auto", "mfusepy", "kernel"):
        env = environment(tmp_path) | {"PRISMFS_FUSE": wanted}
        found = json.loads(prismfs("doctor", "--json", home=tmp_path, env=env).stdout)
        (finding,) = (finding for finding in found if finding["check"] == "adapter")
        assert finding["state"] == "ok"
        assert finding["detail"].startswith("mfusepy" if wanted == "mfusepy" else "kernel")


def test_who_is_not_root_gets_mfusepy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert adapters.chosen("auto") == ("mfusepy", "it needs root")


def test_the_command_line_knows_three_words(models: Path, tmp_path: Path) -> None:
    done = prismfs("mount", "--fuse", "windows", models, tmp_path / "mnt", home=tmp_path)
    assert done.returncode == 2
    assert "auto, mfusepy, kernel" in done.stderr
