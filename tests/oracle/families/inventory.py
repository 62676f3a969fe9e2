"""Prints the tensors that transformers writes for a config.json, as JSON: name -> shape.

    $PRISMFS_ORACLE/conv/bin/python inventory.py FOLDER [CLASS]

The class is the one that the configuration names, unless another is given; the model is made with random
weights and saved, so that tied tensors are left out and names are those of published files.
Imports nothing of this project.
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
from pathlib import Path


def inventory(folder: Path, name: str) -> dict[str, list[int]]:
    """Names and shapes in the order of the library."""
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    config = transformers.AutoConfig.from_pretrained(folder)
    kind = getattr(transformers, name or config.architectures[0])
    model = kind(config).to(torch.float32)
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory, max_shard_size="100GB")
        with (Path(directory) / "model.safetensors").open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {name: entry["shape"] for name, entry in header.items()}


if __name__ == "__main__":
    print(json.dumps(inventory(Path(sys.argv[1]), "".join(sys.argv[2:]))))
