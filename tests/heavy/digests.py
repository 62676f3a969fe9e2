"""Digests of what an installed prismfs quantises, one line for each type, and which kernels did it.

For `make wheel-check`, which runs it by several environments' Pythons: it needs nothing but prismfs itself.
"""

from __future__ import annotations

import hashlib

import numpy as np

from translators.dtypes import DTYPES
from translators.quants import can_encode, convert, kernels, needs_imatrix
from translators.vocab import lists

WEIGHTS = 256 * 96


def main() -> None:
    """Print the kernels' builds and whether lists are read in C, then a line for each source and type."""
    in_c = lists.vocabulary_of(b'{"a": 0}') is not None
    print("builds:", *kernels.builds(), "in use:", kernels.in_use(), "lists:", "C" if in_c else "Python")
    values = (np.random.default_rng(9).standard_normal(WEIGHTS) * 0.02).astype(np.float32)
    for source, raw in (("F32", values), ("F16", values.astype(np.float16))):
        for name, kind in DTYPES.items():
            if can_encode(kind) and not needs_imatrix(kind):
                made = convert(DTYPES[source], kind, raw.view(np.uint8), first=0, checked=True)
                print(source, name, hashlib.sha256(made).hexdigest())


if __name__ == "__main__":
    main()
