"""`prismfs unpin`."""

from __future__ import annotations

import json

from tests.fsd.command_line import Run
from tests.fsd.steering import OTHER, Steered


def test_a_directory_is_every_form_that_is_listed_below_it(steered: Steered, run: Run) -> None:
    model = steered.mountpoint / OTHER
    pinned = json.loads(run("pin", "--json", model).stdout)
    assert {file["name"] for file in pinned} >= {"model.gguf-q8_0", "model.gguf-q4_k_m"}
    assert all(file["pinned"] for file in pinned)
    done = run("unpin", model)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(pinned)
    assert all(line.startswith("unpinned\t") for line in done.stdout.splitlines())
    again = json.loads(run("unpin", "--json", model).stdout)
    assert not any(file["pinned"] for file in again)
