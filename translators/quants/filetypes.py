"""File types: the kinds of quantised file that llama-quantize can be asked for.

A file type is a mixture: its name tells the type that most tensors get, and `policy` tells which tensors
get another. Names and numbers (`general.file_type`) are upstream's (llama.h, tools/quantize).
Knows nothing of tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

from translators.dtypes import DTYPES, DType


@dataclass(frozen=True, slots=True)
class FileType:
    """A kind of file: `name` as in `model.gguf-<name>`, `number` in its header, `dtype` of most tensors."""

    name: str
    number: int
    dtype: DType


# In the order of a listing: plain, then from the largest to the smallest, then the special ones.
_TABLE = (
    ("f32", 0, "F32"),
    ("f16", 1, "F16"),
    ("bf16", 32, "BF16"),
    ("q8_0", 7, "Q8_0"),
    ("q6_k", 18, "Q6_K"),
    ("q5_k_m", 17, "Q5_K"),
    ("q5_k_s", 16, "Q5_K"),
    ("q5_1", 9, "Q5_1"),
    ("q5_0", 8, "Q5_0"),
    ("q4_k_m", 15, "Q4_K"),
    ("q4_k_s", 14, "Q4_K"),
    ("q4_1", 3, "Q4_1"),
    ("q4_0", 2, "Q4_0"),
    ("iq4_nl", 25, "IQ4_NL"),
    ("iq4_xs", 30, "IQ4_XS"),
    ("q3_k_l", 13, "Q3_K"),
    ("q3_k_m", 12, "Q3_K"),
    ("q3_k_s", 11, "Q3_K"),
    ("iq3_m", 27, "IQ3_S"),
    ("iq3_s", 26, "IQ3_S"),
    ("iq3_xs", 22, "IQ3_S"),
    ("iq3_xxs", 23, "IQ3_XXS"),
    ("q2_k", 10, "Q2_K"),
    ("q2_k_s", 21, "Q2_K"),
    ("iq2_m", 29, "IQ2_S"),
    ("iq2_s", 28, "IQ2_XS"),  # not IQ2_S: upstream gives that to iq2_m
    ("iq2_xs", 20, "IQ2_XS"),
    ("iq2_xxs", 19, "IQ2_XXS"),
    ("iq1_m", 31, "IQ1_M"),
    ("iq1_s", 24, "IQ1_S"),
    ("tq2_0", 37, "TQ2_0"),
    ("tq1_0", 36, "TQ1_0"),
    ("mxfp4_moe", 38, "MXFP4"),
    ("q2_0", 41, "Q2_0"),
    ("q1_0", 40, "Q1_0"),
)
_ALIASES = {"q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m"}

FILE_TYPES: dict[str, FileType] = {
    name: FileType(name, number, DTYPES[dtype]) for name, number, dtype in _TABLE
}


def file_type(name: str) -> FileType | None:
    """The file type called `name`, in any case, by its name or the alias that llama-quantize knows."""
    lower = name.lower()
    return FILE_TYPES.get(_ALIASES.get(lower, lower))
