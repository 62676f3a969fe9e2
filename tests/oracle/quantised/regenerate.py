"""Golden digests of quantised checkpoints, from upstream's own tools.

    python -m tests.oracle.quantised.regenerate [NAME ...]

Upstream's converter makes the GGUF in BF16, as it is told to, and llama-quantize's library a few types of
that. Needs what environment.sh builds; PRISMFS_ORACLE says where.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.oracle.families.regenerate import Upstream
from tests.oracle.quantised.folders import FOLDERS, build
from tests.oracle.regenerate import described, quantise
from tests.tiny_models import fingerprint


def main(names: list[str]) -> None:
    """Regenerate the goldens of `names`, or of all."""
    with Upstream() as upstream:
        for name in names or FOLDERS:
            folder = FOLDERS[name]
            with tempfile.TemporaryDirectory() as directory:
                work = Path(directory)
                built = build(folder, work)
                target = work / "bf16.gguf"
                # Not lazily: upstream's BitNet works on tensors that are there only.
                request = {
                    "convert": str(built),
                    "target": str(target),
                    "type": "bf16",
                    "options": ["--no-lazy"],
                }
                upstream.ask(name, request)
                if folder.types:
                    quantise(target, work, folder.types)
                golden = {"folder": fingerprint(built), **described(work, "bf16", folder.types)}
            folder.golden.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
            print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
