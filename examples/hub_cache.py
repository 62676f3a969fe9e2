"""Find mounted models by their names, without the network: hub_cache.py MOUNTPOINT REPOSITORY...

Whatever is built on huggingface_hub (transformers, vLLM, MLX, ...) finds them the same way, with the two
variables set before it is started.
"""

import os
import sys
from pathlib import Path


def snapshots(mountpoint: str, repositories: list[str]) -> list[str]:
    """The directory of each model, as `from_pretrained` would look it up."""
    os.environ["HF_HUB_CACHE"] = str(Path(mountpoint, ".prismfs", "hub"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    from huggingface_hub import snapshot_download  # reads the variables when it is imported

    return [snapshot_download(repository) for repository in repositories]


if __name__ == "__main__":
    print(*snapshots(sys.argv[1], sys.argv[2:]), sep="\n")
