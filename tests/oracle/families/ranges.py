"""Ranges of every variant's files: equal to that part of the whole, and what they cost of the source.

    python -m tests.oracle.families.ranges [NAME ...]      # `make families-ranges`

Of each variant the files of its own precision, q8_0 and q4_k_m: ranges of all lengths at random, and at the
boundaries of tensors. Then what one read costs: bytes read of the source for each byte shown, and how many it
cannot do without: the file's own type takes its own bytes, but a byte of q4_k is 1.8 weights, which are 3.6
bytes of bf16. The bound is for what is read of each byte that is needed. The rows of tiny models are about a
sixteenth of real ones, and so are the reads that count; `large` has real shapes, and reads of 128 KiB.
Prints medians by family and of all. Leaves with 1 where bytes differ or a median is beyond the bound.
"""

from __future__ import annotations

import sys
import tempfile
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import translators
from tests.oracle.families import large
from tests.oracle.families.comparison import FAMILIES, plans_in, plans_of
from tests.oracle.families.variant import load, variants_by_name
from translators.layout import Layout, TensorBytes

TYPES = ("q8_0", "q4_k_m")
BOUND = 2.5
TINY_READ, READ = 8 << 10, 128 << 10


Results = dict[int, dict[str, list["Cost"]]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a read took of the source for each byte shown, and what that byte is made of."""

    read: float
    least: float

    @property
    def per_needed(self) -> float:
        """Bytes read for each that is needed."""
        return self.read / self.least


def files_of(plans: dict[str, Any]) -> Iterator[tuple[str, Layout]]:
    """The files compared, by type; those that upstream's tool refuses are left out."""
    own = next(plan for plan in plans.values() if isinstance(plan, translators.Plan) and _is_own(plan))
    yield "own", own.layout()
    for name in TYPES:
        plan = plans.get(f"model.gguf-{name}")
        if isinstance(plan, translators.Plan) and plan is not own:
            yield name, plan.layout()


def _is_own(plan: translators.Plan) -> bool:
    return plan.own and plan.name.startswith("model.gguf-")


def check_ranges(layout: Layout, count: int, seed: int = 2) -> None:
    """Read `count` ranges and compare them with the whole. Raises AssertionError."""
    whole = layout.read(0, layout.size)
    assert len(whole) == layout.size
    random = np.random.default_rng(seed)
    lengths = (2.0 ** random.uniform(0, 16, count)).astype(np.int64) - 1
    starts = random.integers(0, layout.size, count)
    edges = np.cumsum([segment.length for segment in layout.segments])
    near = random.choice(edges, count // 3) + random.integers(-40, 40, count // 3)
    starts[: count // 3] = np.clip(near, 0, layout.size)
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        assert layout.read(start, length) == whole[start : start + length], (start, length)


def costs(layout: Layout, read: int, count: int, seed: int = 3) -> list[Cost]:
    """What `count` reads of `read` bytes among the tensors cost; those of literal tensors cost nothing."""
    random = np.random.default_rng(seed)
    lengths = [segment.length for segment in layout.segments]
    begins = list(accumulate(lengths, initial=0))
    first = next(start for start, segment in zip(begins, layout.segments, strict=False) if _made(segment))
    found = []
    for start in random.integers(first, max(first + 1, layout.size - read), count).tolist():
        needed = _needed(layout, begins, start, read)
        before = layout.sources.bytes_read
        shown = len(layout.read(start, read))
        taken = layout.sources.bytes_read - before
        if needed:
            found.append(Cost(taken / shown, needed / shown))
    return found


def _made(segment: object) -> bool:
    return isinstance(segment, TensorBytes) and segment.recipe.source_bytes > 0


def _needed(layout: Layout, begins: list[int], start: int, read: int) -> float:
    """The source bytes that a range is made of, each tensor's in proportion."""
    total, at = 0.0, bisect_right(begins, start) - 1
    while at < len(layout.segments) and begins[at] < start + read:
        segment = layout.segments[at]
        shown = min(begins[at + 1], start + read) - max(begins[at], start)
        if isinstance(segment, TensorBytes):
            total += shown / segment.length * segment.recipe.source_bytes
        at += 1
    return total


def check_bound(what: str, found: list[Cost]) -> None:
    """Raise AssertionError where the median is beyond the bound."""
    typical = median(cost.per_needed for cost in found)
    assert typical <= BOUND, f"{what}: {typical:.2f} bytes of the source are read for each that is needed"


def _table(results: Results) -> list[str]:
    """Print medians by family, and of all; what is beyond the bound."""
    kinds = ("own", *TYPES)
    print(" " * 39 + "".join(f"{kind + ': read / least':>22}" for kind in kinds))
    beyond = []
    for family, found in sorted(results.items()):
        print(f"{family:2} {FAMILIES[family]:36}" + "".join(f"{_medians(found[kind]):>22}" for kind in kinds))
        for kind in kinds:
            typical = median(cost.per_needed for cost in found[kind]) if found[kind] else 0.0
            if typical > BOUND:
                beyond.append(f"family {family}, {kind}: {typical:.2f} is beyond {BOUND}")
    every = {kind: [cost for found in results.values() for cost in found[kind]] for kind in kinds}
    print(f"{'all':39}" + "".join(f"{_medians(every[kind]):>22}" for kind in kinds))
    for kind in kinds:
        if every[kind]:
            typical = median(cost.per_needed for cost in every[kind])
            print(f"  {kind}: {typical:.2f} bytes are read for each that is needed, the bound is {BOUND}")
    return beyond


def _medians(found: list[Cost]) -> str:
    if not found:
        return "-"
    return f"{median(cost.read for cost in found):.2f} / {median(cost.least for cost in found):.2f}"


def main(names: list[str]) -> int:
    """Check the variants whose names begin with one of `names`, or all, and print the table."""
    results: Results = defaultdict(lambda: defaultdict(list))
    wrong: list[str] = []
    ranges = 0
    for variant in variants_by_name().values():
        if names and not variant.name.startswith(tuple(names)):
            continue
        with tempfile.TemporaryDirectory() as directory:
            for kind, layout in files_of(plans_of(variant, load(variant), Path(directory))):
                try:
                    check_ranges(layout, 1000)
                    ranges += 1000
                except AssertionError as error:
                    wrong.append(f"{variant.name}, {kind}: {error}")
                results[variant.family][kind] += costs(layout, TINY_READ, 100)
                layout.close()
    print("tiny models, reads of 8 KiB: bytes of the source read for each byte shown / that it is made of")
    wrong += _table(results)
    wide: Results = defaultdict(lambda: defaultdict(list))
    for name, variant in large.chosen().items():
        if names and not name.startswith(tuple(names)):
            continue
        with tempfile.TemporaryDirectory() as directory:
            for kind, layout in files_of(plans_in(large.build(variant, Path(directory)))):
                wide[variant.family][kind] += costs(layout, READ, 100)
                layout.close()
    print("widths of real models, reads of 128 KiB: the same")
    wrong += _table(wide)
    print(*wrong, f"{ranges:,} ranges, {len(wrong)} faults", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
