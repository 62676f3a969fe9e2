"""`prismfs umount`: one mount, all of a file, and what a daemon that is gone left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsd.mount import points
from tests.fsd.command_line import Run, in_process
from tests.fsd.mounting import fake_daemon, is_mounted, running


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path.resolve()
    (path / "source").mkdir()
    (path / "source" / "file").write_bytes(b"f" * 1000)
    return path


@pytest.fixture
def run(base: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return in_process(base / "home", monkeypatch, capfd)


def configuration(base: Path) -> Path:
    """A file with two mounts, of which the first may be there."""
    lines = [
        f'[[mount]]\nsource = "{base}/source"\nmountpoint = "{base}/{name}"\n' for name in ("mnt", "other")
    ]
    path = base / "prismfs.toml"
    path.write_text("\n".join(lines))
    return path


def test_what_a_daemon_serves_is_not_dead(base: Path, run: Run) -> None:
    with running(
        fake_daemon(base / "source", base / "mnt", "kernel"), base / "source", base / "mnt", base / "home"
    ):
        done = run("umount", "--dead", "--config", configuration(base))
        assert (done.returncode, done.stderr) == (0, "")
        assert is_mounted(base / "mnt")


@pytest.mark.parametrize("named", [True, False], ids=["named", "by a file"])
def test_what_a_daemon_left_behind_is_detached(base: Path, run: Run, named: bool) -> None:
    command = fake_daemon(base / "source", base / "mnt", "kernel")
    with running(command, base / "source", base / "mnt", base / "home") as daemon:
        daemon.kill_without_cleanup()
        assert is_mounted(base / "mnt")
        words = [base / "mnt"] if named else ["--config", configuration(base)]
        done = run("umount", "--dead", *words)
        assert (done.returncode, done.stderr) == (0, f"prismfs: unmounted {base / 'mnt'}\n")
        assert not is_mounted(base / "mnt")
        again = run("umount", "--dead", *words)
        assert (again.returncode, again.stderr) == (0, "")


def test_a_file_names_all_mounts(base: Path, run: Run) -> None:
    command = fake_daemon(base / "source", base / "mnt", "kernel")
    with running(command, base / "source", base / "mnt", base / "home") as daemon:
        done = run("umount", "--config", configuration(base))
        assert done.returncode == 1
        assert done.stderr.startswith(f"prismfs: unmounted {base / 'mnt'}\n")
        assert f"{base / 'other'}: nothing is mounted here" in done.stderr
        assert daemon.process.wait(30) == 0
    assert points.mount_at(base / "mnt") is None


def test_nothing_named_is_a_usage_error(run: Run) -> None:
    done = run("umount")
    assert done.returncode == 2
    assert "there is nothing to unmount" in done.stderr
