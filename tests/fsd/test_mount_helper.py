"""`mount.prismfs`: the words of mount(8) and fstab, and mounting through mount(8) itself."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd.cli import fstab
from fsd.mount import points
from tests.fsd.command_line import Run, in_process
from tests.fsd.mounting import ROOT, environment, is_mounted, prismfs, unmount, until
from tests.tiny_models import build
from tests.tiny_variants import MODELS

NAME = "llama-mha"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("helper").resolve() / "models"
    source.mkdir()
    build(MODELS[NAME], source)
    return source


@pytest.fixture
def mountpoint(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path.resolve() / "mnt"
    yield path
    unmount(path)


def helper(
    home: Path, *words: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fsd.cli.fstab", *map(str, words)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=env or environment(home),
        timeout=60,
        cwd=home,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ("", []),
        ("rw,defaults,_netdev,noauto,nofail,x-systemd.automount,X-mount.mkdir,users,user=me,noatime", []),
        ("ro,nosuid,nodev,relatime,dirsync,lazytime,comment=a=b", []),
        ("cache_size=50G,allow_other", ["--cache-size=50G", "--allow-other"]),
        ("cache-size=50G,workers=2", ["--cache-size=50G", "--workers=2"]),
        ("allow_other=yes,no_cache=no", ["--allow-other"]),
        ('types="q8_0,q4_k_m",ro,config=/etc/p', ["--types=q8_0,q4_k_m", "--config=/etc/p"]),
        ("api_group=", ["--api-group="]),
    ],
)
def test_options_of_fstab(options: str, flags: list[str]) -> None:
    assert fstab.flags(options) == (flags, [])


@pytest.mark.parametrize("option", ["fast", "workers", "allow_other=perhaps", "config", "config=", "xyz=1"])
def test_options_that_nobody_knows(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fstab.flags(f"ro,{option},nofail") == ([], [option])
    assert fstab.main(["/a", "/b", "-o", option]) == fstab.USAGE
    assert option in capsys.readouterr().err
    assert fstab.main(["/a", "/b", "-s", "-f", "-o", option]) == 0  # sloppy, fake


def test_exit_codes_are_those_of_mount(
    models: Path, mountpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run: Run = in_process(tmp_path, monkeypatch, capfd)
    assert run("--version").returncode == 0  # the environment is a user's own
    assert fstab.main([str(models)]) == fstab.USAGE
    assert fstab.main([str(models), str(mountpoint), "-o", "workers=none"]) == fstab.USAGE
    assert fstab.main([str(models / "none"), str(mountpoint)]) == fstab.FAILED
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    assert fstab.main([str(models), str(tmp_path / "used"), "-n", "-v", "-t", "prismfs"]) == fstab.FAILED
    assert not is_mounted(mountpoint)


def test_packages_that_another_distribution_hides(models: Path, mountpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "translators").mkdir()
    (tmp_path / "translators" / "__init__.py").write_text("import requests_of_theirs\n")
    hidden = environment(tmp_path) | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = helper(tmp_path, models, mountpoint, "-o", "workers=1", env=hidden)
    assert done.returncode == fstab.FAILED
    assert "`translators` is found in" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_mounts_and_returns(models: Path, mountpoint: Path, tmp_path: Path) -> None:
    options = "rw,nofail,no_cache,api_socket=none,types=q8_0"
    done = helper(tmp_path, models, mountpoint, "-o", options, "-o", "workers=1")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert is_mounted(mountpoint)
    names = {entry.name for entry in (mountpoint / NAME).iterdir()}
    assert "model.gguf-q8_0" in names
    assert "model.gguf-q4_k_m" not in names
    again = helper(tmp_path, models, mountpoint, "-o", options)
    assert (again.returncode, "mounted here already" in again.stderr) == (fstab.FAILED, True)
    assert prismfs("umount", mountpoint, home=tmp_path).returncode == 0


@pytest.mark.parametrize("kind", ["prismfs", "fuse.prismfs"])
def test_mount_8_finds_it(models: Path, mountpoint: Path, tmp_path: Path, kind: str) -> None:
    """With a /sbin of its own, in a mount namespace that ends with the test: the machine's is not changed."""
    program = tmp_path / "helper"
    setting = " ".join(
        f"{name}={shlex.quote(value)}" for name, value in environment(tmp_path).items() if name != "PATH"
    )
    program.write_text(f'#!/bin/sh\nenv {setting} {sys.executable} -m fsd.cli.fstab "$@"\n')
    program.chmod(0o755)
    over, table = tmp_path / "over", tmp_path / "fstab"
    mountpoint.mkdir()
    table.write_text(f"{models} {mountpoint} {kind} no_cache,api_socket=none,_netdev,nofail,x-test 0 0\n")
    sbin = Path("/sbin").resolve()
    script = f"""
        set -e
        mkdir {over}
        mount -t tmpfs tmpfs {over}
        mkdir {over}/upper {over}/work
        mount -t overlay overlay -o lowerdir={sbin},upperdir={over}/upper,workdir={over}/work {sbin}
        ln -s {program} /sbin/mount.{kind}
        mount -T {table} {mountpoint}
        findmnt -n -o FSTYPE,TARGET {mountpoint}
        cat {mountpoint}/{NAME}/config.json
        umount {mountpoint}
    """
    try:
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
            capture_output=True, text=True, timeout=120, check=False, cwd=ROOT,
        )  # fmt: skip
        until(lambda: done.returncode != 0 or not daemons(mountpoint), "the end of the daemon")
    finally:
        for process in daemons(mountpoint):
            os.kill(process, signal.SIGTERM)
    assert done.returncode == 0, done.stderr
    first, _, rest = done.stdout.partition("\n")
    assert first.split() == [points.FILE_SYSTEM, str(mountpoint)]
    assert rest == (models / NAME / "config.json").read_text()
    assert not Path(f"/sbin/mount.{kind}").exists()


def daemons(mountpoint: Path) -> list[int]:
    """The processes that were started to serve a mount point."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if os.fsencode(mountpoint) in words:
            found.append(int(process.name))
    return found
