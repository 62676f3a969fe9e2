"""Every tiny model, mounted: llama.cpp evaluates it from the mount and from the file that upstream makes.

    python -m tests.heavy.llama [--types q8_0] [--write] [NAME ...]        # `make families-run`

Upstream's converter makes the file of the model's own precision out of the same folder, and its quantiser
the others; logits (an embedding model's embeddings) must be equal in every bit. What llama.cpp refuses in
upstream's own file is counted and told with its reason. --write keeps what was found in results.json, which
docs/MODELS.md shows. Needs what tests/oracle/environment.sh builds; PRISMFS_ORACLE says where.
Ends with 1 only where llama.cpp does with a file of the mount what it does not do with upstream's.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.fsd.mounting import running
from tests.heavy.llama.ending import ended_by_signals
from tests.heavy.llama.outcome import Llama, compared
from tests.heavy.llama.tiny import Tiny, every
from tests.oracle.families.comparison import FAMILIES
from tests.oracle.families.regenerate import Failed, Upstream
from tests.oracle.regenerate import quantise

RESULTS = Path(__file__).with_name("results.json")
DAEMON = (sys.executable, "-m", "tests.heavy.llama.daemon")


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=[""])
    parser.add_argument("--types", nargs="*", default=["q8_0"], help="besides that of the own precision")
    parser.add_argument("--write", action="store_true", help="keep the results")
    chosen = parser.parse_args()
    models = every(tuple(chosen.names))
    with ended_by_signals(), tempfile.TemporaryDirectory(prefix="prismfs-llama-") as directory:
        results = _results(models, chosen.types, Path(directory).resolve())
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    told = {name: _summary(kinds) for name, kinds in results.items()}
    if chosen.write:
        ordered = {name: told.get(name, known.get(name)) for name in every() if name in {**known, **told}}
        RESULTS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    _print(models, told)
    return any(each.startswith("DIFFERS") for each in told.values())


def _is_good(result: str) -> bool:
    return result == "equal" or result.startswith("close")


def _results(models: dict[str, Tiny], types: list[str], base: Path) -> dict[str, dict[str, str]]:
    """By model and type."""
    source, mountpoint, found = base / "models", base / "mnt", {}
    for model in models.values():
        model.build(source)
    command = (*DAEMON, "mount", str(source), str(mountpoint))
    with (
        running(command, source, mountpoint, base / "home") as daemon,
        Upstream() as upstream,
        Llama() as llama,
    ):
        for name, model in models.items():
            found[name] = _of(model, types, source, daemon.mountpoint, upstream=upstream, llama=llama)
            print(f"{name:40} {found[name]}", file=sys.stderr, flush=True)
    return found


def _of(
    model: Tiny, types: list[str], source: Path, mountpoint: Path, *, upstream: Upstream, llama: Llama
) -> dict[str, str]:
    """What is found of one model, by type."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        own = work / f"{model.own}.gguf"
        request = {
            "convert": str(source / model.name), "target": str(own), "type": model.own,
            "options": list(model.options),
        }  # fmt: skip
        try:
            upstream.ask(model.name, request)
        except Failed as failure:
            return {model.own: f"DIFFERS: upstream has no file: {str(failure).splitlines()[-1]}"}
        others = [kind for kind in types if kind != model.own]
        quantise(own, work, others)
        found = {}
        for kind in (model.own, *others):
            if (theirs := work / f"{kind}.gguf").exists():
                mine = llama.evaluated(mountpoint / model.name / f"model.gguf-{kind}")
                found[kind] = compared(mine, llama.evaluated(theirs), close=model.close)
        return found


def _summary(kinds: dict[str, str]) -> str:
    """The worst of the types: what differs, else what is refused, else what is not equal in every bit."""
    for start in ("DIFFERS", "refused", "equal, ", "close"):
        for kind, result in kinds.items():
            if result.startswith(start):
                return result if start != "DIFFERS" else f"DIFFERS: {kind}{result.removeprefix('DIFFERS')}"
    return "equal"


def _print(models: dict[str, Tiny], told: dict[str, str]) -> None:
    """A line a family, and one of each model that is not equal in every bit."""
    for family in sorted({model.family for model in models.values()}):
        names = [name for name, model in models.items() if model.family == family]
        good = sum(_is_good(told[name]) for name in names)
        print(f"{family:2} {FAMILIES[family]:36} {good} of {len(names)} evaluated as upstream's file is")
        for name in names:
            if told[name] != "equal":
                print(f"     {name}: {told[name]}")
    counts = Counter(result.split(":")[0] for result in told.values())
    print(f"{len(told)} models: {', '.join(f'{count} {kind}' for kind, count in counts.most_common())}")


if __name__ == "__main__":
    sys.exit(main())
