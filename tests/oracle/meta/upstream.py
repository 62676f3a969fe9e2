"""transformers' converter of Meta's originals: what it writes for each, into directories of the same names.

    $PRISMFS_ORACLE/meta/env/bin/python upstream.py SCRIPT '[[SOURCE, TARGET, VERSION, SHARDS], ...]'

Imports nothing of this project.
"""

from __future__ import annotations

import json
import runpy
import sys


def main(script: str, pairs: list[list[str]]) -> None:
    """Convert each."""
    for source, target, version, shards in pairs:
        sys.argv = [script, "--input_dir", source, "--output_dir", target, "--llama_version", version]
        sys.argv += ["--num_shards", str(shards)]
        runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
