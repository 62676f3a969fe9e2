"""`prismfs status`: over the API, and by what a mount tells where there is none."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fsd.command_line import Run
from tests.fsd.mounting import PRISMFS, running
from tests.fsd.steering import OTHER, Steered


def rows(text: str) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in text.splitlines())


def test_over_the_api(steered: Steered, run: Run) -> None:
    assert run("warm", steered.form("q8_0", OTHER)).returncode == 0
    done = run("status", steered.mountpoint)
    found = rows(done.stdout)
    assert done.returncode == 0
    assert "ready, up " in found["daemon"]
    assert f"process {steered.daemon.process.pid}" in found["daemon"]
    assert found["api"] == str(steered.socket)
    assert found["mount"].startswith(f"{steered.mountpoint}: 4 models of {steered.daemon.source}, ")
    assert "translated" in found["reads"]
    assert "0 not over" in found["jobs"]
    told = json.loads(run("status", "--json", "--socket", steered.socket).stdout)
    assert told["status"]["pid"] == steered.daemon.process.pid
    assert told["cache"]["bytes"] > 0


def test_without_an_api(steered: Steered, run: Run, tmp_path: Path) -> None:
    mountpoint = tmp_path.resolve() / "mnt"
    command = (*PRISMFS, "mount", "--no-cache", str(steered.daemon.source), str(mountpoint))
    with running(command, steered.daemon.source, mountpoint, tmp_path / "home"):
        done = run("status", mountpoint)
        found = rows(done.stdout)
        assert done.returncode == 0
        assert f"{mountpoint}: " in found["mount"]
        assert found["cache"] == "in memory alone"
        assert "there is no API" in done.stderr
        (mount,) = json.loads(run("status", "--json", mountpoint).stdout)["mounts"]
        assert mount["status"]["source"] == str(steered.daemon.source)


def test_nothing_to_tell_of(steered: Steered, run: Run, nowhere: Path, tmp_path: Path) -> None:
    asked = run("status", "--socket", nowhere)
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "no daemon answers" in asked.stderr
    outside = run("status", tmp_path)
    assert (outside.returncode, outside.stdout) == (1, "")
    assert "this is not in a mount of prismfs" in outside.stderr
