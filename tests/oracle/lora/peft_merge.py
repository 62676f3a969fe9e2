"""Merges adapters with PEFT: ADAPTER BASE OUT_FILE, three by three.

Imports nothing of this project: it runs where torch, transformers and peft are installed.
"""

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM


def dtypes(folder: str) -> dict[str, torch.dtype]:
    """The type that each tensor is stored in: tiny models have several."""
    found = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, "pt") as stored:
            for name in stored.keys():  # noqa: SIM118
                found[name] = stored.get_tensor(name).dtype
    return found


def rows_of(adapter: str) -> set[int]:
    """How many rows the embeddings have that the adapter holds."""
    with safe_open(Path(adapter) / "adapter_model.safetensors", "pt") as stored:
        ends = ("embed_tokens.base_layer.weight", "embed_tokens.weight")
        return {
            stored.get_slice(name).get_shape()[0]
            for name in stored.keys()  # noqa: SIM118
            if name.endswith(ends)
        }


def merge(adapter: str, base: str, target: str) -> None:
    """Write the state dict of the merged model."""
    kinds = dtypes(base)
    told = json.loads((Path(adapter) / "adapter_config.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        kind = kinds.get(name) or kinds.get(name.removeprefix(model.base_model_prefix + "."))
        if kind is None:
            raise SystemExit(f"{base} has no {name}")
        parameter.data = parameter.data.to(kind)
    if told.get("peft_version", "") == "0.18.1":
        # How that version took the sides of experts' weights.
        for module in model.modules():
            if type(module).__name__.endswith("Experts"):
                module.is_transposed = True
    rows = rows_of(adapter)
    if rows and rows != {model.config.vocab_size}:
        model.resize_token_embeddings(*rows)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    tensors, held = {}, set()
    for name, tensor in merged.state_dict().items():
        if (tensor.data_ptr(), tensor.shape) not in held:  # what is tied is one tensor
            held.add((tensor.data_ptr(), tensor.shape))
            tensors[name] = tensor.detach().contiguous()
    save_file(tensors, target)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for number in range(1, len(sys.argv), 3):
        merge(*sys.argv[number : number + 3])
