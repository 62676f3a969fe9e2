"""llama.cpp says from a mount what it said from upstream's files: a sample of `make families-run`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.fsd.mounting import PRISMFS, ROOT, running
from tests.oracle.families.greedy import EXPECTED, NAMES
from tests.oracle.families.variant import load, variants_by_name
from translators.families import family_of

RESULTS = ROOT / "tests" / "heavy" / "llama" / "results.json"


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


def test_llama_cpp_evaluated_a_variant_of_every_kind() -> None:
    """As `make families-run --write` found: nothing differs, and no architecture is refused altogether."""
    results: dict[str, str] = json.loads(RESULTS.read_text())
    assert {result.split(":")[0] for result in results.values()} <= {"equal", "close", "refused"}
    by_arch = defaultdict(list)
    for name, variant in variants_by_name().items():
        if name in results:
            by_arch[family_of(variant.config).arch].append(results[name])
    assert [arch for arch, found in by_arch.items() if all(map(_is_refused, found))] == []


def _is_refused(result: str) -> bool:
    return result.startswith("refused")
