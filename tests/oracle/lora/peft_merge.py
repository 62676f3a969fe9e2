"""Merges adapters with PEFT: ADAPTER BASE OUT_FILE, three by three.

A quantised base is dequantised before, in its own precision: by transformers and bitsandbytes, or by the
modules of auto-gptq and autoawq that environment.sh puts beside the environment.
Imports nothing of this project: it runs where torch, transformers and peft are installed.
"""

import importlib.util
import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

EMBEDDING = "model.embed_tokens.weight"
BESIDE = Path(sys.prefix)


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


def module(name: str):
    """A single module of a library."""
    spec = importlib.util.spec_from_file_location(name, BESIDE / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def of_gptq(layer: dict[str, torch.Tensor], settings: dict) -> torch.Tensor:
    """A layer's weight, as auto-gptq multiplies by it: a one and zeros give each exactly."""
    inputs, outputs = layer["g_idx"].numel(), layer["scales"].shape[1]
    linear = module("gptq_linear").QuantLinear(
        settings["bits"], settings["group_size"], inputs, outputs, bias=False
    )
    for part, tensor in layer.items():
        setattr(linear, part, tensor)
    return linear(torch.eye(inputs, dtype=torch.float16)).T


def of_awq(layer: dict[str, torch.Tensor], settings: dict) -> torch.Tensor:
    """A layer's weight, as autoawq has it."""
    parts = (layer[part] for part in ("qweight", "qzeros", "scales"))
    return module("awq_packing").dequantize_gemm(*parts, 4, settings["group_size"]).T


PACKED = {"gptq": of_gptq, "awq": of_awq}


def unpacked(base: str, directory: str, settings: dict) -> str:
    """The folder of a base whose packed layers are weights."""
    config = json.loads((Path(base) / "config.json").read_text())
    del config["quantization_config"]
    (Path(directory) / "config.json").write_text(json.dumps(config))
    tensors, layers = {}, {}
    for name, tensor in load_file(Path(base) / "model.safetensors").items():
        layer, _, part = name.rpartition(".")
        if part in ("weight", "bias"):
            tensors[name] = tensor
        else:
            layers.setdefault(layer, {})[part] = tensor
    for layer, parts in layers.items():
        tensors[f"{layer}.weight"] = PACKED[settings["quant_method"]](parts, settings).contiguous()
    save_file(tensors, Path(directory) / "model.safetensors", {"format": "pt"})
    return directory


def loaded(base: str) -> torch.nn.Module:
    """A base model, its parameters in the types that they are stored in."""
    kinds = dtypes(base)
    settings = json.loads((Path(base) / "config.json").read_text()).get("quantization_config", {})
    if settings.get("quant_method") in ("bitsandbytes", "mxfp4"):
        model = AutoModelForCausalLM.from_pretrained(base, dtype=kinds[EMBEDDING], device_map="cpu")
        # Without a graphics card, transformers dequantises MXFP4 at once.
        return model.dequantize() if settings["quant_method"] == "bitsandbytes" else model
    if settings:
        with tempfile.TemporaryDirectory() as directory:
            return loaded(unpacked(base, directory, settings))
    if transformers.__version__.startswith("5."):
        # Names and tensors are others than in the files; these are of one type.
        return AutoModelForCausalLM.from_pretrained(base, dtype=kinds[EMBEDDING])
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        kind = kinds.get(name) or kinds.get(name.removeprefix(model.base_model_prefix + "."))
        if kind is None:
            raise SystemExit(f"{base} has no {name}")
        parameter.data = parameter.data.to(kind)
    return model


def merge(adapter: str, base: str, target: str) -> None:
    """Write the state dict of the merged model."""
    told = json.loads((Path(adapter) / "adapter_config.json").read_text())
    model = loaded(base)
    if told.get("peft_version", "") == "0.18.1":
        # How that version took the sides of experts' weights.
        for module in model.modules():
            if type(module).__name__.endswith("Experts"):
                module.is_transposed = True
    rows = rows_of(adapter)
    if rows and rows != {model.config.vocab_size}:
        model.resize_token_embeddings(*rows)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    if transformers.__version__.startswith("5."):
        # Which gives experts back one by one.
        with tempfile.TemporaryDirectory() as directory:
            merged.save_pretrained(directory)
            shutil.copy(Path(directory) / "model.safetensors", target)
        return
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
