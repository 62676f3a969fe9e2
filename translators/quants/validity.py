"""Which stored values upstream refuses: NaN and infinity, in plain floats and in the scales of blocks.

llama-quantize checks every tensor that it reads and every block that it makes, and gives up at the first
bad one; the rules are those of ggml's `ggml_validate_row_data`. A block is bad when one of its scales is
(an fp16 number, or for MXFP4 the exponent 255); its quants cannot be. Integers are never bad.
Knows nothing of where an element lies: callers add the tensor and the offset.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from translators.dtypes import DType

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

# Byte offsets, within a block, of the fp16 scales and minima: the structs of ggml-common.h.
_FP16_AT: dict[str, tuple[int, ...]] = {
    "Q1_0": (0,), "Q2_0": (0,), "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,),
    "Q8_1": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,),
    "IQ1_S": (0,), "IQ2_XXS": (0,), "IQ2_XS": (0,), "IQ2_S": (0,), "IQ3_XXS": (0,), "IQ3_S": (0,),
    "IQ4_NL": (0,), "IQ4_XS": (0,), "TQ1_0": (52,), "TQ2_0": (64,),
}  # fmt: skip
_FP16, _BF16 = 0x7C00, 0x7F80  # the exponents' bits; bf16 is the upper half of float32
_EXPONENTS = {"F16": _FP16, "BF16": _BF16}


def first_bad(dtype: DType, raw: Bytes) -> int | None:
    """The index of the first element whose stored value upstream would refuse, or None.

    For a block type it is the first element of the bad block. `raw` holds whole blocks.
    """
    bad = _bad_blocks(dtype, raw)
    if bad is None or not bad.any():
        return None
    return int(bad.argmax()) * dtype.block


def _bad_blocks(dtype: DType, raw: Bytes) -> Flags | None:
    """Which blocks are bad; None for types of which none can be."""
    if dtype.name in ("F32", "F64"):
        return np.asarray(~np.isfinite(raw.view("<f4" if dtype.name == "F32" else "<f8")))
    if dtype.name in _EXPONENTS:
        return _all_set(raw.view("<u2"), _EXPONENTS[dtype.name])
    blocks = raw.reshape(-1, dtype.size)
    if dtype.name in _FP16_AT:
        bad = [_all_set(_word(blocks, at), _FP16) for at in _FP16_AT[dtype.name]]
        return bad[0] if len(bad) == 1 else bad[0] | bad[1]
    if dtype.name == "IQ1_M":
        # The scale's four hexadecimal digits are the top digits of four words, the lowest digit first.
        low, *_, high = digits = [_word(blocks, at) & 0xF000 for at in (48, 50, 52, 54)]
        return _all_set(low >> 12 | digits[1] >> 8 | digits[2] >> 4 | high, _FP16)
    if dtype.name == "MXFP4":
        return _all_set(blocks[:, 0], 0xFF)
    if dtype.name == "Q8_K":
        return _all_set(_word(blocks, 2), _BF16)
    return None


def _all_set(words: npt.NDArray[Any], bits: int) -> Flags:
    """Where a word has all of `bits` set: an exponent of ones means infinity or NaN."""
    return np.asarray(words & bits == bits)


def _word(blocks: Bytes, at: int) -> npt.NDArray[np.uint16]:
    """The 16-bit word at byte `at` of every block."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view("<u2")[:, 0]
