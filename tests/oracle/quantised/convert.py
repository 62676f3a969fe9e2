"""Upstream's converter on many folders in one process, as it takes longer to start than to convert them.

    $PRISMFS_ORACLE/conv/bin/python -m tests.oracle.quantised.convert LLAMA_CPP OUTTYPE FOLDER FILE [...]

Not lazily: upstream's BitNet works on tensors that are there only.
"""

from __future__ import annotations

import sys

from tests.oracle.families.convert import main

if __name__ == "__main__":
    tree, outtype, *pairs = sys.argv[1:]
    for folder, file in zip(pairs[::2], pairs[1::2], strict=True):
        sys.argv = ["convert", tree, folder, "--outfile", file, "--outtype", outtype, "--no-lazy"]
        main(tree)
