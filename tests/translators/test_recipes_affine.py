"""MLX's quantiser and its way back: digests of MLX itself, and any range equal to the whole."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pytest

from tests.oracle.mlx import cases
from tests.translators.memory import Memory
from translators.dtypes import DTYPES, F32
from translators.errors import BadValues
from translators.quants import convert
from translators.recipes import Literal, Recipe, cast, nbytes, read_bytes, stack
from translators.recipes.affine import affine, dequantised

GOLDEN = json.loads((Path(cases.__file__).parent / "golden.json").read_text())


def weight(dtype: str) -> Recipe:
    values = cases.weights(dtype)
    raw = convert(F32, DTYPES[dtype], values.reshape(-1).view(np.uint8), first=0, checked=False)
    return Literal(raw.tobytes(), dtype, values.shape)


def content(recipe: Recipe, offset: int = 0, length: int | None = None) -> bytes:
    count = nbytes(recipe) - offset if length is None else length
    return read_bytes(recipe, offset, count, Memory()).tobytes()


@pytest.mark.parametrize("dtype", cases.TYPES)
@pytest.mark.parametrize("bits", cases.BITS)
@pytest.mark.parametrize("group", cases.GROUPS)
def test_quantised_and_dequantised_as_mlx_does(dtype: str, bits: int, group: int) -> None:
    parts = affine(weight(dtype), bits, group)
    back = dequantised(*parts, bits, group)
    assert [part.dtype.name for part in (*parts, back)] == ["U32", dtype, dtype, dtype]
    found = [hashlib.sha256(content(part)).hexdigest()[:16] for part in (*parts, back)]
    assert found == GOLDEN[f"{dtype} {bits} {group}"]


@pytest.mark.parametrize(("bits", "group"), [(4, 64), (3, 32), (5, 128), (6, 64), (8, 32), (2, 64)])
def test_any_range_equals_the_whole(bits: int, group: int) -> None:
    rng = random.Random(bits)
    of = stack([weight("F32"), weight("F32")])
    parts = affine(cast(of, DTYPES["BF16"]), bits, group)
    for recipe in (*parts, dequantised(*parts, bits, group)):
        whole = content(recipe)
        assert len(whole) == nbytes(recipe)
        for _ in range(40):
            start = rng.randrange(len(whole))
            length = min(rng.choice((1, 3, 64, 777, 8000)), len(whole) - start)
            assert content(recipe, start, length) == whole[start : start + length]


def test_a_long_read_equals_short_ones() -> None:
    """Stretches and slabs leave no seam."""
    values = np.random.default_rng(3).integers(-99, 99, (70, 1 << 15)).astype(np.float32)
    of = Literal(values.tobytes(), "F32", values.shape)
    for recipe in affine(of, 3, 64):
        whole = content(recipe)
        at = len(whole) * 9 // 10
        assert content(recipe, at, 500) == whole[at : at + 500]
        row = affine(Literal(values[-1:].tobytes(), "F32", (1, 1 << 15)), 3, 64)
        last = next(part for part in row if part.part == recipe.part)
        assert whole.endswith(content(last))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_has_no_code_is_refused(bad: float) -> None:
    values = np.ones((2, 64), np.float32)
    values[1, 40] = bad
    for recipe in affine(Literal(values.tobytes(), "F32", values.shape), 4, 32):
        with pytest.raises(BadValues):
            content(recipe)


def test_what_does_not_fit_is_refused() -> None:
    of = weight("F16")
    codes, scales, biases = affine(of, 4, 64)
    for weights, bits, group in ((of, 7, 64), (of, 4, 16), (scales, 4, 32), (codes, 4, 32)):
        with pytest.raises(ValueError):
            affine(weights, bits, group)
    three = (codes, scales, biases)
    for wrong_three, bits, group in (
        (three, 8, 64),
        ((scales, scales, biases), 4, 64),
        ((codes, codes, biases), 4, 64),
        (three, 4, 32),
    ):
        with pytest.raises(ValueError):
            dequantised(*wrong_three, bits, group)
