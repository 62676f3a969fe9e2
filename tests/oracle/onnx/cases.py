"""Weights for ONNX Runtime's quantiser: one array for each type of floats, with blocks of every odd kind.

Made with NumPy alone, the same here and in ONNX Runtime's own environment.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TYPES = ("F32", "F16", "BF16")
COLUMNS = 256
# Whole blocks, and rows that end within one.
LENGTHS = (256, 250, 226, 18)


def weights(dtype: str) -> npt.NDArray[np.float32]:
    """Float32 numbers that are exact in `dtype`; rows of COLUMNS."""
    integers = np.random.default_rng(7).integers(-(1 << 20), 1 << 20, (40, COLUMNS))
    values = (integers.astype(np.float32) / np.float32(1 << 20)) ** 3
    signs = np.where(np.arange(COLUMNS) % 3 == 0, np.float32(-1), np.float32(1))
    values[0] = 0
    values[1] = np.float32(0.75)
    values[2] = np.float32(-0.75)
    values[3] *= np.float32(1e-9)
    values[4] *= np.float32(6e-8)
    values[5] = np.rint(values[5] * 8) / 8  # halfway between codes
    values[6] = np.abs(values[6])
    values[7] = -np.abs(values[7])
    values[8] = np.where(np.arange(COLUMNS) % 32 == 5, np.float32(100), values[8])
    values[9] = np.float32(0.5) * signs  # as far below zero as above
    values[10] = np.where(np.arange(COLUMNS) == 77, np.float32(1), np.float32(0))
    values[11] = np.where(signs > 0, np.float32(-0.0), np.float32(0))
    values[12] = np.arange(COLUMNS) % 16 - 8
    if dtype == "F16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "BF16":
        return (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    # Scales that have no reciprocal in float32, with zeros among the numbers.
    values[13] = np.where(np.arange(COLUMNS) % 5 == 0, np.float32(0), values[13] * np.float32(1e-38))
    values[14] *= np.float32(1e-42)
    values[15] *= np.float32(3e38)
    return values
