"""Weights for MLX's quantiser: one array for each type of floats, with groups of every odd kind."""

from __future__ import annotations

import numpy as np

from tests.oracle.odd_weights import COLUMNS, ODD, TYPES, Floats, exact_in, rows

__all__ = ["BITS", "COLUMNS", "GROUPS", "TYPES", "weights"]

BITS = (2, 3, 4, 5, 6, 8)
GROUPS = (32, 64, 128)


def weights(dtype: str) -> Floats:
    """Float32 numbers that are exact in `dtype`; rows of COLUMNS."""
    values = rows()
    values[ODD] = np.arange(COLUMNS) % 16
    values[ODD + 1] = np.abs(values[ODD + 1]) + np.float32(7)  # zero is not within the range
    return exact_in(dtype, values)
