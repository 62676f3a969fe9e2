"""Golden digests of quantised checkpoints, from upstream's own tools.

    python -m tests.oracle.quantised.regenerate [NAME ...]

Upstream's converter makes the GGUF in BF16, as it does not for itself, and llama-quantize's library a few
types of that. Needs what environment.sh builds; PRISMFS_ORACLE says where.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.oracle.quantised.folders import FOLDERS, build
from tests.oracle.regenerate import ORACLE, described, quantise
from tests.tiny_models import fingerprint

_ROOT = Path(__file__).resolve().parents[3]


def convert(built: dict[str, Path]) -> None:
    """Upstream's converter: bf16.gguf in each folder's parent."""
    pairs = [str(path) for folder in built.values() for path in (folder, folder.parent / "bf16.gguf")]
    python, tree = ORACLE / "conv" / "bin" / "python", ORACLE / "llama.cpp"
    command = [str(python), "-m", "tests.oracle.quantised.convert", str(tree), "bf16", *pairs]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, errors="replace", cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"upstream's converter failed:\n{done.stderr[-4000:]}")


def main(names: list[str]) -> None:
    """Regenerate the goldens of `names`, or of all."""
    folders = [FOLDERS[name] for name in names or FOLDERS]
    with tempfile.TemporaryDirectory() as directory:
        built = {folder.name: build(folder, Path(directory) / folder.name) for folder in folders}
        convert(built)
        for folder in folders:
            work = built[folder.name].parent
            if folder.types:
                quantise(work / "bf16.gguf", work, folder.types)
            golden = {"folder": fingerprint(built[folder.name]), **described(work, "bf16", folder.types)}
            folder.golden.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
            print(folder.name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
