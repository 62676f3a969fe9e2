"""How frameworks read mounted models: python -P framework_readers.py MODEL..., in their environment.

Each reader's tensors must be those of the model's `model.safetensors`. A line for each reader of each model;
ends with 1 where one fails.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", "HF_HUB_OFFLINE": "1"}

import h5py
import numpy as np
import torch
from flax.serialization import msgpack_restore
from flax.traverse_util import flatten_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def as_torch(array: np.ndarray) -> torch.Tensor:
    """An array's numbers; NumPy's bfloat16 is of another package."""
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(np.array(array).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def compared(found: Mapping[str, torch.Tensor], model: Path) -> str:
    """How many tensors there are, all as in model.safetensors; wider floats of the same value are equal."""
    expected = load_file(model / "model.safetensors")
    assert found.keys() == expected.keys(), sorted(found.keys() ^ expected.keys())[:3]
    for name, tensor in expected.items():
        its = found[name]
        assert its.dtype in {tensor.dtype, torch.float32}, f"{name} is of {its.dtype}"
        assert torch.equal(its, tensor.to(its.dtype)), name
    return f"{len(expected)} tensors, equal"


def by_torch(model: Path) -> str:
    """torch.load, mapped and not, with weights_only and without."""
    ways = ({"weights_only": True}, {"weights_only": True, "mmap": True}, {"weights_only": False})
    for way in ways:
        found: dict[str, torch.Tensor] = {}
        for path in sorted((model / "pytorch").glob("*.bin")):
            found |= torch.load(path, **way)
        told = compared(found, model)
    return f"{told}, in {len(ways)} ways"


def by_numpy(model: Path) -> str:
    """np.load."""
    with np.load(model / "weights-only/model.npz", allow_pickle=False) as file:
        return compared({name: as_torch(file[name]) for name in file.files}, model)


def by_h5py(model: Path) -> str:
    """h5py.File; datasets by their paths."""
    found: dict[str, torch.Tensor] = {}
    with h5py.File(model / "weights-only/model.h5") as file:
        file.visititems(
            lambda name, item: (
                found.update({name: as_torch(item[...])}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return compared(found, model)


def by_flax(model: Path) -> str:
    """flax.serialization.msgpack_restore."""
    tree = msgpack_restore((model / "weights-only/flax_model.msgpack").read_bytes())
    found = {name: as_torch(np.asarray(each)) for name, each in flatten_dict(tree, sep="/").items()}
    return compared(found, model)


def by_transformers(model: Path) -> str:
    """from_pretrained of both folders; the same logits."""
    logits = []
    for name in ("hf-bf16", "pytorch"):
        made: Any = AutoModelForCausalLM.from_pretrained(model / name, dtype=torch.bfloat16).eval()
        with torch.no_grad():
            logits.append(made(torch.arange(5, 29).reshape(1, 24)).logits)
    assert torch.equal(*logits)
    return f"logits equal, the largest {logits[0].abs().max():.2f}"


READERS: dict[str, Callable[[Path], str]] = {
    "torch": by_torch, "numpy": by_numpy, "h5py": by_h5py, "flax": by_flax, "transformers": by_transformers,
}  # fmt: skip


def main(models: list[Path]) -> int:
    """Have each read each."""
    failed = False
    for model in models:
        for name, reader in READERS.items():
            try:
                said = reader(model)
            except (AssertionError, OSError, ValueError, RuntimeError, KeyError) as error:
                said, failed = f"FAILED: {type(error).__name__}: {error}", True
            print(f"{model.name:24} {name:13} {said}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main([Path(each) for each in sys.argv[1:]]))
