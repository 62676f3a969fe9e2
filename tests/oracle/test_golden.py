"""Every virtual file equals, byte for byte, what upstream's tools make of the same source (invariant I10).

The digests in golden/ come from upstream itself (regenerate.py); only this project's own code runs here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import translators
from tests.oracle.conftest import Folder, Planned, Plans
from tests.oracle.goldens import REAL, REQUANTISED, difference, load
from tests.oracle.huggingface import write_folder
from tests.tiny_models import fingerprint
from tests.tiny_smollm2 import NAMES
from tests.tiny_variants import MODELS

_ALL = (*MODELS, *NAMES)
_TARGETS = [(name, target) for name in _ALL for target in load(name)["files"]]
_AGAIN = [
    (name, kind, asked)
    for name, kinds in REQUANTISED.items()
    for kind, types in kinds.items()
    for asked in types
    if name != REAL
]


@pytest.mark.parametrize("name", _ALL)
def test_the_folder_is_what_the_digests_were_made_from(folder: Folder, name: str) -> None:
    assert fingerprint(folder(name)) == load(name)["folder"]


@pytest.mark.parametrize(("name", "target"), _TARGETS)
def test_a_file_is_upstreams(planned: Planned, name: str, target: str) -> None:
    assert difference(load(name), target, _whole(planned(name), target)) == ""


@pytest.mark.parametrize("name", [name for name in _ALL if load(name)["refused"]])
def test_what_upstream_refuses_is_refused(planned: Planned, name: str) -> None:
    plans = planned(name)
    for kind in load(name)["refused"]:
        assert isinstance(plans[f"model.gguf-{kind}"], translators.Refusal), kind


@pytest.mark.parametrize(("name", "kind", "asked"), _AGAIN)
def test_a_gguf_quantised_again_is_upstreams(
    planned: Planned, tmp_path: Path, name: str, kind: str, asked: str
) -> None:
    source = tmp_path / "source.gguf"
    source.write_bytes(_whole(planned(name), f"model.gguf-{kind}"))
    target = f"model.gguf-{asked}"
    whole = _whole(translators.plans(translators.open_model(source)), target)
    assert difference(load(f"{name}.{kind}"), target, whole) == ""


@pytest.fixture(scope="module")
def real(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Plans:
    """SmolLM2 as a Hugging Face folder, made of its GGUF, and what that folder can appear as."""
    folder = write_folder(smollm2_gguf, tmp_path_factory.mktemp("real") / REAL)
    assert fingerprint(folder) == load(REAL)["folder"]
    return translators.plans(translators.open_model(folder))


@pytest.mark.parametrize("target", load(REAL)["files"])
def test_real_weights_are_upstreams(real: Plans, target: str) -> None:
    assert difference(load(REAL), target, _whole(real, target)) == ""


@pytest.fixture(scope="module")
def real_gguf(smollm2_gguf: Path) -> Plans:
    """What the GGUF itself can appear as."""
    return translators.plans(translators.open_model(smollm2_gguf))


@pytest.mark.parametrize("asked", REQUANTISED[REAL]["q4_1"])
def test_a_real_gguf_quantised_again_is_upstreams(real_gguf: Plans, asked: str) -> None:
    target = f"model.gguf-{asked}"
    assert difference(load(f"{REAL}.q4_1"), target, _whole(real_gguf, target)) == ""


def _whole(plans: Plans, target: str) -> bytes:
    """All bytes of a target, read in pieces as an export reads them."""
    plan = plans.get(target, plans.get("model.gguf-*"))
    assert isinstance(plan, translators.Plan), f"refused: {plan}"
    layout = plan.layout()
    try:
        assert layout.size == plan.size
        return b"".join(layout.read(at, 1 << 20) for at in range(0, layout.size, 1 << 20))
    finally:
        layout.close()
