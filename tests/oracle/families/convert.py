"""Upstream's converter, to which the tiny byte-level vocabulary of the variants is known as `gpt-2`.

    $PRISMFS_ORACLE/conv/bin/python convert.py LLAMA_CPP FOLDER --outfile FILE --outtype TYPE

llama.cpp tells pre-tokenizers by the ids of real vocabularies, which are too large for tiny models; whatever
it does not know is given that name. Nothing else differs. Imports nothing of this project.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any


def main(tree: str) -> None:
    """Run the converter of the tree with what else is on the command line."""
    sys.path[:0] = [tree, str(Path(tree) / "gguf-py")]
    from conversion.base import TextModel  # type: ignore[import-not-found]  # noqa: PLC0415

    known = TextModel.get_vocab_base_pre

    def named(self: Any, tokenizer: Any) -> Any:
        try:
            return known(self, tokenizer)
        except NotImplementedError:
            return "gpt-2"

    TextModel.get_vocab_base_pre = named
    script = str(Path(tree) / "convert_hf_to_gguf.py")
    sys.argv = [script, *sys.argv[2:]]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])
