"""Small files as PyTorch itself writes them, and digests of what it reads from them.

    python tests/translators/golden_pytorch/regenerate.py     # in an environment with torch 2.13

Every way of saving that the source reads: zip and the older form, views and shared storages, types that have
no storage class of their own, training checkpoints, pickled modules, TorchScript. Run again only to add one:
torch writes a random serialisation id into zip files, so their bytes change, their tensors do not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import nn

HERE = Path(__file__).resolve().parent
_PLAIN = {
    "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
    "i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8, "u8": torch.uint8,
}  # fmt: skip
_NEW = {
    "f8_e4m3": torch.float8_e4m3fn,
    "f8_e5m2": torch.float8_e5m2,
    "u16": torch.uint16,
    "u32": torch.uint32,
}


def numbers(*shape: int, start: int = 0) -> torch.Tensor:
    """Numbers that count up, in halves."""
    count = int(torch.tensor(shape).prod()) if shape else 1
    return (torch.arange(start, start + count, dtype=torch.float32) / 2).reshape(shape)


def plain() -> dict[str, torch.Tensor]:
    """One tensor of each type, a scalar, an empty one, a name of several scripts."""
    tensors = {f"type.{name}": numbers(2, 3).to(dtype) for name, dtype in _PLAIN.items()}
    tensors["type.bool"] = torch.tensor([True, False, True])
    return {**tensors, "scalar": numbers(), "empty": numbers(0, 4), "gewichte.ü.重み": numbers(5)}


def views() -> dict[str, torch.Tensor]:
    """Views that share one storage: rows, columns, a transpose, every second element, one repeated."""
    whole = numbers(6, 8)
    return {
        "whole": whole, "rows": whole[2:4], "columns": whole[:, 3:5], "transposed": whole.T,
        "strided": whole[1::2, ::3], "diagonal": whole.diagonal(), "expanded": whole[:, :1].expand(6, 4),
        "tied": whole, "permuted": numbers(2, 3, 4).permute(2, 0, 1),
    }  # fmt: skip


def module() -> nn.Module:
    """Modules inside a module; one buffer is not part of its state dict."""
    inner = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    made = nn.Sequential(OrderedDict(inner=inner, last=nn.Linear(2, 1, bias=False)))
    made.register_buffer("kept", numbers(3))
    made.register_buffer("passing", numbers(4), persistent=False)
    for number, tensor in enumerate(made.state_dict().values()):
        tensor.copy_(numbers(*tensor.shape, start=number).to(tensor.dtype))
    return made.eval()


def checkpoint() -> dict[str, Any]:
    """What a training script saves: the state dict among other things."""
    model = module()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    model(numbers(2, 3)).sum().backward()
    optimiser.step()
    weights = {name: tensor.clone() for name, tensor in module().state_dict().items()}
    return {
        "epoch": 3, "optimizer": optimiser.state_dict(), "loss": [1.0], "rng": torch.get_rng_state()[:16],
        "args": argparse.Namespace(layers=2, name="tiny"), "state_dict": weights,
    }  # fmt: skip


def main() -> None:
    """Write the files and digests.json."""
    parameter = {"w": nn.Parameter(numbers(2, 2)), "frozen": nn.Parameter(numbers(2), requires_grad=False)}
    saved: dict[str, tuple[Any, dict[str, Any]]] = {
        "plain.bin": (plain(), {}),
        "plain_legacy.bin": (plain(), {"_use_new_zipfile_serialization": False}),
        "protocol4.pt": (OrderedDict(plain()), {"pickle_protocol": 4}),
        "views.pt": (views(), {}),
        "views_legacy.pt": (views(), {"_use_new_zipfile_serialization": False}),
        "new_types.pt": ({name: numbers(3).to(dtype) for name, dtype in _NEW.items()}, {}),
        "parameters.pth": (parameter, {}),
        "checkpoint.ckpt": (checkpoint(), {}),
        "module.pt": (module(), {}),
    }
    for name, (value, options) in saved.items():
        torch.save(value, HERE / name, **options)
    torch.jit.script(module()).save(str(HERE / "script.jit"))
    digests = {name: described(HERE / name) for name in (*saved, "script.jit")}
    text = json.dumps(digests, indent=1, ensure_ascii=False)
    (HERE / "digests.json").write_text(text + "\n")


def described(path: Path) -> dict[str, list[Any]]:
    """Name -> [type, shape, digest of the bytes in order] as PyTorch reads the file."""
    if path.suffix == ".jit":
        found = torch.jit.load(str(path)).state_dict()
    else:
        found = torch.load(path, weights_only=False)
        found = found.state_dict() if isinstance(found, nn.Module) else found.get("state_dict", found)
    digests: dict[str, list[Any]] = {}
    for name, tensor in found.items():
        data = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        kind = str(tensor.dtype).removeprefix("torch.")
        digests[name] = [kind, list(tensor.shape), hashlib.sha256(data).hexdigest()[:32]]
    return digests


if __name__ == "__main__":
    main()
