"""`prismfs jobs`."""

from __future__ import annotations

import json

from tests.fsd.command_line import Run
from tests.fsd.mounting import until
from tests.fsd.steering import OTHER, Steered


def test_a_job_is_left_to_the_daemon_and_looked_at(steered: Steered, run: Run) -> None:
    form = steered.form("q5_1", OTHER)
    done = run("warm", "--no-wait", form)
    assert done.returncode == 0
    id = done.stdout.strip()
    assert f"prismfs jobs show {id}" in done.stderr

    def over() -> bool:
        (job,) = json.loads(run("jobs", "show", "--json", "--socket", steered.socket, id).stdout)
        return bool(job["state"] == "done")

    until(over, "the job is done")
    listed = run("jobs", "--socket", steered.socket)
    (row,) = [line.split("\t") for line in listed.stdout.splitlines() if line.startswith(f"{id}\t")]
    assert row[1:4] == ["warm", "done", "100 %"]
    shown = run("jobs", "show", "--socket", steered.socket, id).stdout
    assert f"path\t{form}" in shown
    assert "state=read" in shown
    cancelled = run("jobs", "cancel", "--socket", steered.socket, id)
    assert (cancelled.returncode, cancelled.stdout) == (0, f"done\t{id}\n")


def test_no_such_job(steered: Steered, run: Run) -> None:
    done = run("jobs", "show", "--socket", steered.socket, "none")
    assert (done.returncode, done.stdout) == (3, "")
    assert "no job has this id" in done.stderr


def test_the_daemon_is_found_by_its_mount(steered: Steered, run: Run) -> None:
    """PRISMFS_API_SOCKET is "none" here, and root's usual socket may be another daemon's."""
    done = run("status", "--json", steered.mountpoint)
    assert json.loads(done.stdout)["socket"] == str(steered.socket)
