"""`prismfs evict`."""

from __future__ import annotations

import json

from tests.fsd.command_line import Run
from tests.fsd.steering import MODEL, Steered


def test_what_is_kept_is_given_back(steered: Steered, run: Run) -> None:
    form = steered.form("q5_k_m")
    assert run("warm", form).returncode == 0
    whole = form.read_bytes()
    (before,) = json.loads(run("unpin", "--json", form).stdout)
    assert before["cached"] >= before["size"]
    done = run("evict", form)
    assert (done.returncode, done.stdout) == (0, f"evicted\t0\t{form}\n")
    (after,) = json.loads(run("evict", "--json", form).stdout)
    assert after["cached"] == 0
    assert form.read_bytes() == whole


def test_what_is_pinned_stays(steered: Steered, run: Run) -> None:
    form = steered.form("q4_0")
    assert run("warm", form).returncode == 0
    assert run("pin", form).returncode == 0
    done = run("evict", form)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pinned" in done.stderr
    several = run("evict", steered.mountpoint / MODEL)
    assert several.returncode == 0
    assert "prismfs unpin lets it go" in several.stderr
    assert run("unpin", form).returncode == 0
