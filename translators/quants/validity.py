"""Which stored values upstream refuses: NaN and infinity, in plain floats and in the scales of blocks.

llama-quantize checks every tensor that it reads and every block that it makes, and gives up at the first
bad one; the rules are those of ggml's `ggml_validate_row_data`. A block is bad when one of its scales is
(an fp16 number, or for MXFP4 the exponent 255); its quants cannot be. Integers are never bad.
Knows nothing of where an element lies: callers add the tensor and the offset.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from translators.dtypes import DType

Bytes = npt.NDArray[np.uint8]

# Byte offsets, within a block, of the fp16 scales and minima: the structs of ggml-common.h.
_FP16_AT: dict[str, tuple[int, ...]] = {
    "Q1_0": (0,), "Q2_0": (0,), "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,),
    "Q8_1": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,),
    "IQ1_S": (0,), "IQ2_XXS": (0,), "IQ2_XS": (0,), "IQ2_S": (0,), "IQ3_XXS": (0,), "IQ3_S": (0,),
    "IQ4_NL": (0,), "IQ4_XS": (0,), "TQ1_0": (52,), "TQ2_0": (64,),
}  # fmt: skip
_EXPONENT16, _EXPONENT_BF16 = 0x7C00, 0x7F80


def first_bad(dtype: DType, raw: Bytes) -> int | None:
    """The index of the first element whose stored value upstream would refuse, or None.

    For a block type it is the first element of the bad block. `raw` holds whole blocks.
    """
    bad = _bad_blocks(dtype, raw)
    if bad is None or not bad.any():
        return None
    return int(bad.argmax()) * dtype.block


def _bad_blocks(dtype: DType, raw: Bytes) -> npt.NDArray[np.bool_] | None:
    if dtype.name in ("F32", "F64"):
        return ~np.isfinite(raw.view("<f4" if dtype.name == "F32" else "<f8"))
    if dtype.name == "F16":
        return (raw.view("<u2") & _EXPONENT16) == _EXPONENT16
    if dtype.name == "BF16":
        return (raw.view("<u2") & _EXPONENT_BF16) == _EXPONENT_BF16
    blocks = raw.reshape(-1, dtype.size)
    if dtype.name in _FP16_AT:
        scales = np.stack([_fp16(blocks, at) for at in _FP16_AT[dtype.name]])
        return ((scales & _EXPONENT16) == _EXPONENT16).any(axis=0)
    if dtype.name == "IQ1_M":
        # The scale is spread over the top four bits of the four 16-bit scale words; the highest four of
        # them, from the last word, hold its sign and most of its exponent.
        words = [_fp16(blocks, at) for at in (48, 50, 52, 54)]
        scale = words[0] >> 12 | words[1] >> 8 & 0x00F0 | words[2] >> 4 & 0x0F00 | words[3] & 0xF000
        return (scale & _EXPONENT16) == _EXPONENT16
    if dtype.name == "MXFP4":
        return blocks[:, 0] == 0xFF
    if dtype.name == "Q8_K":
        return ~np.isfinite(np.ascontiguousarray(blocks[:, :4]).view("<f4")[:, 0])
    return None


def _fp16(blocks: Bytes, at: int) -> npt.NDArray[np.uint16]:
    """The 16-bit words at byte `at` of every block."""
    low, high = blocks[:, at].astype(np.uint16), blocks[:, at + 1].astype(np.uint16)
    return low | high << 8
