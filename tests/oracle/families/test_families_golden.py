"""Every variant of every family: its GGUF files are upstream's, and any range is that part of the whole.

The digests in golden/ come from upstream itself (regenerate.py); only this project's own code runs here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import translators
from tests.oracle.families.comparison import differs, whole
from tests.oracle.families.conftest import Planned
from tests.oracle.families.variant import GOLDEN, load, targets, variants_by_name
from tests.tiny_models import fingerprint

_NAMES = tuple(variants_by_name())
_TARGETS = [(name, target) for name in _NAMES for target in targets(load(variants_by_name()[name]))]
_OWN = [(name, f"model.gguf-{load(variants_by_name()[name])['own']}") for name in _NAMES]
_OWN += [(name, target) for name, target in _TARGETS if target.startswith("mmproj-")]
_RANGES = 200


def test_every_golden_file_has_its_variant() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(_NAMES)


@pytest.mark.parametrize("name", _NAMES)
def test_the_folder_is_what_the_digests_were_made_from(tmp_path: Path, name: str) -> None:
    variant = variants_by_name()[name]
    golden = load(variant)
    assert fingerprint(variant.build(tmp_path, golden["inventory"])) == golden["folder"]


@pytest.mark.parametrize(("name", "target"), _TARGETS)
def test_a_file_is_upstreams(planned: Planned, name: str, target: str) -> None:
    variant = variants_by_name()[name]
    assert differs(variant, load(variant), target, whole(planned(name), target)) == ""


def test_what_upstream_refuses_is_refused(planned: Planned) -> None:
    for name in _NAMES:
        for kind in load(variants_by_name()[name])["refused"]:
            assert isinstance(planned(name)[f"model.gguf-{kind}"], translators.Refusal), (name, kind)


@pytest.mark.parametrize(("name", "target"), _OWN)
def test_any_range_is_that_part_of_the_whole(planned: Planned, name: str, target: str) -> None:
    plan = planned(name)[target]
    assert isinstance(plan, translators.Plan)
    layout = plan.layout()
    data = layout.read(0, layout.size)
    random = np.random.default_rng(seed=3)
    # Lengths from 0 to 64 KiB, most of them small; every boundary of a segment.
    lengths = (2.0 ** random.uniform(0, 16, _RANGES)).astype(np.int64) - 1
    edges = np.cumsum([segment.length for segment in layout.segments])
    near = random.choice(edges, _RANGES // 2) + random.integers(-40, 40, _RANGES // 2)
    starts = np.concatenate([np.clip(near, 0, layout.size), random.integers(0, layout.size, _RANGES // 2)])
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        assert layout.read(start, length) == data[start : start + length], (start, length)
    layout.close()
