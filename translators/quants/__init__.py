"""Quants: values in one element type as values in another, and llama-quantize's choice of types.

    conversion.py     convert: the same values in another type, any run of whole blocks
    kernels/          our own kernels, for the types that have one
    ggml.py           the kernels of all block types, from libggml
    floats.py         the plain types, by NumPy
    validity.py       what upstream refuses
    filetypes.py      the types of a whole file (q4_k_m), as llama-quantize names and numbers them
    policy.py         which type each tensor gets in a file of such a type, by what
                      names.py, mixtures.py and subject.py know of tensors, rules and models

Knows nothing of files or recipes.
"""

from translators.quants.conversion import (
    can_decode,
    can_encode,
    convert,
    is_weighted,
    needs_imatrix,
    needs_rows,
)
from translators.quants.ggml import LARGEST_COLUMN

__all__ = [
    "LARGEST_COLUMN", "can_decode", "can_encode", "convert", "is_weighted", "needs_imatrix", "needs_rows",
]  # fmt: skip
