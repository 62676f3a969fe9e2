"""ONNX Runtime's four bits: blocks of 32 numbers of a row, each block with a scale and no zero point.

    value = (code - 8) * scale

Bit for bit what `quantize_matmul_4bits` of onnxruntime computes of float32: the number of a block that is
furthest from zero becomes code 0, the negative one if two are as far; codes are made with the scale's
reciprocal. The even one of two numbers is in the low half of their byte.
Each block depends on its own numbers only. Knows nothing of tensors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from translators.errors import BadValues

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

BLOCK = 32
BLOCK_BYTES = BLOCK // 2
_ZERO = 8
_REMEDY = "get the model again: NaN and infinity have no code"


def columns(values: Floats) -> Floats:
    """Whole blocks of numbers as columns: NumPy then goes through the numbers of many blocks at once."""
    return np.ascontiguousarray(values.reshape(-1, BLOCK).T)


def scales(values: Floats) -> Floats:
    """The scale of each column of `values`, which is a block. Raises BadValues for NaN and infinity."""
    high, low = values.max(axis=0), values.min(axis=0)
    furthest = np.where(np.abs(high) > np.abs(low), high, low)
    # Of zeros the first one tells the sign.
    found: Floats = np.where(furthest == 0, values[0], furthest) / np.float32(-_ZERO)
    if not np.isfinite(found).all():
        block = int(np.isfinite(found).argmin())
        raise BadValues("NaN or infinity in a block of weights", place=f"block {block}", remedy=_REMEDY)
    return found


def codes(values: Floats) -> Bytes:
    """The codes of `values`, a byte each; blocks are columns. Raises as `scales`."""
    found = scales(values)
    with np.errstate(all="ignore"):
        inverse = np.where(found != 0, np.float32(1) / found, np.float32(0))
        work = values * inverse
        work += np.float32(_ZERO + 0.5)
        np.clip(work, 0, 15, out=work)
    if not np.isfinite(inverse).all():
        # Zero times the reciprocal of a scale that is all but zero is no number, and C makes 0 of it.
        np.nan_to_num(work, copy=False, nan=0.0)
    return work.astype(np.uint8)


def packed(codes: Bytes) -> Bytes:
    """Codes, blocks as columns, two in a byte, block after block."""
    made: Bytes = codes[1::2] << np.uint8(4)
    made |= codes[::2]
    return np.ascontiguousarray(made.T).reshape(-1)


def cut(codes: Bytes, end: int) -> None:
    """Make of `codes`, last blocks of rows as columns, what is there behind the first `end` of each.

    Zeros, but for the half of a byte of which the other half is the row's last code: there onnxruntime has
    what it last computed, and here it is the code of zero.
    """
    codes[end:] = 0
    if end % 2:
        codes[end] = _ZERO
