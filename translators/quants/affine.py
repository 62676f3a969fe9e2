"""MLX's affine quantisation: groups of a row, each with a scale and a bias, in codes of 2 to 8 bits.

    value = code * scale + bias

Bit for bit what `mlx.core.quantize` computes on a processor: in float32, code by code with the scale and bias
that have not been rounded yet; these are rounded to the weight's type only where they are stored. The codes
of a row are a stream of bits, the lowest first. And back, as `mlx.core.dequantize`: product and sum are each
rounded to the type of the scales.
Each group depends on its own elements only. Knows nothing of tensors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from translators.errors import BadValues

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

BITS = (2, 3, 4, 5, 6, 8)
GROUPS = (32, 64, 128)
_LEAST = np.float32(1e-7)
_REMEDY = "get the model again: NaN and infinity have no code"


def grid(values: Floats, bits: int) -> tuple[Floats, Floats]:
    """Scale and bias of each row of `values`, not rounded. Raises BadValues for NaN and infinity.

    The end of the range that is further from zero is met exactly, and zero if it is within the range.
    """
    high, low = values.max(axis=1), values.min(axis=1)
    with np.errstate(all="ignore"):
        step = np.maximum((high - low) / np.float32((1 << bits) - 1), _LEAST)
        below = np.abs(low) > np.abs(high)
        scale = np.where(below, step, -step)
        edge = np.where(below, low, high)
        steps = np.rint(edge / scale)
        counts = steps != 0
        np.divide(edge, steps, out=scale, where=counts)
    if not np.isfinite(scale).all():
        group = int(np.isfinite(scale).argmin())
        raise BadValues("NaN or infinity in a group of weights", place=f"group {group}", remedy=_REMEDY)
    return scale, np.where(counts, edge, np.float32(0))


def quantised(values: Floats, bits: int) -> Bytes:
    """The packed codes of `values`, groups as rows of a multiple of 32. Raises as `grid`."""
    scale, bias = grid(values, bits)
    work = values - bias[:, None]
    work /= scale[:, None]
    np.rint(work, out=work)
    np.clip(work, 0, (1 << bits) - 1, out=work)
    return packed(work.astype(np.uint8).reshape(-1), bits)


def dequantised(codes: Bytes, scales: Floats, biases: Floats, dtype: str) -> Floats:
    """`codes`, groups as rows, times scales plus biases, computed in `dtype` (F32, F16 or BF16)."""
    values = codes.astype(np.float32)
    with np.errstate(all="ignore"):
        values *= scales[:, None]
        values = _rounded(values, dtype)
        values += biases[:, None]
        return _rounded(values, dtype)


def packed(codes: Bytes, bits: int) -> Bytes:
    """Codes, a byte each and a multiple of eight, as a stream of bits, the lowest first."""
    if bits == 8:
        return codes
    words = np.ascontiguousarray(codes).view("<u8").copy()
    for width in (8, 16, 32):
        # Two neighbours of `width` bits, of which the lower part is used, become one of twice the width.
        gap = np.uint64(width * (8 - bits) // 8)
        low = np.uint64(_mask(width, 2 * width))
        words = (words & low) | ((words & ~low) >> gap)
    return words.view(np.uint8).reshape(-1, 8)[:, :bits].reshape(-1)


def unpacked(stream: Bytes, bits: int) -> Bytes:
    """The codes in a stream of bits that holds a multiple of eight, a byte each."""
    if bits == 8:
        return stream
    wide = np.zeros((stream.size // bits, 8), np.uint8)
    wide[:, :bits] = stream.reshape(-1, bits)
    words = wide.view("<u8").reshape(-1)
    for width in (32, 16, 8):
        gap = np.uint64(width * (8 - bits) // 8)
        low = np.uint64(_mask(width * bits // 8, 2 * width))
        words = (words & low) | ((words & (low << np.uint64(width * bits // 8))) << gap)
    return words.view(np.uint8)


def _mask(ones: int, period: int) -> int:
    """64 bits: the lowest `ones` of each `period`."""
    return sum((1 << ones) - 1 << at for at in range(0, 64, period))


def _rounded(values: Floats, dtype: str) -> Floats:
    """`values` to the nearest of that type, halfway to even."""
    if dtype == "F16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "BF16":
        bits = values.view(np.uint32)
        nearest = (bits + (np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)))) & np.uint32(
            0xFFFF0000
        )
        return np.where(np.isnan(values), values, nearest.view(np.float32))
    return values
