"""What upstream's converter makes of directories' tokenizers; runs in its environment.

    ENVIRONMENT/bin/python tests/heavy/tokenizers/upstream.py LLAMA_CPP_TREE [DIRECTORY STYLE ARCH]...

Prints one line of JSON for each: the key-values, or as text how upstream failed. Leaves what upstream's
writer makes of them as upstream.gguf in the directory.

Only the standard library, upstream's tree and the environment are used.
"""

# ruff: noqa: PLC0415 (upstream is importable only once its path is known)

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


def main(tree: str, *asked: str) -> None:
    """Print the key-values of each directory: name, type and digest."""
    sys.path[:0] = [str(ROOT), tree, f"{tree}/gguf-py"]
    from tests.translators.golden_vocab.regenerate import described, quiet, written

    quiet()
    for at in range(0, len(asked), 3):
        try:
            writer = written(Path(asked[at]), *asked[at + 1 : at + 3])
            made: object = described(writer)
            write(writer.kv_data[0], asked[at + 2], Path(asked[at]) / "upstream.gguf")
        except Exception as error:
            made = f"{type(error).__name__}: {error}"[:500]
        print(json.dumps(made), flush=True)


def write(key_values: dict[str, Any], arch: str, target: Path) -> None:
    """A GGUF without tensors, by upstream's writer."""
    import gguf

    writer = gguf.GGUFWriter(target, arch)
    writer.kv_data[0].update(key_values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
