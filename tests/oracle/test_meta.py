"""Meta's originals against the digests of transformers' own conversion, and of upstream's GGUF of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle.meta.check import departs, golden_of
from tests.tiny_models import fingerprint
from tests.tiny_originals import ORIGINALS, build


@pytest.mark.parametrize("name", ORIGINALS)
def test_an_original_is_what_transformers_makes_of_it(name: str, tmp_path: Path) -> None:
    original, golden = ORIGINALS[name], golden_of(name)
    folder = build(original, tmp_path)
    if not original.above:
        assert fingerprint(folder) == golden["folder"], "make meta-check ARGS=--regenerate"
    assert not departs(original, golden, folder)
