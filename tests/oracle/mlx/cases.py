"""Weights for MLX's quantiser: one array for each type of floats, with groups of every odd kind.

Made with NumPy alone, the same here and in MLX's own environment.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TYPES = ("F32", "F16", "BF16")
BITS = (2, 3, 4, 5, 6, 8)
GROUPS = (32, 64, 128)
COLUMNS = 256


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
    values[12] = np.arange(COLUMNS) % 16
    values[13] = np.abs(values[13]) + np.float32(7)  # zero is not within the range
    if dtype == "F16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "BF16":
        return (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    return values
