"""What is measured on: SmolLM2-135M-Instruct as a Hugging Face folder of bf16 weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from examples.smollm2 import default_cache, fetch

NAME = "SmolLM2-135M-Instruct"
_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors",
)


def folder(models: Path) -> Path:
    """The folder `models`/NAME, made from the GGUF by `prismfs export`."""
    gguf, target = fetch(default_cache()), models / NAME
    target.mkdir(parents=True)
    for name in _FILES:
        command = [sys.executable, "-m", "fsd.cli", "export", str(gguf), name, "-o", str(target / name)]
        subprocess.run(command, check=True, capture_output=True)
    return target
