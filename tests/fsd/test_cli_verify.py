"""`prismfs verify`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fsd.command_line import Run
from tests.fsd.steering import Steered


def test_what_is_right(steered: Steered, run: Run) -> None:
    form = steered.form("q8_0")
    assert run("warm", form).returncode == 0
    done = run("verify", form)
    assert (done.returncode, done.stdout) == (0, f"right\t{form.stat().st_size}\t{form}\n")
    assert "verified" in done.stderr
    (found,) = json.loads(run("verify", "--json", "--sample", "0.5", form).stdout)
    assert (found["state"], found["differing"]) == ("right", 0)
    assert found["compared"] > 0


@pytest.mark.parametrize("sample", ["0", "1.5", "much"])
def test_a_sample_is_a_share(steered: Steered, run: Run, sample: str) -> None:
    done = run("verify", "--sample", sample, steered.form("q8_0"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "--sample" in done.stderr


def test_what_is_not_there(steered: Steered, run: Run, tmp_path: Path) -> None:
    assert run("verify", steered.form("q9_9")).returncode == 3
    assert run("verify", tmp_path).returncode == 1
