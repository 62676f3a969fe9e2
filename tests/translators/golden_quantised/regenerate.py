"""Makes digests.json with the reference libraries and upstream's converter.

    environment.sh DIRECTORY
    DIRECTORY/environment/bin/python -m tests.translators.golden_quantised.regenerate DIRECTORY LLAMA_CPP

For every case of tests.tiny_quantised: under `library` the dtype and sha256 of each weight as its own
library dequantises it, where there is one that does so on a CPU; under `upstream` every tensor as llama.cpp's
converter (LLAMA_CPP is its tree) has it before a family sees it, in its order: in F32, or the bytes of
blocks. Where it fails, why.
"""

import contextlib
import importlib.util
import json
import logging
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from bitsandbytes import functional
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from safetensors.torch import load_file

from tests.tiny_quantised import CASES, write

HERE = Path(__file__).parent
HIGHEST = 1 << 20


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def digest(tensor):
    if isinstance(tensor, np.ndarray):
        return [str(tensor.dtype), sha256(np.ascontiguousarray(tensor).tobytes()).hexdigest()]
    name = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}[tensor.dtype]
    return [name, sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()]


class Upstream:
    """What `conversion.base` does with the tensors of a checkpoint, without a family and without a writer."""

    def __init__(self, tree):
        sys.path.insert(0, str(tree))
        logging.disable(logging.WARNING)
        from conversion.base import ModelBase  # noqa: PLC0415
        from conversion.gpt_oss import GptOssModel  # noqa: PLC0415

        self.base, self.gpt_oss = ModelBase, GptOssModel

    def tensors(self, case, folder, stored):
        """Every tensor by name, in order."""
        written = {}
        writer = SimpleNamespace(add_tensor=lambda name, data, raw_dtype=None: written.update({name: data}))
        config = json.loads((folder / "config.json").read_text())
        model = object.__new__(
            self.gpt_oss if case.settings["quant_method"] == "mxfp4" else Generic(self.base)
        )
        model.__dict__.update(
            dir_model=folder, hparams=config, lazy=False, _fp8_as_q8=False, gguf_writer=writer,
            model_tensors={name: lambda tensor=tensor: tensor for name, tensor in sorted(stored.items())},
            _prec_a4={}, map_tensor_name=lambda name, *_: name, tensor_map=SimpleNamespace(mapping={}),
            ftype=None, fuse_qkv=False, filter_tensors=lambda item: item,
        )  # fmt: skip
        model.prepare_qkv_fusion = lambda: None
        # What follows the dequantisation is the families' and the writer's.
        model.generate_extra_tensors = lambda: (_ for _ in ()).throw(Done)
        with contextlib.suppress(Done):
            model.prepare_tensors()
        if case.settings["quant_method"] == "mxfp4":
            del model.__dict__["generate_extra_tensors"]
            list(model.generate_extra_tensors())
        for name, load in model.model_tensors.items():
            if not name.endswith(("_blocks", "_scales")):
                written[name] = load().to(torch.float32)
        found = {name: digest(tensor) for name, tensor in written.items()}
        return {"tensors": found, "precision": sorted(model._prec_a4)}


class Done(Exception):
    """Upstream has done what is of interest here."""


def Generic(base):  # noqa: N802
    return type("Generic", (base,), {"model_arch": None, "__init_subclass__": classmethod(lambda cls: None)})


def compressed(case, stored):
    group = case.settings["config_groups"]["group_0"]
    form = case.settings["format"]
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**group["weights"]))
    state = {name.removeprefix("a."): tensor for name, tensor in stored.items()}
    made = BaseCompressor.get_value_from_registry(form).decompress(state, scheme)
    return {"a.weight": made["weight"]}


def gptq(case, stored, linear):
    settings = case.settings
    if settings.get("checkpoint_format", "gptq") != "gptq" or "a.g_idx" not in stored:
        return {}
    inputs, outputs = stored["a.g_idx"].numel(), stored["a.scales"].shape[1]
    layer = linear.QuantLinear(settings["bits"], settings["group_size"], inputs, outputs, bias=False)
    for part in ("qweight", "qzeros", "scales", "g_idx"):
        setattr(layer, part, stored[f"a.{part}"])
    # Each weight comes out of the product with a one and zeros exactly.
    return {"a.weight": layer(torch.eye(inputs, dtype=torch.float16)).T}


def awq(case, stored, packing):
    inputs = stored["a.qweight"].shape[0]
    group = case.settings["group_size"]
    made = packing.dequantize_gemm(
        stored["a.qweight"], stored["a.qzeros"], stored["a.scales"], 4, group if group > 0 else inputs
    )
    return {"a.weight": made.T}


def bitsandbytes(case, stored):
    if "a.SCB" in stored:
        return {"a.weight": functional.int8_vectorwise_dequant(stored["a.weight"], stored["a.SCB"])}
    parts = {name: tensor for name, tensor in stored.items() if name.startswith("a.weight.")}
    state = functional.QuantState.from_dict(parts, torch.device("cpu"))
    return {"a.weight": functional.dequantize_4bit(stored["a.weight"], state)}


def library(case, stored, directory):
    method = case.settings["quant_method"]
    if method == "compressed-tensors" and not case.name.startswith("nvfp4"):
        return compressed(case, stored)
    if method == "gptq":
        return gptq(case, stored, module(directory / "gptq_linear.py"))
    if method == "awq":
        return awq(case, stored, module(directory / "awq_packing.py"))
    if method == "bitsandbytes":
        return bitsandbytes(case, stored)
    return {}


def main():
    directory, upstream = Path(sys.argv[1]), Upstream(Path(sys.argv[2]))
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        for case in CASES.values():
            folder = write(case, Path(temporary))
            stored = load_file(folder / "model.safetensors")
            made = library(case, stored, directory)
            found[case.name] = {"library": {name: digest(tensor) for name, tensor in made.items()}}
            try:
                found[case.name]["upstream"] = upstream.tensors(case, folder, dict(stored))
            except Exception as error:
                found[case.name]["upstream"] = {"fails": f"{type(error).__name__}: {error}"[:200]}
    (HERE / "digests.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
