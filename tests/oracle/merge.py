"""Merges a folder's safetensors shards with the safetensors library's own writer: FOLDER OUT_FILE.

The metadata is what all shards agree on, else the library's customary {"format": "pt"}.
Imports nothing of this project: it runs where torch and safetensors are installed.
"""

import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file


def main(folder: str, target: str) -> None:
    """Write all tensors of `folder` into one file."""
    tensors = {}
    metadata = []
    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, "pt") as shard:
            metadata.append(shard.metadata())
            tensors.update({name: shard.get_tensor(name) for name in shard.keys()})  # noqa: SIM118
    common = (
        metadata[0] if metadata[0] and all(each == metadata[0] for each in metadata) else {"format": "pt"}
    )
    save_file(tensors, target, metadata=common)


if __name__ == "__main__":
    main(*sys.argv[1:])
