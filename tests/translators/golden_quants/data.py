"""The data that golden digests are of: the same wherever it is made, by NumPy alone.

Random numbers are PCG64's raw stream, turned into floats by exact arithmetic.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# GGUF type: id, elements and bytes of a block, byte offsets of the fp16 scales.
TYPES = {
    "F32": (0, 1, 4, ()), "F16": (1, 1, 2, ()), "BF16": (30, 1, 2, ()), "I32": (26, 1, 4, ()),
    "Q4_0": (2, 32, 18, (0,)), "Q4_1": (3, 32, 20, (0, 2)), "Q5_0": (6, 32, 22, (0,)),
    "Q5_1": (7, 32, 24, (0, 2)), "Q8_0": (8, 32, 34, (0,)), "Q2_K": (10, 256, 84, (80, 82)),
    "Q3_K": (11, 256, 110, (108,)), "Q4_K": (12, 256, 144, (0, 2)), "Q5_K": (13, 256, 176, (0, 2)),
    "Q6_K": (14, 256, 210, (208,)), "IQ2_XXS": (16, 256, 66, (0,)), "IQ2_XS": (17, 256, 74, (0,)),
    "IQ3_XXS": (18, 256, 98, (0,)), "IQ1_S": (19, 256, 50, (0,)), "IQ4_NL": (20, 32, 18, (0,)),
    "IQ3_S": (21, 256, 110, (0,)), "IQ2_S": (22, 256, 82, (0,)), "IQ4_XS": (23, 256, 136, (0,)),
    "IQ1_M": (29, 256, 56, ()), "TQ1_0": (34, 256, 54, (52,)), "TQ2_0": (35, 256, 66, (64,)),
    "MXFP4": (39, 32, 17, ()), "NVFP4": (40, 64, 36, ()), "Q1_0": (41, 128, 18, (0,)),
    "Q2_0": (42, 64, 18, (0,)),
}  # fmt: skip
# What can be made without an importance matrix.
ENCODED = tuple(kind for kind in TYPES if kind not in (
    "I32", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS",
))  # fmt: skip
REFUSED = {
    "NaN": [float("nan")], "infinity": [float("inf")], "minus infinity": [float("-inf")],
    "too large for f16": [70000.0], "rounds to infinity in bf16": [3.4e38], "all of 1e30": [1e30] * 256,
    "largest of f16": [65504.0], "all of 1e7": [1e7] * 256, "all of 3e6": [3e6] * 256,
}  # fmt: skip


def worst(reason: str) -> npt.NDArray[np.float32]:
    """Two blocks of 256, the second of which is bad in the way that `reason` says."""
    values = np.zeros(512, np.float32)
    bad = REFUSED[reason]
    values[256 : 256 + len(bad)] = bad
    return values


def numbers(seed: int, count: int) -> npt.NDArray[np.float32]:
    """Bell-shaped numbers of many magnitudes: every 256 of them have a scale of their own."""
    raw = np.random.PCG64(seed).random_raw(4 * count).reshape(4, count) >> 40
    bell = (raw.astype(np.float64) / 2**23 - 1).sum(axis=0)
    scales = np.ldexp(1.0, np.arange(count // 256) % 24 - 16)
    return (bell * np.repeat(scales, 256)).astype(np.float32)


def edges() -> npt.NDArray[np.float32]:
    """Blocks of 256 that are hard in one way each."""
    ramp = np.arange(256, dtype=np.float32)
    one = np.zeros(256, np.float32)
    one[77] = 1000.0
    low = np.zeros(256, np.float32)
    low[3], low[200] = 1e-38, -3e-39
    blocks = [
        np.zeros(256), np.full(256, -0.0), np.full(256, 0.5), np.full(256, -3.0), one, -one, low, ramp, -ramp,
        ramp % 2 - 0.5, (ramp - 128) / 8, np.where(ramp % 32 < 16, 0, ramp), np.full(256, 1e-7), ramp * 1e-6,
        np.full(256, 6e-8), np.where(ramp == 0, -1.0, 1.0), np.round(ramp / 7), -np.abs(ramp - 100) - 1,
    ]  # fmt: skip
    return np.concatenate(blocks).astype(np.float32)


def stored(values: npt.NDArray[np.float32], kind: str) -> bytes:
    """Float32 numbers in a plain type; bf16 by cutting off the lower half."""
    if kind == "F16":
        with np.errstate(over="ignore"):
            return values.astype(np.float16).tobytes()
    return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes() if kind == "BF16" else values.tobytes()


def blocks(kind: str, seed: int, count: int) -> bytes:
    """Random blocks of a quantised type, with scales that are numbers."""
    _, _, size, scales = TYPES[kind]
    raw = np.random.PCG64(seed).random_raw(count * size).astype(np.uint8).reshape(count, size)
    for at in scales:
        raw[:, at + 1] &= 0xBB  # the exponent's top bit off: below 2
    if kind == "IQ1_M":
        raw[:, 55] &= 0xBF
    if kind == "MXFP4":
        raw[:, 0] = raw[:, 0] % 16 + 112
    return raw.tobytes()
