"""A folder of PyTorch files gives, byte for byte, the GGUF that upstream makes of the model's safetensors.

By its source (conversion/base.py, `index_tensors`) upstream visits the tensors of a .bin in the order of its
state dict, shards by name. These files have the order of the safetensors that the golden digests were made
from; torch_folders.py (make pytorch-check) asks upstream's converter itself for the folder of PyTorch files.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle.conftest import Folder
from tests.oracle.goldens import difference, load
from tests.oracle.torch_folders import NAMES, pytorch_folder
from translators import Plan, open_model, plans


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_pytorch_files_gives_upstreams_gguf(folder: Folder, name: str, tmp_path: Path) -> None:
    found = plans(open_model(pytorch_folder(folder(name), tmp_path)))
    for target in (f"model.gguf-{load(name)['own']}", "model.gguf-q8_0"):
        plan = found[target]
        assert isinstance(plan, Plan)
        assert not difference(load(name), target, plan.layout().read(0, plan.size))
