"""How long planning takes, and how much memory: Llama 3 70B and DeepSeek V3 671B FP8 in their real shapes.

    python -m benchmarks.planning [--only NAME] [--json FILE]

Sparse files and real headers, configurations and vocabularies (`real_shapes`). Of each, in fresh processes:
what one GGUF target takes from opening the folder to a layout whose identity is known, and what the listing
of all forms takes; the imports apart. Then by a mount: `ls -l` of the model with nothing kept, again, and
after the daemon was started anew. Page caches are warm. Fails where a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.daemon import mounted
from benchmarks.real_shapes import DEEPSEEK_V3, LLAMA_70B, Shape, build

# Seconds for one target, peak MB of it, seconds for `ls -l` after a restart.
_BOUNDS = {LLAMA_70B.name: (0.5, 300.0, 0.3), DEEPSEEK_V3.name: (6.0, 300.0, 0.3)}
TARGET = "model.gguf-q4_k_m"

# Prints [seconds of imports, MB after them, seconds of planning, peak MB].
_PROCESS = """
import json, sys, time
from benchmarks.daemon import peak_memory
def peak(): return peak_memory("self") / 1e6
began = time.perf_counter()
import translators
from translators import open_model, plans
imported, before = time.perf_counter(), peak()
found = plans(open_model(sys.argv[1]))
if sys.argv[2]:
    layout = found[sys.argv[2]].layout()
    assert len(layout.encoded()) and len(layout.identity)
else:
    assert sum(plan.told.size > 0 for plan in found.values() if hasattr(plan, "told")) > 10
print(json.dumps([imported - began, before, time.perf_counter() - imported, peak()]))
"""


def planned(folder: Path, target: str, rounds: int) -> dict[str, float]:
    """Medians of planning `target` of the model, or all that a listing tells if it is ""."""
    runs = [
        json.loads(subprocess.check_output([sys.executable, "-c", _PROCESS, str(folder), target]))
        for _ in range(rounds)
    ]
    keys = ("import seconds", "import MB", "seconds", "peak MB")
    return dict(zip(keys, map(median, zip(*runs, strict=True)), strict=True))


def listed(models: Path, work: Path, name: str) -> dict[str, float]:
    """Seconds of `ls -l` of one model: with no plan kept, again, after a restart of the daemon, again."""
    found: dict[str, float] = {}
    for phases in (("cold", "again"), ("restart", "restart, again")):
        with mounted(models, work, "--no-cache", keep_cache=True) as daemon:
            for phase in phases:
                found[f"ls -l {phase}"] = _ls(daemon.mount / name)
    return found


def _ls(folder: Path) -> float:
    began = time.perf_counter()
    lines = subprocess.check_output(["ls", "-l", str(folder)]).splitlines()
    seconds = time.perf_counter() - began
    if not any(TARGET.encode() in line for line in lines):
        raise RuntimeError(f"{TARGET} is not listed")
    return seconds


def measure(shape: Shape, models: Path, work: Path, rounds: int) -> dict[str, Any]:
    """All figures of one model."""
    folder = build(shape, models)
    return {
        "tensors": shape.tensors,
        "one target": planned(folder, TARGET, rounds),
        "listing": planned(folder, "", rounds),
        "mount": listed(models, work, shape.name),
    }


def main() -> int:
    """Measure, print, compare with the bounds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=sorted(_BOUNDS), help="one of the models")
    parser.add_argument("--rounds", type=int, default=3, help="processes of which the median counts")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    missed = []
    for shape in (LLAMA_70B, DEEPSEEK_V3):
        if arguments.only not in (None, shape.name):
            continue
        with tempfile.TemporaryDirectory(prefix="prismfs-planning-") as directory:
            models, work = Path(directory) / "models", Path(directory) / "work"
            models.mkdir()
            work.mkdir()
            figures = measure(shape, models, work, arguments.rounds)
        found[shape.name] = figures
        print(f"{shape.name}: {shape.tensors:,} tensors in {shape.shards} shards")
        for what in ("one target", "listing"):
            told = figures[what]
            print(
                f"  {what:12} {told['seconds']:6.2f} s, peak {told['peak MB']:4.0f} MB"
                f"  (imports apart: {told['import seconds']:.2f} s, {told['import MB']:.0f} MB)"
            )
        for phase, seconds in figures["mount"].items():
            print(f"  {phase:21} {seconds:6.3f} s")
        bounds = _BOUNDS[shape.name]
        told = figures["one target"]
        measured = (told["seconds"], told["peak MB"], figures["mount"]["ls -l restart"])
        names = ("s for one target", "MB at most", "s for ls -l after a restart")
        for value, bound, unit in zip(measured, bounds, names, strict=True):
            if value > bound:
                missed.append(f"{shape.name}: {value:.2f} {unit}, the bound is {bound:g}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    print(*(missed or ["all bounds are kept"]), sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
