"""Rotary: cosines or sines of rotary positions, a row for each position.

    rotary(frequencies, 131072, "cos", 1.0)

What a program computes once and keeps, where a format has it as a tensor. The angle is rounded to float32, as
it is where a model is run; its cosine is what sums and products of float64 give, the same on every machine
(NumPy's own differs between processors), and the nearest float32 but for one in hundreds of millions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from translators.dtypes import F32, DType
from translators.ranges import ElementRange
from translators.recipes.pieces import Bytes, Source

Doubles = npt.NDArray[np.float64]
Function = Literal["cos", "sin"]

_SLAB = 1 << 15
# Above this, pi / 2 in parts times the quadrant's number is no longer exact.
LARGEST_ANGLE = float(1 << 24)
# pi / 2, the first two parts with 28 bits each.
_PARTS = tuple(map(float.fromhex, ("0x1.921fb54p+0", "0x1.10b461p-30", "0x1.a62633145c06ep-58")))
_SIN = (
    -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800, 1 / 6227020800, -1 / 1307674368000,
    1 / 355687428096000,
)  # fmt: skip
_COS = (
    -1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800, 1 / 479001600, -1 / 87178291200, 1 / 20922789888000,
)  # fmt: skip


class Rotary(msgspec.Struct, frozen=True, tag="rotary", tag_field="op", array_like=True, gc=False):
    """`function` of position times frequency, times `scale`. Frequencies are float32 numbers."""

    frequencies: tuple[float, ...]
    rows: int
    function: Function
    scale: float

    @property
    def dtype(self) -> DType:
        """F32."""
        return F32

    @property
    def shape(self) -> tuple[int, ...]:
        """A row for each position, a column for each frequency."""
        return (self.rows, len(self.frequencies))

    @property
    def unit(self) -> int:
        """One element."""
        return 1

    @property
    def source_bytes(self) -> int:
        """None."""
        return 0

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`; nothing is read."""
        made = np.empty(elements.count, np.float32)
        frequencies = np.array(self.frequencies, np.float32)
        for at in range(0, elements.count, _SLAB):
            numbers = np.arange(elements.first + at, min(elements.first + at + _SLAB, elements.end))
            positions = (numbers // len(frequencies)).astype(np.float32)
            angles = positions * frequencies[numbers % len(frequencies)]
            values = turned(angles.astype(np.float64), self.function).astype(np.float32)
            made[at : at + len(numbers)] = values * np.float32(self.scale)
        return made.view(np.uint8)


def turned(angles: Doubles, function: Function) -> Doubles:
    """Cosine or sine of angles, each at most LARGEST_ANGLE, by plain sums and products."""
    quadrants = np.rint(angles * (2 / np.pi))
    rest = angles
    for part in _PARTS:
        rest = rest - quadrants * part
    square = rest * rest
    sine = rest + rest * square * _series(_SIN, square)
    cosine = 1 + square * _series(_COS, square)
    quarter = (quadrants.astype(np.int64) + (1 if function == "cos" else 0)) % 4
    found = np.where(quarter % 2 == 0, sine, cosine)
    return np.where(quarter >= 2, -found, found)


def _series(coefficients: Sequence[float], x: Doubles) -> Doubles:
    value = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


def rotary(frequencies: Sequence[float], rows: int, function: Function, scale: float = 1.0) -> Rotary:
    """The table of `rows` positions. Raises ValueError for what makes none."""
    numbers = np.array(frequencies, np.float32)
    if not numbers.size or not 0 < rows < 1 << 24:
        raise ValueError(f"no table of {rows} positions and {numbers.size} frequencies")
    if not (np.isfinite(numbers).all() and numbers.min() >= 0 and numbers.max() * rows <= LARGEST_ANGLE):
        raise ValueError(f"angles beyond {LARGEST_ANGLE:,.0f}")
    return Rotary(tuple(map(float, numbers)), rows, function, float(np.float32(scale)))
