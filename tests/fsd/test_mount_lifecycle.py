"""Mounting, stopping, dying, taking over: with the real life cycle, over plain files."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd.mount import background, points
from fsd.mount.points import MountError
from tests.fsd.mounting import ADAPTERS, Daemon, children, fake_daemon, is_mounted, running, unmount

# Opens a file, reads one byte, says so, and holds it until it is told to read on.
HOLDER = """
import sys
file = open(sys.argv[1], "rb", 0)
print(file.read(1), flush=True)
sys.stdin.read(1)
file.seek(0)
file.read(9)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path.resolve() / "source"
    path.mkdir()
    (path / "model.bin").write_bytes(b"m" * 300_000)
    return path


@pytest.fixture
def mountpoint(source: Path) -> Iterator[Path]:
    path = source.parent / "mnt"
    yield path
    unmount(path)


@pytest.fixture(params=ADAPTERS)
def fuse(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def daemon(source: Path, mountpoint: Path, fuse: str) -> Iterator[Daemon]:
    with running(fake_daemon(source, mountpoint, fuse), source, mountpoint, source.parent / "home") as daemon:
        yield daemon


def holding(path: Path) -> subprocess.Popen[bytes]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"b'm'\n"
    return holder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts_and_ends_well(daemon: Daemon, number: int) -> None:
    assert (daemon.mountpoint / "model.bin").read_bytes() == b"m" * 300_000
    assert daemon.stop(number) == 0
    assert not is_mounted(daemon.mountpoint)
    assert list(daemon.mountpoint.iterdir()) == []
    assert "Traceback" not in daemon.log


def test_a_signal_ends_the_daemon_though_files_are_open(daemon: Daemon) -> None:
    holder = holding(daemon.mountpoint / "model.bin")
    start = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - start < 8
    assert not is_mounted(daemon.mountpoint)
    holder.communicate(b"\n", timeout=5)


def test_unmounting_from_outside_ends_the_daemon(daemon: Daemon) -> None:
    points.unmount(daemon.mountpoint)
    assert daemon.process.wait(5) == 0
    assert not is_mounted(daemon.mountpoint)


def test_a_busy_mount_is_refused_then_detached(daemon: Daemon) -> None:
    holder = holding(daemon.mountpoint / "model.bin")
    with pytest.raises(MountError, match="busy") as caught:
        points.unmount(daemon.mountpoint, patience=0.2)
    assert "--lazy" in caught.value.remedy
    points.unmount(daemon.mountpoint, lazy=True, patience=0.2)
    assert not is_mounted(daemon.mountpoint)
    holder.communicate(b"\n", timeout=5)
    assert holder.returncode == 0  # its file lived on
    assert daemon.process.wait(5) == 0


def test_a_dead_mount_is_taken_over(daemon: Daemon, source: Path, fuse: str) -> None:
    daemon.kill_without_cleanup()
    assert is_mounted(daemon.mountpoint)
    with pytest.raises(OSError) as caught:
        os.statvfs(daemon.mountpoint)
    assert caught.value.errno == errno.ENOTCONN
    home = source.parent / "home"
    command = fake_daemon(source, daemon.mountpoint, fuse)
    with running(command, source, daemon.mountpoint, home) as second:
        assert (second.mountpoint / "model.bin").read_bytes() == b"m" * 300_000
        assert second.stop() == 0
    assert not is_mounted(daemon.mountpoint)


def test_a_killed_daemon_is_cleaned_up_by_its_watcher(daemon: Daemon) -> None:
    assert children(daemon.process.pid)
    daemon.process.kill()
    deadline = time.monotonic() + 15
    while is_mounted(daemon.mountpoint) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_mounted(daemon.mountpoint)


def test_a_live_mount_is_not_mounted_over(daemon: Daemon, source: Path) -> None:
    with pytest.raises(MountError, match="mounted here already") as caught:
        points.prepare(source, daemon.mountpoint)
    assert caught.value.remedy == f"prismfs umount {daemon.mountpoint}"


def test_read_ahead_is_raised_for_root(daemon: Daemon) -> None:
    device = os.stat(daemon.mountpoint).st_dev
    setting = Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
    assert int(setting.read_text()) == 1024


def test_a_missing_mount_point_is_made(source: Path, tmp_path: Path) -> None:
    assert points.prepare(source, tmp_path / "a" / "b") is False
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("place", ["source", "source/inside", "."])
def test_nested_places_are_refused(source: Path, place: str) -> None:
    with pytest.raises(MountError, match="within each other") as caught:
        points.prepare(source, points.resolved(source.parent / place))
    assert "mount point" in caught.value.remedy


def test_an_occupied_mount_point_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(MountError, match="not empty"):
        points.prepare(source, tmp_path / "used")
    with pytest.raises(MountError, match="not a directory"):
        points.prepare(source, tmp_path / "used" / "file")


def test_mounts_with_odd_names_are_found(source: Path, tmp_path: Path, fuse: str) -> None:
    mountpoint = tmp_path.resolve() / "a b\\c\n\ttäb"
    command = fake_daemon(source, mountpoint, fuse)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        mount = points.mount_at(mountpoint)
        assert mount is not None
        assert mount.is_ours
        assert not mount.is_dead
    finally:
        process.terminate()
        assert process.wait(10) == 0
    assert points.mount_at(mountpoint) is None


def told(error: BaseException) -> str:
    return f"told: {error}"


def test_background_reports_readiness(tmp_path: Path) -> None:
    log = tmp_path / "state" / "daemon.log"

    def body(ready: object) -> int:
        os.write(1, b"begins\n")
        assert callable(ready)
        ready()
        (tmp_path / "went on").touch()
        return 0

    started = background.start(body, log, told)
    assert (started.exit_code, started.failure) == (0, "")
    assert os.waitpid(started.pid, 0)[1] == 0
    assert (tmp_path / "went on").exists()
    assert log.read_text() == "begins\n"


def test_background_reports_an_early_failure(tmp_path: Path) -> None:
    def fails(ready: object) -> int:
        raise MountError("no such luck")

    started = background.start(fails, tmp_path / "log", told)
    assert (started.exit_code, started.failure) == (1, "told: no such luck")
    os.waitpid(started.pid, 0)

    def dies(ready: object) -> int:
        os._exit(7)

    with pytest.raises(MountError, match="without a word"):
        background.start(dies, tmp_path / "log", told)
