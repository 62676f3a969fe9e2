"""`make kernels-check`: all kernels, all builds, against libggml on millions of weights; no byte may differ.

For each type, source type, and without and with column weights: random rows at three scales, ten and a half
million weights unless told otherwise, and the edge cases. `--library` compares with another libggml-base too.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np

from tests.translators import kernel_cases as cases
from translators.dtypes import DTYPES
from translators.quants import kernels

SCALES = (1e-4, 0.02, 30.0)
PIECE = 256 * 3 * 700  # weights at a time


def main() -> int:
    """Compare, print a line for each type and source, exit with 1 if anything differs."""
    options = argparse.ArgumentParser(prog="python -m tests.heavy.kernels", description=__doc__)
    options.add_argument("--weights", type=int, default=10_500_000, help="random weights for each of them")
    options.add_argument("--types", nargs="+", default=cases.TYPES, choices=cases.TYPES)
    options.add_argument("--builds", nargs="+", default=kernels.builds(), choices=kernels.BUILDS)
    options.add_argument("--library", type=Path, help="another libggml-base to compare with as well")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    if not kernels.builds():
        sys.exit("the kernels are not built: make kernels")
    libraries: list[ctypes.CDLL | None] = [None]
    if chosen.library:
        libraries.append(ctypes.CDLL(str(chosen.library)))
    missing = [name for name in kernels.BUILDS if name not in kernels.builds()]
    print(f"builds: {' '.join(chosen.builds)}; not on this machine: {' '.join(missing) or 'none'}")
    wrong = checked = 0
    for target, weighted in product(chosen.types, (False, True)):
        if weighted and target not in cases.WEIGHTED:
            continue
        for source in cases.SOURCES:
            started = time.monotonic()
            count, differing = _compare(target, source, weighted, libraries, chosen)
            wrong += differing
            checked += count * len(chosen.builds) * len(libraries)
            what = f"{source:>4} -> {target:6} {'weighted' if weighted else '':8} {count:>11,} weights"
            seconds = time.monotonic() - started
            print(
                f"{what}, {len(chosen.builds)} builds: {differing} blocks differ ({seconds:.0f} s)",
                flush=True,
            )
    print(f"{checked:,} comparisons of weights, {wrong} differing blocks")
    return 1 if wrong else 0


def _compare(
    target: str,
    source: str,
    weighted: bool,
    libraries: list[ctypes.CDLL | None],
    chosen: argparse.Namespace,
) -> tuple[int, int]:
    """How many weights were compared, and how many blocks of any build differed."""
    pieces = -(-chosen.weights // PIECE)
    count = differing = 0
    for piece in range(pieces + 1):
        if piece == pieces:
            rows = cases.edges(chosen.seed)
        else:
            rows = cases.random_rows(chosen.seed + piece, PIECE, SCALES[piece % len(SCALES)])
        raw = cases.stored(rows, source)
        values = cases.widened(raw, source)
        weights = cases.columns(chosen.seed + piece, cases.ROW) if weighted else None
        found = [cases.ours(target, raw, source, build, weights) for build in chosen.builds]
        for library in libraries:
            wanted = cases.reference(target, values, weights, library)
            for build, made in zip(chosen.builds, found, strict=True):
                bad = cases.differing(DTYPES[target], made, wanted)
                differing += bad.size
                if bad.size:
                    print(f"  {build}: piece {piece}, first block {bad[0]}: {_shown(values, target, bad[0])}")
        count += values.size
    return count, differing


def _shown(values: cases.Floats, target: str, block: np.intp) -> str:
    size = DTYPES[target].block
    return np.array2string(values[block * size :][:8])


if __name__ == "__main__":
    sys.exit(main())
