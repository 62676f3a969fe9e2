"""llama.cpp says from a mount what it said from upstream's files: a sample of `make families-run`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.fsd.mounting import PRISMFS, ROOT, running
from tests.oracle.families.greedy import EXPECTED, NAMES
from tests.oracle.families.variant import load, variants_by_name


def test_llama_cpp_goes_on_as_from_upstreams_files(tmp_path: Path) -> None:
    expected = json.loads(EXPECTED.read_text())
    assert list(expected) == list(NAMES)
    source, mountpoint = tmp_path / "models", tmp_path / "mnt"
    files = []
    for name in NAMES:
        golden = load(variants_by_name()[name])
        variants_by_name()[name].build(source, golden["inventory"])
        files.append(mountpoint / name / f"model.gguf-{golden['own']}")
    command = (*PRISMFS, "mount", str(source), str(mountpoint))
    # llama.cpp runs in a process of its own: a fault in a map would end it.
    asked = [sys.executable, "-m", "tests.oracle.families.greedy", *map(str, files)]
    with running(command, source, mountpoint, tmp_path / "home"):
        done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert dict(zip(NAMES, json.loads(done.stdout), strict=True)) == expected
