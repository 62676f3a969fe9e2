"""What is told of a file without its layout (size, identity, cost) is what its layout says, for each."""

from __future__ import annotations

from pathlib import Path

import pytest

import translators
from tests.oracle.conftest import Planned, Plans, Weighted
from tests.oracle.weighted import columns_of
from tests.tiny_imatrices import MATRICES, TinyMatrix, write
from tests.tiny_smollm2 import NAMES
from tests.tiny_variants import MODELS
from translators.layout import Layout
from translators.plan import Told
from translators.sources import gguf
from translators.targets.gguf import NOIMAT

VERSION, TYPE = "general.quantization_version", "general.file_type"
SAID = [f"quantize.imatrix.{key}" for key in ("file", "dataset", "entries_count", "chunks_count")]


@pytest.mark.parametrize("name", (*MODELS, *NAMES))
def test_what_is_told_is_what_the_layout_says(planned: Planned, name: str) -> None:
    plans = planned(name)
    assert _compared(plans) == sum(isinstance(plan, translators.Plan) for plan in plans.values()) > 0


@pytest.mark.parametrize("kind", ["bf16", "q4_0", "q6_k"])
def test_the_same_of_a_gguf(planned: Planned, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source.gguf"
    source.write_bytes(_whole(planned("llama-mha"), f"model.gguf-{kind}"))
    assert _compared(translators.plans(translators.open_model(source))) > 10


@pytest.mark.parametrize("name", MATRICES)
def test_the_same_with_a_matrix_and_without(weighted: Weighted, name: str) -> None:
    plans = weighted(name)
    made = {name for name, plan in plans.items() if isinstance(plan, translators.Plan)}
    both = {name for name in made if f"{name}{NOIMAT}" in made}
    assert _compared(plans) == len(made)
    assert len(both) > 10
    for form in both:
        told, without = _plan(plans, form).told, _plan(plans, form + NOIMAT).told
        assert told.identity != without.identity


@pytest.mark.parametrize("file", ["imatrix.gguf", "imatrix.dat"])
def test_the_same_of_what_was_made_with_a_matrix(weighted: Weighted, tmp_path: Path, file: str) -> None:
    """The source tells of the first matrix, before other key-values: what is said of the second is last."""
    source = tmp_path / "source.gguf"
    source.write_bytes(_whole(weighted("llama-mha.imatrix.gguf"), "model.gguf-q5_k_m"))
    matrix = TinyMatrix("llama-mha", file, "output.weight", ())
    write(matrix, columns_of(source.read_bytes()), tmp_path)
    plans = translators.plans(translators.open_model(source))
    assert _compared(plans) > 40
    assert _keys(plans, "model.gguf-q4_k_m", tmp_path) == [VERSION, TYPE, *SAID]
    assert _keys(plans, f"model.gguf-q4_k_m{NOIMAT}", tmp_path) == [*SAID, VERSION, TYPE]


def test_files_of_one_shape_are_told_apart(planned: Planned, tmp_path: Path) -> None:
    """Two models that share every outline have no identity in common."""
    whole = _whole(planned("llama-mha"), "model.gguf-bf16")
    identities: list[str] = []
    for name in ("one.gguf", "other.gguf"):
        (tmp_path / name).write_bytes(whole)
        plans = translators.plans(translators.open_model(tmp_path / name))
        identities += (plan.told.identity for plan in plans.values() if isinstance(plan, translators.Plan))
    assert len(set(identities)) == len(identities) > 20


def _plan(plans: Plans, name: str) -> translators.Plan:
    plan = plans[name]
    assert isinstance(plan, translators.Plan), f"refused: {plan}"
    return plan


def _whole(plans: Plans, name: str) -> bytes:
    return bytes(_plan(plans, name).layout().read(0, _plan(plans, name).size))


def _keys(plans: Plans, name: str, folder: Path) -> list[str]:
    """Those of a file's keys that quantising adds, in its order."""
    path = folder / "made.gguf"
    path.write_bytes(_whole(plans, name))
    key_values = gguf.read(folder, [path.name], "made").key_values or ()
    return [key for key in key_values if key in (VERSION, TYPE, *SAID)]


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
