"""How long `ls -lR` of many models takes: `make bench-listing`, or `python -m tests.heavy.listing --help`.

Builds a few tiny models once and makes many of them: hard links to the weights, a configuration of each
one's own, so that no two plans are alike. Each round has a daemon of its own for each adapter:

    cold      the first listing of a daemon just mounted, with no plan kept anywhere
    warm      the second one
    restart   the first listing of another daemon, with the plans that the first one kept

Prints medians, the number of entries, and the seconds of processor time that daemon and planning took.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.fsd.mounting import ADAPTERS, PRISMFS, Daemon, children, running
from tests.tiny_models import TYPES, build
from tests.tiny_variants import MODELS

KINDS = ("llama-mha", "Qwen3-0.6B", "TinyLlama_v1.1-Chat", "Mistral-7B-Instruct-v0.1")
PHASES = ("cold", "warm", "restart")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Measured:
    """Of one adapter: seconds and processor seconds of each round by phase, and entries listed."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {phase: [] for phase in PHASES})
    processor: dict[str, list[float]] = field(default_factory=lambda: {phase: [] for phase in PHASES})
    entries: int = 0


def many(directory: Path, count: int) -> Path:
    """A directory of `count` models below `directory`."""
    kinds = [build(MODELS[name], directory / "kinds") for name in KINDS]
    models = directory / "models"
    for number in range(count):
        kind = kinds[number % len(kinds)]
        model = models / f"{kind.name}-{number:04d}"
        shutil.copytree(kind, model, copy_function=os.link)
        config = json.loads((kind / "config.json").read_text())
        (model / "config.json").unlink()
        changed = config | {"max_position_embeddings": 4096 + number}
        (model / "config.json").write_text(json.dumps(changed, indent=2))
    return models


def measure(models: Path, scratch: Path, fuse: str, types: Sequence[str], found: Measured) -> None:
    """One round of one adapter, added to `found`."""
    home, mountpoint = scratch / "home", scratch / "mnt"
    shutil.rmtree(home, ignore_errors=True)
    options = ("--fuse", fuse, "--types", ",".join(types), "--no-cache")
    command = (*PRISMFS, "mount", *options, str(models), str(mountpoint))
    for phases in (("cold", "warm"), ("restart",)):
        with running(command, models, mountpoint, home) as daemon:
            for phase in phases:
                before, started = _processor(daemon), time.perf_counter()
                listed = subprocess.run(
                    ["ls", "-lR", str(mountpoint)], check=True, capture_output=True, env={"LC_ALL": "C"}
                )
                found.seconds[phase].append(time.perf_counter() - started)
                found.processor[phase].append(_processor(daemon) - before)
                found.entries = sum(line.startswith(b"-") for line in listed.stdout.splitlines())


def _processor(daemon: Daemon) -> float:
    """Seconds of processor time that the daemon and its planning processes have had."""
    total = 0.0
    pids = [daemon.process.pid]
    for pid in pids:
        pids += children(pid)  # to the last grandchild
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11:13])) / _TICKS
    return total


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--types", type=int, default=20, help="how many GGUF types are listed")
    parser.add_argument("--fuse", choices=ADAPTERS, action="append", help="one adapter only")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    adapters = arguments.fuse or list(ADAPTERS)
    found = {fuse: Measured() for fuse in adapters}
    with tempfile.TemporaryDirectory(prefix="prismfs-listing-") as directory:
        models = many(Path(directory), arguments.models)
        for _ in range(arguments.rounds):
            for fuse in adapters:
                measure(models, Path(directory), fuse, TYPES[: arguments.types], found[fuse])
    if arguments.json:
        print(json.dumps({fuse: vars(measured) for fuse, measured in found.items()}, indent=2))
        return 0
    print(f"{arguments.models} models, {arguments.types} types, medians of {arguments.rounds}")
    for fuse, measured in found.items():
        for phase in PHASES:
            seconds, processor = median(measured.seconds[phase]), median(measured.processor[phase])
            print(f"{fuse:8} {phase:8} {seconds:6.2f} s  {processor:6.2f} s of processor time", end="")
            print(f"  {measured.entries:,} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
