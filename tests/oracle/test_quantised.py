"""The GGUF of a quantised checkpoint equals, byte for byte, what upstream's tools make of it.

The digests in quantised/golden come from upstream itself (quantised/regenerate.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.oracle.families.comparison import plans_in, whole
from tests.oracle.goldens import difference
from tests.oracle.quantised.folders import FOLDERS, Folder, build
from tests.tiny_models import fingerprint


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=list(FOLDERS))
def test_files_are_upstreams(folder: Folder, tmp_path: Path) -> None:
    golden = json.loads(folder.golden.read_text())
    path = build(folder, tmp_path)
    assert fingerprint(path) == golden["folder"]
    plans = plans_in(path)
    for target in golden["files"]:
        assert difference(golden, target, whole(plans, target)) == "", target
