"""Mistral's own form of a model: `consolidated*.safetensors`, `params.json`, and tekken.json or a versioned
tokenizer.model.

    model = mistral.read(Path("Mistral-Small-3.1"), ["consolidated.safetensors"], "Mistral-Small-3.1")

Names and order are the file's own; `config` is params.json, with what marks it for a family, and with FP8
told as transformers tells it. Where Hugging Face's files lie beside these, they are the model.
Knows nothing of what the keys mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from translators.errors import Unsupported
from translators.model import Model
from translators.sources import safetensors
from translators.sources.recognise import PARAMS
from translators.sources.side_files import json_object

FORMAT = "mistral"
# What config.json's `architectures` has for a model that has none: a name that no class can have.
ARCHITECTURE = "mistral-native"
_FP8 = {"activation_scheme": "static", "quant_method": "fp8", "weight_block_size": None}


def read(root: Path, files: Sequence[str], name: str) -> Model:
    """The checkpoint that `files` of the directory `root` make. Raises what `safetensors.read` raises."""
    model = safetensors.read(root, files, name)
    told: dict[str, Any] = json_object(root / PARAMS)
    config = {**told, "architectures": [ARCHITECTURE]}
    quantised = told.get("quantization")
    if quantised is not None:
        if not isinstance(quantised, dict) or quantised.get("qformat_weight") != "fp8_e4m3":
            raise Unsupported(
                "weights quantised otherwise than to FP8", path=str(root / PARAMS), place="quantization",
                remedy="use the model's weights in BF16",
            )  # fmt: skip
        config["quantization_config"] = _FP8
        del config["quantization"]
    return replace(model, format=FORMAT, config=config)
