"""A folder of PyTorch files gives, byte for byte, what upstream makes of it: the model's golden digest.

Upstream visits the tensors of a .bin in the order of its state dict. These files have the order of the
safetensors that the digests were made from; convert_hf_to_gguf was seen to make the same file of either
(torch_folders.py asks it).
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
