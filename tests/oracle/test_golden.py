"""Every virtual file equals, byte for byte, what upstream's tools make of the same source (invariant I10).

The digests in golden/ come from upstream itself (regenerate.py); only this project's own code runs here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import translators
from tests.oracle.goldens import REQUANTISED, difference, load
from tests.tiny_models import build, fingerprint
from tests.tiny_variants import MODELS

Plans = dict[str, translators.Plan | translators.Refusal]

_TARGETS = [(name, target) for name in MODELS for target in load(name)["files"]]
_AGAIN = [
    (name, kind, asked) for name, kinds in REQUANTISED.items() for kind in kinds for asked in kinds[kind]
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds a tiny model's folder, once."""
    built: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in built:
            built[name] = build(MODELS[name], tmp_path_factory.mktemp("tiny"))
        return built[name]

    return make


@pytest.fixture(scope="module")
def planned(folder: Callable[[str], Path]) -> Callable[[str], Plans]:
    """Plans a tiny model, once."""
    plans: dict[str, Plans] = {}

    def make(name: str) -> Plans:
        if name not in plans:
            plans[name] = translators.plans(translators.open_model(folder(name)))
        return plans[name]

    return make


@pytest.mark.parametrize("name", MODELS)
def test_the_folder_is_what_the_digests_were_made_from(folder: Callable[[str], Path], name: str) -> None:
    assert fingerprint(folder(name)) == load(name)["folder"]


@pytest.mark.parametrize(("name", "target"), _TARGETS)
def test_a_file_is_upstreams(planned: Callable[[str], Plans], name: str, target: str) -> None:
    golden = load(name)
    plan = whole(planned(name), target)
    assert difference(golden, target, plan) == ""


@pytest.mark.parametrize(("name", "kind", "asked"), _AGAIN)
def test_a_gguf_quantised_again_is_upstreams(
    planned: Callable[[str], Plans], tmp_path: Path, name: str, kind: str, asked: str
) -> None:
    source = tmp_path / "source.gguf"
    source.write_bytes(whole(planned(name), f"model.gguf-{kind}"))
    plans = translators.plans(translators.open_model(source))
    golden = load(f"{name}.{kind}")
    assert difference(golden, f"model.gguf-{asked}", whole(plans, f"model.gguf-{asked}")) == ""


def whole(plans: Plans, target: str) -> bytes:
    """All bytes of a target, read in pieces as an export reads them."""
    plan = plans.get(target, plans.get("model.gguf-*"))
    assert isinstance(plan, translators.Plan), f"refused: {plan}"
    layout = plan.layout()
    try:
        assert layout.size == plan.size
        return b"".join(layout.read(at, 1 << 20) for at in range(0, layout.size, 1 << 20))
    finally:
        layout.close()
