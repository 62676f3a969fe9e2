"""That two folders of one model, one of safetensors and one of PyTorch files, are equal to transformers.

    python tests/oracle/torch_logits.py SAFETENSORS PYTORCH      # in the environment conv

Logits of from_pretrained, and every tensor by torch.load: weights_only or not, mapped or not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM


def loaded(folder: Path, tensors: dict[str, torch.Tensor]) -> Any:
    """The model in a folder. Shards without an index transformers does not take: then of these tensors."""
    if list(folder.glob("*model.*")) or list(folder.glob("*.index.json")):
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32)
    assert not model.load_state_dict(tensors, strict=False).unexpected_keys
    model.tie_weights()
    return model


def main(first: Path, second: Path) -> None:
    """Compare; an AssertionError says what differs."""
    expected = {name: each for path in first.glob("*.safetensors") for name, each in load_file(path).items()}
    for options in ({"weights_only": True}, {"weights_only": True, "mmap": True}, {"weights_only": False}):
        found = {
            name: each for path in second.glob("*.bin") for name, each in torch.load(path, **options).items()
        }
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name
    tokens = torch.arange(12).reshape(1, 12)
    models = [loaded(path, expected).eval() for path in (first, second)]
    with torch.no_grad():
        before, after = (model(tokens).logits for model in models)
    assert torch.equal(before, after), "logits differ"
    assert before.abs().max() > 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
