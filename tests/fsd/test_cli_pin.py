"""`prismfs pin`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fsd.command_line import Run
from tests.fsd.steering import MODEL, Steered


def test_a_form_is_pinned_before_it_is_complete(steered: Steered, run: Run) -> None:
    form = steered.form("q6_k")
    done = run("pin", form)
    assert (done.returncode, done.stdout) == (0, f"pinned\t0\t{form}\n")
    assert f"prismfs warm {form}" in done.stderr
    (file,) = json.loads(run("pin", "--json", form).stdout)
    assert (file["path"], file["pinned"]) == (str(form), True)
    assert run("unpin", form).returncode == 0


def test_a_complete_one_needs_no_hint(steered: Steered, run: Run) -> None:
    form = steered.form("q3_k_m")
    assert run("warm", form).returncode == 0
    done = run("pin", form)
    assert done.stdout.startswith(f"pinned\t{form.stat().st_size}\t")
    assert "warm" not in done.stderr
    assert run("unpin", form).returncode == 0


def test_one_error_does_not_stop_the_others(steered: Steered, run: Run, tmp_path: Path) -> None:
    missing, outside, form = steered.form("q9_9"), tmp_path / "plain", steered.form("q6_k")
    outside.touch()
    done = run("pin", missing, outside, form)
    assert done.returncode == 3
    assert done.stdout == f"pinned\t0\t{form}\n"
    assert f"{outside}: this is not in a mount of prismfs" in done.stderr
    assert done.stderr.count("\n  try: ") == 2
    assert run("unpin", form).returncode == 0


def test_no_daemon_answers(steered: Steered, run: Run, nowhere: Path) -> None:
    done = run("pin", "--socket", nowhere, steered.mountpoint / MODEL)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{nowhere}: no daemon answers" in done.stderr
    assert "prismfs mount" in done.stderr
