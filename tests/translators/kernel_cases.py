"""What our quantisers are tried with, and libggml's bytes for it: for the tests and for `make kernels-check`.

Numbers come in rows, so that column weights have a meaning; rows that are hard in one way each are `edges`.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from translators.dtypes import DTYPES, DType
from translators.quants import ggml, kernels

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

SOURCES = ("F32", "F16", "BF16")
TYPES = (
    "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
    "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4",
)  # fmt: skip
# Those that column weights may be given for; some do not change by them.
WEIGHTED = TYPES[3:]
ROW = 256 * 3  # no whole number of batches: the last one of a row is filled up
_SMALL_EDGES = 64


def random_rows(seed: int, count: int, scale: float) -> Floats:
    """About `count` bell-shaped numbers in whole rows, some of them much larger than the rest."""
    rng = np.random.default_rng(seed)
    shape = (-(-count // ROW), ROW)
    values = rng.standard_normal(shape, np.float32) * np.float32(scale)
    values[rng.random(shape) < 0.002] *= 20
    return values


def edges(seed: int = 5) -> Floats:
    """Rows of hard numbers: zeros, constants, subnormals, outliers, huge ones, ties, any finite bits."""
    rng = np.random.default_rng(seed)
    bell = rng.standard_normal((_SMALL_EDGES, ROW), np.float32)
    rows: list[npt.ArrayLike] = [np.full(ROW, value) for value in _CONSTANTS]
    rows += [bell[i] * np.float32(scale) for i, scale in enumerate(_SCALES)]
    rows += [np.abs(bell[20]), -np.abs(bell[21]), np.abs(bell[22]) + 5, -np.abs(bell[23]) - 5]
    rows += [np.round(bell[24] * 4) / 4, np.sign(bell[25]), np.copysign(np.float32(0), bell[26])]
    rows += [np.where(bell[27] > 0, np.copysign(np.float32(0), bell[28]), np.abs(bell[29]))]
    rows += [np.where(bell[27] > 0, np.copysign(np.float32(0), bell[28]), -np.abs(bell[29]))]
    rows += [np.where(bell[30] > 1, bell[31], 0), np.arange(ROW) % 32, -(np.arange(ROW) % 16) - 1.0]
    rows += [np.arange(ROW) / 8, np.arange(ROW) % 2 - 0.5, np.repeat(bell[32][: ROW // 32] * 1e-3, 32)]
    for outlier in (1e3, -1e3, 1e30, -1e30, 3.4e38, 1e-30):
        row = bell[33].copy()
        row[::100] = outlier
        rows.append(row)
        rows.append(np.where(np.arange(ROW) % 37 == 5, outlier, 0))
    # Groups of one super-block that differ by many powers of ten: most of their scales round to nothing.
    rows += [bell[34] * np.repeat(10.0 ** -(np.arange(ROW // 16) % 16), 16)]
    rows += [bell[35] * np.repeat(10.0 ** -(np.arange(ROW // 32) % 8), 32)]
    rows += [np.where(np.arange(ROW) % 256 < 32, 1.0, bell[36] * 1e-5)]
    rows += [-1 - np.abs(bell[37]) * 1e-7, 1 + np.abs(bell[38]) * 1e-6]  # nearly flat: fits beyond the range
    rows += list(_powers_of_two(rng))
    for _ in range(12):
        rows.append(rng.integers(0, 1 << 32, ROW, np.uint32).view(np.float32))
        rows.append(rng.integers(0, 1 << 23, ROW, np.uint32).view(np.float32))
    with np.errstate(over="ignore", invalid="ignore"):
        made = np.stack([np.asarray(row, np.float32) for row in rows])
    return np.where(np.isfinite(made), made, np.float32(0))


def _powers_of_two(rng: np.random.Generator) -> Floats:
    """Rows whose blocks are at most a power of two, or just below or above it: every power that there is."""
    powers = np.ldexp(np.float32(1), np.arange(-149, 128)).astype(np.float32)
    tops = [powers, np.nextafter(powers, np.float32(0)), np.nextafter(powers, np.float32(np.inf))]
    tops += [powers * np.float32(1 - step * 2**-20) for step in (1, 3, 40)]
    largest = np.resize(np.concatenate(tops), -(-len(tops) * powers.size * 32 // ROW) * ROW // 32)
    # Parts of eight: on the middles of the values that MXFP4 has, where two are as near.
    parts = rng.integers(-16, 17, (largest.size, 32)).astype(np.float32) / np.float32(16)
    parts[:, 0] = 1
    return (parts * largest[:, None]).reshape(-1, ROW)


_CONSTANTS = (
    0.0, -0.0, 1.0, -1.0, 0.3, -1e-3, 1e-7, 6e-8, 1e-38, 1e-40, -1e-42, 1.4e-45, 1e7, 1e30, -1e30, 3.4e38,
)  # fmt: skip
_SCALES = (
    1e-45, 1e-42, 1e-40, 1e-38, 1e-30, 1e-20, 1e-16, 1e-15, 1e-8, 1e-6, 1e4, 1e7, 1e15, 1e20, 1e30, 1e37,
)  # fmt: skip


def columns(seed: int, length: int, kind: str = "usual") -> Floats:
    """Weights of columns, as importance matrices hold them: squares, never negative."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal(length, np.float32) ** 2
    if kind == "sparse":
        weights[rng.random(length) < 0.7] = 0
        weights[:64] = 0
    scale = {"none": 0.0, "tiny": 1e-30, "huge": 1e30}.get(kind, 1.0)
    return (weights * np.float32(scale)).astype(np.float32)


COLUMNS = ("usual", "sparse", "none", "tiny", "huge")


def stored(values: Floats, source: str) -> Bytes:
    """The rows in a source type, numbers that it cannot hold as 0, one array of bytes."""
    with np.errstate(over="ignore"):
        if source == "F16":
            half = values.astype(np.float16)
            raw = np.where(np.isfinite(half), half, np.float16(0))
        elif source == "BF16":
            raw = np.ascontiguousarray((values.view(np.uint32) >> 16).astype(np.uint16))
        else:
            raw = values
    return np.ascontiguousarray(raw).reshape(-1).view(np.uint8)


def stored_bits(value: float, source: str) -> npt.NDArray[Any]:
    """One number, be it none, in a source type: an array of its word."""
    single = np.array([value], np.float32)
    if source == "F16":
        return single.astype(np.float16).view(np.uint16)
    return (single.view(np.uint32) >> 16).astype(np.uint16) if source == "BF16" else single.view(np.uint32)


def widened(raw: Bytes, source: str) -> Floats:
    """The numbers of `stored`, as libggml wants them."""
    if source == "F16":
        return raw.view(np.float16).astype(np.float32)
    if source == "BF16":
        return (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return raw.view(np.float32)


def reference(
    target: str, values: Floats, weights: Floats | None = None, library: ctypes.CDLL | None = None
) -> Bytes:
    """libggml's bytes for `values`, rows as long as `weights`; `library` is another libggml-base."""
    kind = DTYPES[target]
    if target == "F32":
        return values.view(np.uint8).copy()
    made = np.zeros(kind.nbytes(values.size), np.uint8)
    length = values.size if weights is None else weights.size
    chunk = (library or ggml._library()).ggml_quantize_chunk
    chunk.argtypes = ggml._library().ggml_quantize_chunk.argtypes
    chunk(
        kind.gguf, values.ctypes.data, made.ctypes.data, 0, values.size // length, length,
        None if weights is None else weights.ctypes.data,
    )  # fmt: skip
    return made


def ours(target: str, raw: Bytes, source: str, build: str, weights: Floats | None = None) -> Bytes:
    """The bytes of one of our builds."""
    kind = DTYPES[target]
    made = np.zeros(kind.nbytes(raw.size // DTYPES[source].size), np.uint8)
    bad = kernels.quantise(
        DTYPES[source], kind, raw, made, check_result=False, columns=weights, build=build
    )  # fmt: skip
    assert bad is None
    return made


def differing(kind: DType, found: Bytes, expected: Bytes) -> npt.NDArray[np.intp]:
    """The blocks in which two results differ."""
    blocks = found.reshape(-1, kind.size) != expected.reshape(-1, kind.size)
    return np.flatnonzero(blocks.any(axis=1))
