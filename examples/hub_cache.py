"""Print where mounted models are found by their names on the Hub, without the network:

    HF_HUB_CACHE=MOUNTPOINT/.prismfs/hub HF_HUB_OFFLINE=1 python hub_cache.py ORG/NAME...

Whatever is built on huggingface_hub (transformers, vLLM, ...) finds them the same way, by the same variables.
"""

import sys

from huggingface_hub import snapshot_download

if __name__ == "__main__":
    print(*map(snapshot_download, sys.argv[1:]), sep="\n")
