"""Weights that quantisers of small groups find hard, for comparing ours with others'.

Made with NumPy alone, the same here and in the environments of the others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

TYPES = ("F32", "F16", "BF16")
COLUMNS = 256
ODD = 12
"""How many rows are odd; the others are random."""


def rows() -> Floats:
    """Forty rows of COLUMNS numbers within -1 and 1, but for what makes them odd."""
    integers = np.random.default_rng(7).integers(-(1 << 20), 1 << 20, (40, COLUMNS))
    values: Floats = (integers.astype(np.float32) / np.float32(1 << 20)) ** 3
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
    return values


def exact_in(dtype: str, values: Floats) -> Floats:
    """`values` as `dtype` can tell them."""
    if dtype == "F16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "BF16":
        return (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    return values
