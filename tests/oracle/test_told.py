"""What is told of a file without its layout (size, identity, cost) is what its layout says, for each."""

from __future__ import annotations

from pathlib import Path

import pytest

import translators
from tests.oracle.conftest import Planned, Plans
from tests.tiny_smollm2 import NAMES
from tests.tiny_variants import MODELS
from translators.layout import Layout
from translators.plan import Told


@pytest.mark.parametrize("name", (*MODELS, *NAMES))
def test_what_is_told_is_what_the_layout_says(planned: Planned, name: str) -> None:
    plans = planned(name)
    assert _compared(plans) == sum(isinstance(plan, translators.Plan) for plan in plans.values()) > 0


@pytest.mark.parametrize("kind", ["bf16", "q4_0", "q6_k"])
def test_the_same_of_a_gguf(planned: Planned, tmp_path: Path, kind: str) -> None:
    plan = planned("llama-mha")[f"model.gguf-{kind}"]
    assert isinstance(plan, translators.Plan)
    source = tmp_path / "source.gguf"
    source.write_bytes(plan.layout().read(0, plan.size))
    assert _compared(translators.plans(translators.open_model(source))) > 10


def test_files_of_one_shape_are_told_apart(planned: Planned, tmp_path: Path) -> None:
    """Two models that share every outline have no identity in common."""
    plan = planned("llama-mha")["model.gguf-bf16"]
    assert isinstance(plan, translators.Plan)
    whole = plan.layout().read(0, plan.size)
    identities: list[str] = []
    for name in ("one.gguf", "other.gguf"):
        (tmp_path / name).write_bytes(whole)
        plans = translators.plans(translators.open_model(tmp_path / name))
        identities += (plan.told.identity for plan in plans.values() if isinstance(plan, translators.Plan))
    assert len(set(identities)) == len(identities) > 20


def _compared(plans: Plans) -> int:
    """How many plans there were, none of which told anything but what its layout says."""
    count = 0
    for name, plan in plans.items():
        if isinstance(plan, translators.Plan):
            layout = plan.layout()
            said = Told(layout.size, layout.identity, layout.translated, layout.source_bytes)
            assert plan.told == said, name
            assert Layout.decoded(layout.encoded()).identity == said.identity
            count += 1
    return count
