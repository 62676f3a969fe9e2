"""What upstream's converter makes of directories' tokenizers; runs in its environment.

    ENVIRONMENT/bin/python tests/heavy/tokenizers/upstream.py LLAMA_CPP_TREE [DIRECTORY STYLE ARCH]...

Prints one line of JSON for each: the key-values, or as text how upstream failed.

Only the standard library, upstream's tree and the environment are used.
"""

# ruff: noqa: PLC0415 (upstream is importable only once its path is known)

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def main(tree: str, *asked: str) -> None:
    """Print the key-values of each directory: name, type and digest."""
    sys.path[:0] = [str(ROOT), tree, f"{tree}/gguf-py"]
    from tests.translators.golden_vocab.regenerate import key_values, quiet

    quiet()
    for at in range(0, len(asked), 3):
        try:
            made: object = key_values(Path(asked[at]), *asked[at + 1 : at + 3])
        except Exception as error:
            made = f"{type(error).__name__}: {error}"[:500]
        print(json.dumps(made), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
