"""Arithmetic of recipes: torch's bytes for what is exact, the rounded true value for the rest."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from tests.translators.memory import Memory
from translators.recipes import Recipe, combine, map_, nbytes, read_bytes

# All finite halves, and singles of every magnitude.
HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
HALVES = HALVES[np.isfinite(HALVES)]
SINGLES = (np.arange(1 << 16, dtype=np.uint32) * np.uint32(65521)).view(np.float32)
SINGLES = SINGLES[np.isfinite(SINGLES)]
VALUES = {"F16": HALVES, "F32": SINGLES}

# What torch 2 makes of these on a CPU, by digest and without the NaN: of each with an operand, or combined
# with the same numbers in reverse order.
TORCH = [
    ("F16", "add", "1.0", "21b150b3cbced431"),
    ("F16", "multiply", "1.0", "2da4a859a17780f6"),
    ("F16", "divide", "1.0", "2da4a859a17780f6"),
    ("F16", "add", "0.7", "86e5394675bb6ebd"),
    ("F16", "multiply", "0.7", "afdd5264ce183cf6"),
    ("F16", "divide", "0.7", "12eb6840bb6391bf"),
    ("F16", "add", "-3.3e-05", "06cf50bb22c460ec"),
    ("F16", "multiply", "-3.3e-05", "97b85025554cf0c7"),
    ("F16", "divide", "-3.3e-05", "e03c849215b4c5a9"),
    ("F16", "sqrt", "0.0", "b7bcd5adba72831a"),
    ("F16", "negate", "0.0", "ead0f9692a8f1bc2"),
    ("F16", "combine", "add", "4d507b1419a8913c"),
    ("F16", "combine", "subtract", "8ca583167e0247cc"),
    ("F16", "combine", "multiply", "deb741b1c105ce48"),
    ("F16", "combine", "divide", "eefa1de95e14ab4b"),
    ("F32", "add", "1.0", "25df535e4c103c46"),
    ("F32", "multiply", "1.0", "9d1f841a7997f4ec"),
    ("F32", "divide", "1.0", "9d1f841a7997f4ec"),
    ("F32", "add", "0.7", "d1e0ef4036e722e2"),
    ("F32", "multiply", "0.7", "9e1a715742426388"),
    ("F32", "divide", "0.7", "4efa07b64bce2037"),
    ("F32", "add", "-3.3e-05", "8558d903068be00b"),
    ("F32", "multiply", "-3.3e-05", "1133c7a05ff0e803"),
    ("F32", "divide", "-3.3e-05", "f22c21168078534e"),
    ("F32", "negate", "0.0", "33bc4b5fd75236a1"),
    ("F32", "combine", "add", "aab7401349295323"),
    ("F32", "combine", "subtract", "7c5e987b20c34dca"),
    ("F32", "combine", "multiply", "1b1535ffab420c75"),
    ("F32", "combine", "divide", "5448aae12e05d709"),
]


def made(recipe: Recipe, source: Memory) -> np.ndarray:
    raw = read_bytes(recipe, 0, nbytes(recipe), source)
    return raw.view(np.float16 if recipe.dtype.name == "F16" else np.float32)


@pytest.mark.parametrize(("dtype", "function", "operand", "digest"), TORCH)
def test_numbers_are_torchs(dtype: str, function: str, operand: str, digest: str) -> None:
    source = Memory()
    of = source.put(VALUES[dtype])
    if function == "combine":
        recipe = combine(operand, of, source.put(VALUES[dtype][::-1].copy()))  # type: ignore[arg-type]
    else:
        recipe = map_(of, function, float(operand))  # type: ignore[arg-type]
    assert recipe.dtype.name == dtype
    numbers = made(recipe, source)
    assert hashlib.sha256(numbers[~np.isnan(numbers)].tobytes()).hexdigest()[:16] == digest


def test_exponentials_are_the_rounded_ones() -> None:
    source = Memory()
    values = np.linspace(-12, 11, 4001).astype(np.float32)
    of = source.put(values)
    expected = np.array([math.exp(value) for value in values.tolist()]).astype(np.float32)
    assert made(map_(of, "exp"), source).tobytes() == expected.tobytes()
    assert made(map_(of, "negate_exp"), source).tobytes() == (-expected).tobytes()
    half = source.put(values.astype(np.float16))
    expected = np.array([math.exp(value) for value in values.astype(np.float16).tolist()])
    expected = expected.astype(np.float32)
    assert made(map_(half, "exp"), source).tobytes() == expected.astype(np.float16).tobytes()


def test_roots_and_softplus_are_the_rounded_ones() -> None:
    source = Memory()
    values = np.linspace(0, 40, 4001).astype(np.float32)
    of = source.put(values)
    roots = np.array([math.sqrt(value) for value in values.tolist()]).astype(np.float32)
    assert made(map_(of, "sqrt"), source).tobytes() == roots.tobytes()
    soft = [value if value > 20 else math.log1p(math.exp(value)) for value in values.tolist()]
    assert made(map_(of, "softplus"), source).tobytes() == np.array(soft).astype(np.float32).tobytes()


def test_what_is_no_half_is_computed_in_float32() -> None:
    source = Memory()
    bits = np.array([0x3F80, 0x3F81, 0xC000, 0x7F80], np.uint16)
    brain = source.put(bits, "BF16", (4,))
    assert made(map_(brain, "add", 1), source).tolist() == [2.0, 2.0078125, -1.0, math.inf]
    whole = source.put(np.array([[1, 2], [3, 4]], np.int64))
    assert made(combine("divide", whole, source.put(np.array([2], np.int64))), source).tolist() == [
        0.5,
        1,
        1.5,
        2,
    ]
    mixed = combine(
        "add", source.put(np.array([1], np.float16)), source.put(np.array([2.0**-20], np.float32))
    )
    assert made(mixed, source).tolist() == [1 + 2.0**-20]


def test_unknown_functions_are_refused() -> None:
    of = Memory().put(HALVES)
    with pytest.raises(ValueError, match="'cube'"):
        map_(of, "cube")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'cube'"):
        combine("cube", of, of)  # type: ignore[arg-type]
