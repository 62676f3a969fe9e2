"""Meta's originals against the digests of transformers' own conversion, and of upstream's GGUF of that;
Mistral's own form against those of upstream's GGUF with `--mistral-format`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle.meta import natives
from tests.oracle.meta.check import departs, golden_of
from tests.tiny_models import fingerprint
from tests.tiny_natives import NATIVES
from tests.tiny_natives import build as native_folder
from tests.tiny_originals import ORIGINALS, build


@pytest.mark.parametrize("name", ORIGINALS)
def test_an_original_is_what_transformers_makes_of_it(name: str, tmp_path: Path) -> None:
    original, golden = ORIGINALS[name], golden_of(name)
    folder = build(original, tmp_path)
    if not original.above:
        assert fingerprint(folder) == golden["folder"], "make meta-check ARGS=--regenerate"
    assert not departs(original, golden, folder)


@pytest.mark.parametrize("name", NATIVES)
def test_a_native_model_is_what_upstream_makes_of_it(name: str, tmp_path: Path) -> None:
    golden = natives.golden_of(name)
    folder = native_folder(NATIVES[name], tmp_path)
    assert fingerprint(folder) == golden["folder"], "make meta-check ARGS=--regenerate"
    assert not natives.departs(golden, folder)
