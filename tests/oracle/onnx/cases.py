"""Weights for ONNX Runtime's quantiser: one array for each type of floats, with blocks of every odd kind."""

from __future__ import annotations

import numpy as np

from tests.oracle.odd_weights import COLUMNS, ODD, TYPES, Floats, exact_in, rows

__all__ = ["COLUMNS", "LENGTHS", "TYPES", "weights"]

# Whole blocks, and rows that end within one.
LENGTHS = (256, 250, 226, 18)


def weights(dtype: str) -> Floats:
    """Float32 numbers that are exact in `dtype`; rows of COLUMNS."""
    values = rows()
    values[ODD] = np.arange(COLUMNS) % 16 - 8
    if dtype == "F32":
        # Scales that have no reciprocal in float32, with zeros among the numbers.
        gaps = np.arange(COLUMNS) % 5 == 0
        values[ODD + 1] = np.where(gaps, np.float32(0), values[ODD + 1] * np.float32(1e-38))
        values[ODD + 2] *= np.float32(1e-42)
        values[ODD + 3] *= np.float32(3e38)
    return exact_in(dtype, values)
