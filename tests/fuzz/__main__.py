"""Fuzz the parsers, one after the other: python -m tests.fuzz [--seconds 600] [--parser gguf] ...

For each parser a process of its own (`target.py`, in the environment of environment.sh) runs for so many
seconds of processor time, from its seeds, from tests/fuzz/corpus and from what earlier runs kept. What shows
a bug is made smaller and put into tests/fuzz/corpus, where `make test` gives it to the parser from then on;
the exit code is 1 then. `--keep` also puts inputs there that reached something new, as far as there is room.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.fuzz.folders import packed
from tests.fuzz.judging import MEMORY, SECONDS, bounded, judge, kind_of
from tests.fuzz.parsers import PARSERS, Parser
from tests.fuzz.smaller import smaller

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).resolve().parent / "corpus"
WORK = Path(os.environ.get("PRISMFS_FUZZ") or ROOT / ".fuzz")
LONGEST = 32_000  # bytes of an input
ROOM = 14_000  # bytes that are kept of a parser's corpus by --keep
_STATUS = re.compile(r"^#(\d+)\s.*cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
_ENDED = re.compile(r"^#(\d+) ended$", re.MULTILINE)
_SUFFIXES = ("crash", "timeout", "oom", "leak", "slow-unit")


@dataclass(frozen=True)
class Run:
    """What came of fuzzing a parser: inputs tried, edges and features reached, inputs kept, bugs shown."""

    tried: int
    edges: int
    features: int
    kept: int
    faults: tuple[str, ...]


def fuzz(parser: Parser, seconds: int) -> Run:
    """Fuzz one parser."""
    corpus = WORK / "corpus" / parser.name
    corpus.mkdir(parents=True, exist_ok=True)
    for files in parser.seeds():
        _add(corpus, packed(files, parser.names))
    for path in _regressions(parser):
        _add(corpus, path.read_bytes())
    with tempfile.TemporaryDirectory(prefix="prismfs-fuzz-") as found:
        # libFuzzer's own limits, of time as it passes, are for what Python cannot stop: a loop in C, memory
        # that C takes.
        most = int(SECONDS * 40)
        output = _target(
            parser, seconds, corpus, found, f"-max_len={LONGEST}", "-len_control=0", f"-timeout={most}",
            f"-report_slow_units={most}", f"-rss_limit_mb={MEMORY * 3 >> 20}",
        )  # fmt: skip
        tried, edges, features, kept = (_STATUS.findall(output) or [("0", "0", "0", "0")])[-1]
        tried = (_ENDED.findall(output) or [tried])[-1]
        faults = [fault for path in sorted(Path(found).iterdir()) for fault in _noted(parser, path)]
    if tried == "0":
        sys.exit(f"{parser.name}: atheris did not run:\n{output[-4000:]}")
    return Run(int(tried), int(edges), int(features), int(kept), tuple(faults))


def _target(parser: Parser, seconds: int, corpus: Path, found: str, *arguments: str) -> str:
    python = WORK / "environment" / "bin" / "python"
    command = [str(python), "-m", "tests.fuzz.target", parser.name, str(seconds), str(corpus), found]
    environment = {**os.environ, "RUST_BACKTRACE": "0", "PYTHONPATH": str(ROOT), "TMPDIR": found}
    done = subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout.decode("utf-8", "replace")


def _noted(parser: Parser, path: Path) -> list[str]:
    """What an input that was found shows, if it is one; it is made smaller and kept."""
    if not path.is_file() or path.suffix == ".txt":
        return []
    data = path.read_bytes()
    told = path.with_suffix(".txt")
    with tempfile.TemporaryDirectory(prefix="prismfs-fuzz-") as directory:
        fault = judge(parser, data, Path(directory))
        if fault:
            kind = kind_of(fault)
            data = smaller(data, lambda less: kind_of(judge(parser, less, Path(directory))) == kind)
        elif path.name.startswith(_SUFFIXES):
            fault = f"{path.name.partition('-')[0]} of libFuzzer's"
        else:  # of the limits of the other process; what took nearly too long there is kept as well
            fault = told.read_text().strip() if told.exists() else "seen once"
    (CORPUS / parser.name).mkdir(parents=True, exist_ok=True)
    return [f"{fault}  ({_add(CORPUS / parser.name, data).relative_to(ROOT)})"]


def keep(parser: Parser) -> None:
    """Put inputs that reached something new into tests/fuzz/corpus, small ones first; no seeds."""
    seeds = {packed(files, parser.names) for files in parser.seeds()}
    (CORPUS / parser.name).mkdir(parents=True, exist_ok=True)
    kept = {path.read_bytes() for path in _regressions(parser)}
    room = ROOM - sum(map(len, kept))
    inputs = {path.read_bytes() for path in (WORK / "corpus" / parser.name).iterdir()} - seeds - kept
    for data in sorted(inputs, key=len):
        room -= len(data)
        if room < 0:
            break
        _add(CORPUS / parser.name, data)


def _regressions(parser: Parser) -> list[Path]:
    return sorted((CORPUS / parser.name).glob("*"))


def _add(directory: Path, data: bytes) -> Path:
    path = directory / sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    return path


def main(arguments: Sequence[str]) -> int:
    """Fuzz what is asked for; print a line for each parser, and each bug that was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the parsers.")
    parser.add_argument(
        "--seconds", type=int, default=600, help="of processor time, for each parser (default: 600)"
    )
    parser.add_argument("--parser", action="append", choices=[each.name for each in PARSERS])
    parser.add_argument(
        "--keep", action="store_true", help="put what reached something new into tests/fuzz/corpus"
    )
    asked = parser.parse_args(arguments)
    bounded()
    bugs = 0
    print(f"{'parser':18} {'inputs':>9} {'edges':>7} {'features':>9} {'kept':>6}  bugs", flush=True)
    for each in PARSERS:
        if asked.parser and each.name not in asked.parser:
            continue
        run = fuzz(each, asked.seconds)
        bugs += len(run.faults)
        print(
            f"{each.name:18} {run.tried:9,} {run.edges:7,} {run.features:9,} {run.kept:6,}  {len(run.faults)}"
        )
        for fault in run.faults:
            print(f"    {fault}")
        sys.stdout.flush()
        if asked.keep:
            keep(each)
    return 1 if bugs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
