"""Plain numbers to float32, where NumPy needs a hand: the eight-bit floats and everything that is no float.

An eight-bit float has 256 values, so its decoder is a table, made from the definition of the format:
the OCP 8-bit formats (E4M3 without infinities, E5M2 as IEEE, E8M0 powers of two) and the FNUZ variants
(bias one higher, no infinities, no negative zero: 0x80 is NaN).
Knows nothing of blocks.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from translators.dtypes import DType

# NumPy's types for the plain types of the registry. Casts round to nearest even, as everywhere else.
NUMPY: dict[str, npt.DTypeLike] = {
    "F32": "<f4", "F16": "<f2", "F64": "<f8", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
    "U8": "<u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "BOOL": "?",
}  # fmt: skip

# exponent bits, mantissa bits, bias, variant
_EIGHT_BIT = {
    "F8_E4M3": (4, 3, 7, "finite"),
    "F8_E5M2": (5, 2, 15, "ieee"),
    "F8_E4M3FNUZ": (4, 3, 8, "fnuz"),
    "F8_E5M2FNUZ": (5, 2, 16, "fnuz"),
}


def decodes(dtype: DType) -> bool:
    """True for the types that `to_float32` takes."""
    return dtype.name in NUMPY or dtype.name in _EIGHT_BIT or dtype.name == "F8_E8M0"


def to_float32(dtype: DType, raw: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
    """Write the numbers of `raw` to `out`, one for each element, rounded to nearest even.

    Too large a float64 becomes infinity, as a C cast makes it.
    """
    if dtype.name in NUMPY:
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(out, raw.view(NUMPY[dtype.name]), casting="unsafe")
    else:
        np.take(_table(dtype.name), raw, out=out, mode="clip")


@cache
def _table(name: str) -> npt.NDArray[np.float32]:
    """The 256 values of an eight-bit float."""
    codes = np.arange(256)
    if name == "F8_E8M0":
        values = np.ldexp(1.0, codes - 127)
        values[0xFF] = np.nan
        return np.asarray(values, np.float32)
    exponent_bits, mantissa_bits, bias, variant = _EIGHT_BIT[name]
    mantissa = codes & ((1 << mantissa_bits) - 1)
    exponent = (codes >> mantissa_bits) & ((1 << exponent_bits) - 1)
    # A subnormal has the exponent of the smallest normal number, and no leading one.
    lead = np.where(exponent > 0, 1 << mantissa_bits, 0)
    values = np.ldexp((lead + mantissa).astype(np.float64), np.maximum(exponent, 1) - bias - mantissa_bits)
    top = exponent == (1 << exponent_bits) - 1
    if variant == "ieee":
        values[top & (mantissa == 0)] = np.inf
        values[top & (mantissa != 0)] = np.nan
    elif variant == "finite":
        values[top & (mantissa == (1 << mantissa_bits) - 1)] = np.nan
    values = np.where(codes & 0x80, -values, values)
    if variant == "fnuz":
        values[0x80] = np.nan
    return np.asarray(values, np.float32)
