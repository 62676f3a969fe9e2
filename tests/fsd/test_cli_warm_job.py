"""`prismfs warm` through a job of the daemon, and what the client makes of its answers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from fsd.cli.client import error_of
from fsd.errors import FAULTS, PrismError, exit_code_of
from tests.fsd.command_line import Run
from tests.fsd.steering import MODEL, OTHER, Steered


def test_a_form_is_warmed_and_whole_the_next_time(steered: Steered, run: Run) -> None:
    form = steered.form("q2_k")
    first, second = run("warm", form), run("warm", form)
    size = form.stat().st_size
    assert (first.returncode, first.stdout) == (0, f"read\t{size}\t{form}\n")
    assert second.stdout.startswith("whole\t")
    jobs = json.loads(run("jobs", "--json", "--socket", steered.socket).stdout)
    assert [job["paths"] for job in jobs].count([str(form)]) == 2, "the daemon did it"


def test_what_needs_no_translation_is_passed_over(steered: Steered, run: Run) -> None:
    done = run("warm", steered.mountpoint / MODEL / "config.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing to translate" in done.stderr


def test_one_error_does_not_stop_the_others(steered: Steered, run: Run, tmp_path: Path) -> None:
    outside, form = tmp_path / "plain", steered.form("iq4_xs")
    outside.touch()
    done = run("warm", "--json", steered.form("q9_9"), outside, form)
    assert done.returncode == 3
    assert [(each["path"], each["state"]) for each in json.loads(done.stdout)] == [(str(form), "read")]
    assert "No such file" in done.stderr
    assert "this is not in a mount of prismfs" in done.stderr


def test_ctrl_c_calls_the_job_off(steered: Steered, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fsd.cli.following.time", SimpleNamespace(sleep=interrupted))
    done = run("warm", steered.mountpoint / OTHER)
    assert (done.returncode, "Traceback" in done.stderr) == (130, False)
    assert "was cancelled" in done.stderr
    (job,) = [
        job
        for job in json.loads(run("jobs", "--json", "--socket", steered.socket).stdout)
        if job["paths"] == [str(steered.mountpoint / OTHER)]
    ]
    assert job["state"] in ("running", "cancelled")


def test_a_daemon_that_may_not_be_asked(steered: Steered, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another user, say: the forms are read instead."""
    monkeypatch.setattr("fsd.cli.warm.socket_of", lambda mount: Path("/nowhere/control.sock"))
    form = steered.form("f16", OTHER)
    done = run("warm", form)
    assert (done.returncode, done.stdout.split("\t")[0]) == (0, "read")
    left = run("warm", "--no-wait", form)
    assert (left.returncode, left.stdout) == (1, "")
    assert "--no-wait" in left.stderr


def test_the_cache_is_cleared_by_the_daemon_that_holds_it(steered: Steered, run: Run) -> None:
    store = steered.home.parent / "store"
    assert run("warm", steered.form("f16")).returncode == 0
    done = run("cache", "clear", "--json", "--cache-dir", store)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kept"] == 0
    for action in ("gc", "verify"):
        refused = run("cache", action, "--cache-dir", store)
        assert refused.returncode == 1
        assert f"process {steered.daemon.process.pid}" in refused.stderr


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_an_error_of_the_daemon_is_that_error_here(kind: type[BaseException]) -> None:
    error = error_of(kind.__name__, "it is so", "model", "place", "do this")
    if issubclass(kind, OSError | PrismError):
        assert type(error) is kind or isinstance(error, kind)
        assert exit_code_of(error) == FAULTS[kind].exit_code
    assert "it is so" in str(error)
    assert os.fspath("model") in str(error)


def test_an_error_that_nobody_knows() -> None:
    assert type(error_of("FromTheFuture", "it is so")) is PrismError
