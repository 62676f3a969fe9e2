"""A variant of each family: any range of its files is that part of the whole, and costs little of the source.

All variants, and many more ranges: `make families-ranges`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle.families import large
from tests.oracle.families.comparison import plans_in
from tests.oracle.families.conftest import Planned
from tests.oracle.families.ranges import READ, TINY_READ, check_bound, check_ranges, costs, files_of
from tests.oracle.families.variant import variants_by_name

SAMPLE = {variant.family: variant.name for variant in reversed(variants_by_name().values())}


@pytest.mark.parametrize("name", sorted(SAMPLE.values()))
def test_any_range_is_that_part_of_the_whole_and_costs_little(planned: Planned, name: str) -> None:
    for kind, layout in files_of(planned(name)):
        check_ranges(layout, 60)
        check_bound(f"{name}, {kind}", costs(layout, TINY_READ, 20))
        layout.close()


@pytest.mark.parametrize("name", sorted(large.chosen()))
def test_reads_of_large_models_cost_little(name: str, tmp_path: Path) -> None:
    for kind, layout in files_of(plans_in(large.build(large.chosen()[name], tmp_path))):
        check_bound(f"{name}, {kind}", costs(layout, READ, 12))
        layout.close()
