"""Tables of cosines and sines: the nearest numbers, the same for any range."""

from __future__ import annotations

import numpy as np
import pytest

from tests.translators.memory import Memory
from translators.dtypes import F16
from translators.recipes import cast, nbytes, read_bytes, rotary
from translators.recipes.rotary import LARGEST_ANGLE, turned

FREQUENCIES = (1.0, 0.25, 0.01, 1.5e-6, 0.0)


@pytest.mark.parametrize("function", ["cos", "sin"])
def test_turned_is_what_a_wider_float_gives(function: str) -> None:
    random = np.random.default_rng(3)
    for largest in (1.0, 1000.0, 131072.0, LARGEST_ANGLE):
        angles = random.uniform(0, largest, 1 << 14).astype(np.float32).astype(np.float64)
        exact = getattr(np, function)(angles.astype(np.longdouble))
        assert np.abs(turned(angles, function) - exact).max() < 3e-16  # type: ignore[arg-type]


@pytest.mark.parametrize("function", ["cos", "sin"])
def test_a_row_for_each_position(function: str) -> None:
    recipe = rotary(FREQUENCIES, 50_000, function, 1.25)  # type: ignore[arg-type]
    assert recipe.shape == (50_000, 5)
    data = read_bytes(recipe, 0, nbytes(recipe), Memory())
    found = data.view("<f4").reshape(recipe.shape)
    angles = np.arange(50_000, dtype=np.float32)[:, None] * np.array(FREQUENCIES, np.float32)
    exact = getattr(np, function)(angles.astype(np.longdouble)).astype(np.float32) * np.float32(1.25)
    assert np.array_equal(found, exact)
    for start, length in ((0, 1), (777, 4000), (999_999, 1), (600_001, 123_457)):
        part = read_bytes(recipe, start, length, Memory())
        assert np.array_equal(part, data[start : start + length])


def test_in_half_precision_it_is_rounded_once() -> None:
    recipe = rotary((1.0, 0.5), 100, "cos")
    half = read_bytes(cast(recipe, F16), 0, 400, Memory()).view("<f2")
    whole = read_bytes(recipe, 0, 800, Memory()).view("<f4")
    assert np.array_equal(half, whole.astype("<f2"))


@pytest.mark.parametrize(
    ("frequencies", "rows"),
    [((), 10), ((1.0,), 0), ((float("nan"),), 10), ((-1.0,), 10), ((1.0,), 1 << 24), ((1e6,), 1000)],
)
def test_what_makes_no_table(frequencies: tuple[float, ...], rows: int) -> None:
    with pytest.raises(ValueError, match=r"table|angles"):
        rotary(frequencies, rows, "sin")
