"""Upstream's converter and transformers, answering requests: a line of JSON in, a line of JSON out.

    $PRISMFS_ORACLE/conv/bin/python upstream.py LLAMA_CPP
    {"inventory": FOLDER, "class": ""}                    -> {"shapes": {name: [rows, columns]}}
    {"load": FOLDER}                                      -> {"missing": [], "unknown": [], "other": []}
    {"convert": FOLDER, "target": FILE, "type": "bf16"}   -> {}
    ... {"error": the last lines} where it fails

Everything is imported once; each request runs in a fork, so that none sees what another left behind.
An inventory is what transformers writes for a configuration with random weights: tied tensors are left out,
names are those of published files. The converter is told that the tiny byte-level vocabulary of the variants,
which it does not know, is `gpt-2`: llama.cpp tells pre-tokenizers by the ids of real vocabularies.
Imports nothing of this project.
"""

from __future__ import annotations

import json
import os
import runpy
import struct
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

_SHOWN = 2000


def inventory(folder: str, name: str) -> dict[str, Any]:
    """Names and shapes in the order of the library; of the class `name`, or of the configuration's."""
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    config = transformers.AutoConfig.from_pretrained(folder)
    model = getattr(transformers, name or config.architectures[0])(config).to(torch.float32)
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory, max_shard_size="100GB")
        with (Path(directory) / "model.safetensors").open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {"shapes": {name: entry["shape"] for name, entry in header.items()}}


def loaded(folder: str) -> dict[str, Any]:
    """How transformers loads a folder: names that it misses, does not know, or has other values for."""
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415

    config = transformers.AutoConfig.from_pretrained(folder)
    kind = getattr(transformers, config.architectures[0], None) or transformers.AutoModelForCausalLM
    model, told = kind.from_pretrained(folder, output_loading_info=True, torch_dtype="auto")
    kept, found = load_file(f"{folder}/model.safetensors"), model.state_dict()
    other = [name for name, tensor in kept.items() if name in found and not torch.equal(found[name], tensor)]
    return {
        "missing": sorted(told["missing_keys"]),
        "unknown": sorted(told["unexpected_keys"]),
        "other": sorted(other),
    }


def convert(tree: Path, folder: str, target: str, kind: str, options: list[str]) -> dict[str, Any]:
    """The converter's file in the precision `kind`."""
    from conversion.base import TextModel  # type: ignore[import-not-found]  # noqa: PLC0415

    known = TextModel.get_vocab_base_pre

    def named(self: Any, tokenizer: Any) -> Any:
        try:
            return known(self, tokenizer)
        except NotImplementedError:
            return "gpt-2"

    TextModel.get_vocab_base_pre = named
    if "--mmproj" in options:
        mend()
    script = str(tree / "convert_hf_to_gguf.py")
    sys.argv = [script, folder, "--outfile", target, "--outtype", kind, *options]
    runpy.run_path(script, run_name="__main__")
    return {}


def mend() -> None:
    """Have the converter do what it means to, where llama.cpp could not use its side files otherwise.

    Pixtral's lack the embedding of [IMG_BREAK], as the language model is left out before it is looked for;
    Llama 4's have each layer's second norm under a name that was given to Gemma 4 as well.
    """
    import gguf  # type: ignore[import-not-found]  # noqa: PLC0415
    from conversion.llava import LlavaVisionModel  # type: ignore[import-not-found]  # noqa: PLC0415

    kept = LlavaVisionModel.filter_tensors.__func__

    def kept_too(cls: Any, item: Any) -> Any:
        return item if item[0].endswith(".embed_tokens.weight") else kept(cls, item)

    LlavaVisionModel.filter_tensors = classmethod(kept_too)
    names = gguf.TensorNameMap.block_mappings_cfg
    second = "vision_model.model.layers.{bid}.post_attention_layernorm"
    assert second in names[gguf.MODEL_TENSOR.V_ENC_POST_ATTN_NORM]
    after = gguf.MODEL_TENSOR.V_ENC_ATTN_POST_NORM
    names[after] = tuple(name for name in names[after] if name != second)


def answer(tree: Path, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request, or what went wrong."""
    try:
        if "load" in request:
            return loaded(request["load"])
        if "inventory" in request:
            return inventory(request["inventory"], request.get("class", ""))
        options = request.get("options", [])
        return convert(tree, request["convert"], request["target"], request["type"], options)
    except SystemExit as end:
        return {"error": f"it left with {end.code}"} if end.code else {}
    except BaseException:  # whatever upstream raises is the answer
        return {"error": traceback.format_exc()[-_SHOWN:]}


def main(tree: Path) -> None:
    """Answer until the input ends."""
    sys.path[:0] = [str(tree), str(tree / "gguf-py")]
    import conversion.base  # noqa: F401, PLC0415
    import transformers.models.auto.modeling_auto  # type: ignore[import-not-found]  # noqa: F401, PLC0415

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what upstream prints must not lie among the answers
    for line in sys.stdin:
        child = os.fork()
        if not child:
            answers.write(json.dumps(answer(tree, json.loads(line))) + "\n")
            answers.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            answers.write(json.dumps({"error": f"it died with {status}"}) + "\n")
            answers.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
