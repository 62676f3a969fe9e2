"""A store whose disk fails under a real mount: what cannot be kept or read back is translated, and right."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.fsd.faulty_source import Fault, faulty
from tests.fsd.mounting import ADAPTERS, Daemon, mounting, running, until
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from translators import Plan, open_model, plans

MODEL = MODELS["Qwen2.5-0.5B-Instruct"]
TARGETS = ("model.gguf-q8_0", "model.gguf-q4_0")
CHUNKS = "store/chunks/*"


def figures(daemon: Daemon) -> dict[str, int]:
    """What the store says of itself."""
    told = json.loads((daemon.mountpoint / ".prismfs" / "status.json").read_text())
    found: dict[str, int] = told["store"]
    return found


@pytest.mark.parametrize("fuse", ADAPTERS)
def test_a_store_that_fails_costs_time_and_no_byte(fuse: str, tmp_path: Path) -> None:
    base = tmp_path.resolve()
    folder = build(MODEL, base / "models")
    made = {name: plan for name, plan in plans(open_model(folder)).items() if isinstance(plan, Plan)}
    right = {name: made[name].layout().read(0, made[name].size) for name in TARGETS}
    mountpoint = base / "mnt"
    command = [*mounting(folder.parent, mountpoint, fuse), "--cache-dir", str(base / "disk" / "store")]
    (base / "behind").mkdir()

    def proves_right(name: str) -> bool:
        """Cold: the model is another version of the same bytes, of which nothing is kept."""
        os.utime(folder / "model.safetensors")
        assert (mountpoint / folder.name / name).read_bytes() == right[name]
        return True

    with faulty(base / "behind", base / "disk", base / "faulty", direct=CHUNKS) as disk:
        with running(command, folder.parent, mountpoint, base / "home") as daemon:
            # After a failure the store lets its disk rest for a moment: read on until it tries again.
            disk.befall(Fault(CHUNKS, "ENOSPC", "write"))
            until(lambda: proves_right(TARGETS[0]) and disk.befallen("ENOSPC") > 0, "it tries to write")
            disk.befall(Fault(CHUNKS, "EIO", "fsync"))
            until(lambda: proves_right(TARGETS[1]) and disk.befallen("EIO") > 0, "it tries to sync")
            until(lambda: not figures(daemon)["disk_files"], "what could not be synced is given up")
            disk.lift()
            until(lambda: proves_right(TARGETS[1]) and figures(daemon)["disk_files"] > 0, "it keeps again")
        with running(command, folder.parent, mountpoint, base / "home") as daemon:
            before = disk.befallen("EIO")
            disk.befall(Fault(CHUNKS, "EIO", "read"))
            assert (mountpoint / folder.name / TARGETS[1]).read_bytes() == right[TARGETS[1]]
            assert disk.befallen("EIO") > before
            assert "Traceback" not in daemon.log
