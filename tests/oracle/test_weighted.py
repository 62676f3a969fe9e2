"""With an importance matrix beside it, every file of a model is what `llama-quantize --imatrix` makes (I10).

The digests come from upstream's own front end (weighted.py); the matrices are those of tests.tiny_imatrices.
"""

from __future__ import annotations

import numpy as np
import pytest

import translators
from tests.oracle.conftest import Plans, Weighted
from tests.oracle.goldens import difference, load
from tests.tiny_imatrices import MATRICES, MOE

_TARGETS = [(name, f"model.gguf-{kind}") for name, matrix in MATRICES.items() for kind in matrix.types]
_MADE = [(name, target) for name, target in _TARGETS if target in load(name)["files"]]
# Rows and super-blocks, rows that are no multiple of 256, slices of experts.
_RANGES = [
    ("llama-mha.imatrix.dat", "model.gguf-q4_0"),
    ("llama-mha.imatrix.dat", "model.gguf-q4_k_m"),
    ("fallback-288.imatrix.dat", "model.gguf-q5_k_m"),
    (f"{MOE}.imatrix.gguf", "model.gguf-q5_1"),
    (f"{MOE}.imatrix.gguf", "model.gguf-iq4_xs"),
    (f"{MOE}.imatrix.dat", "model.gguf-q3_k_m"),
]


@pytest.mark.parametrize(("name", "target"), _MADE)
def test_a_file_is_llama_quantizes_with_the_matrix(weighted: Weighted, name: str, target: str) -> None:
    layout = _layout(weighted(name), target)
    whole = b"".join(layout.read(at, 1 << 20) for at in range(0, layout.size, 1 << 20))
    assert difference(load(name), target, whole) == ""


@pytest.mark.parametrize("name", [name for name in MATRICES if load(name)["refused"]])
def test_what_lacks_a_tensor_of_the_matrix_is_refused(weighted: Weighted, name: str) -> None:
    for kind in load(name)["refused"]:
        refused = weighted(name)[f"model.gguf-{kind}"]
        assert isinstance(refused, translators.Refusal), kind
        assert "needs an importance matrix" in refused.reason


@pytest.mark.parametrize("kind", ["q4_k_m", "q4_0", "iq4_xs", "q8_0"])
def test_without_the_matrix_a_file_is_as_if_there_were_none(weighted: Weighted, kind: str) -> None:
    plans, golden = weighted("llama-mha.imatrix.gguf"), load("llama-mha")
    layout = _layout(plans, f"model.gguf-{kind}-noimat")
    assert difference(golden, f"model.gguf-{kind}", layout.read(0, layout.size)) == ""
    assert not any(b"imatrix" in file.path.rpartition(b"/")[2] for file in layout.files)
    assert layout.identity != _layout(plans, f"model.gguf-{kind}").identity


@pytest.mark.parametrize(("name", "target"), _RANGES)
def test_any_range_is_that_part_of_the_whole(weighted: Weighted, name: str, target: str) -> None:
    layout = _layout(weighted(name), target)
    whole = layout.read(0, layout.size)
    random = np.random.default_rng(seed=3)
    lengths = (2.0 ** random.uniform(0, 14, 400)).astype(np.int64) - 1
    starts = random.integers(0, layout.size, 400)
    edges = np.cumsum([segment.length for segment in layout.segments])
    starts[:100] = np.clip(random.choice(edges, 100) + random.integers(-40, 40, 100), 0, layout.size)
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        assert layout.read(start, length) == whole[start : start + length], (start, length)


def test_a_layout_crosses_a_process_boundary(weighted: Weighted) -> None:
    layout = _layout(weighted(f"{MOE}.imatrix.gguf"), "model.gguf-q4_k_m")
    again = translators.Layout.decoded(layout.encoded())
    assert again.identity == layout.identity
    assert again.read(0, again.size) == layout.read(0, layout.size)


def _layout(plans: Plans, target: str) -> translators.Layout:
    plan = plans[target]
    assert isinstance(plan, translators.Plan), f"refused: {plan}"
    return plan.layout()
