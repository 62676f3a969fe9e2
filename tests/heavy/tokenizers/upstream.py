"""What upstream's converter makes of a directory's tokenizer, as JSON on stdout; runs in its environment.

    ENVIRONMENT/bin/python tests/heavy/tokenizers/upstream.py LLAMA_CPP_TREE DIRECTORY STYLE ARCH

Only the standard library, upstream's tree and the environment are used.
"""

# ruff: noqa: PLC0415 (upstream is importable only once its path is known)

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def main(tree: str, folder: str, style: str, arch: str) -> None:
    """Print the key-values: name, type and digest of each."""
    sys.path[:0] = [str(ROOT), tree, f"{tree}/gguf-py"]
    from tests.translators.golden_vocab.regenerate import key_values, quiet

    quiet()
    json.dump(key_values(Path(folder), style, arch), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
