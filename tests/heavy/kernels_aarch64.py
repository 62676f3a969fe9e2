"""`make kernels-aarch64`: the portable kernels, compiled for aarch64, against libggml's x86-64 bytes.

A cross compiler builds them into a program of their own (kernels_aarch64.c), which qemu's user emulation
runs: every type, from each source type, without and with column weights, edge cases and random rows. Not one
byte may differ, but in blocks that upstream refuses: a NaN in a scale has another sign there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np

from tests.translators import kernel_cases as cases
from translators.dtypes import DTYPES
from translators.quants.validity import first_bad

_HERE = Path(__file__).resolve().parent
_KERNELS = _HERE.parents[1] / "translators" / "quants" / "kernels"
_FLAGS = (
    "-std=c11", "-O3", "-static", "-DBUILD=portable",
    "-ffp-contract=off", "-fno-fast-math", "-fno-math-errno",
)  # fmt: skip
_SCALES = (1e-4, 0.02, 30.0)


def main() -> int:
    """Compile, compare, print a line a type; 1 if anything differs."""
    options = argparse.ArgumentParser(prog="python -m tests.heavy.kernels_aarch64", description=__doc__)
    options.add_argument("--weights", type=int, default=60_000, help="random ones, for each of three scales")
    options.add_argument("--types", nargs="+", default=cases.TYPES[1:], choices=cases.TYPES[1:])
    chosen = options.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        program = _compiled(Path(name))
        rows = [cases.random_rows(seed, chosen.weights, scale) for seed, scale in enumerate(_SCALES)]
        values = np.concatenate([cases.edges(), *rows])
        for target, weighted in product(chosen.types, (False, True)):
            if weighted and target not in cases.WEIGHTED:
                continue
            for source in cases.SOURCES:
                found = _compare(program, target, source, values, weighted)
                wrong += found
                what = f"{source:>4} -> {target:6} {'weighted' if weighted else '':8}"
                print(f"{what} {values.size:,} weights: {found} blocks differ", flush=True)
    return 1 if wrong else 0


def _compiled(work: Path) -> Path:
    program = work / "kernels"
    sources = [str(path) for path in sorted(_KERNELS.glob("*.c")) if path.name != "dispatch.c"]
    own = str(_HERE / "kernels_aarch64.c")
    command = ["aarch64-linux-gnu-gcc", *_FLAGS, f"-I{_KERNELS}", *sources, own, "-lm", "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def _compare(program: Path, target: str, source: str, values: cases.Floats, weighted: bool) -> int:
    """How many blocks differ, of those that upstream would accept."""
    kind = DTYPES[target]
    raw = cases.stored(values, source)
    columns = cases.columns(1, cases.ROW) if weighted else None
    rows = values.size // cases.ROW
    numbers = (kind.gguf, DTYPES[source].gguf, rows, cases.ROW, kind.nbytes(values.size))
    command = ["qemu-aarch64", str(program), *map(str, numbers), *(["columns"] if weighted else [])]
    given = (b"" if columns is None else columns.tobytes()) + raw.tobytes()
    made = np.frombuffer(
        subprocess.run(command, input=given, check=True, capture_output=True).stdout, np.uint8
    )
    wanted = cases.reference(target, cases.widened(raw, source), columns)
    bad = cases.differing(kind, made, wanted)
    return sum(first_bad(kind, wanted[block * kind.size :][: kind.size]) is None for block in bad)


if __name__ == "__main__":
    sys.exit(main())
