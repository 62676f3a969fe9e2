"""ONNX Runtime's four bits: digests of its own quantiser, and any range equal to the whole."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pytest

from tests.oracle.onnx import cases
from tests.translators.memory import Memory
from translators.dtypes import BF16, DTYPES, F32
from translators.errors import BadValues
from translators.quants import convert
from translators.recipes import Literal, Recipe, cast, nbits, nbytes, read_bytes
from translators.recipes.nbits import NBits

GOLDEN = json.loads((Path(cases.__file__).parent / "quantised.json").read_text())


def weight(dtype: str, columns: int = cases.COLUMNS) -> Recipe:
    values = np.ascontiguousarray(cases.weights(dtype)[:, :columns])
    raw = convert(F32, DTYPES[dtype], values.reshape(-1).view(np.uint8), first=0, checked=False)
    return Literal(raw.tobytes(), dtype, values.shape)


def content(recipe: Recipe, offset: int = 0, length: int | None = None) -> bytes:
    count = nbytes(recipe) - offset if length is None else length
    return read_bytes(recipe, offset, count, Memory()).tobytes()


@pytest.mark.parametrize("dtype", cases.TYPES)
@pytest.mark.parametrize("columns", cases.LENGTHS)
def test_quantised_as_onnxruntime_does(dtype: str, columns: int) -> None:
    codes, scales = nbits(weight(dtype, columns))
    blocks = -(-columns // 32)
    assert (codes.dtype.name, codes.shape) == ("U8", (40, blocks, 16))
    assert (scales.dtype.name, scales.shape) == ("F32", (40, blocks))
    found = [hashlib.sha256(content(part)).hexdigest()[:16] for part in (codes, scales)]
    assert found == GOLDEN[f"{dtype} {columns}"]


@pytest.mark.parametrize("columns", [256, 250, 225])
def test_any_range_equals_the_whole(columns: int) -> None:
    rng = random.Random(columns)
    for recipe in nbits(cast(weight("F32", columns), BF16)):
        whole = content(recipe)
        assert len(whole) == nbytes(recipe)
        for _ in range(40):
            start = rng.randrange(len(whole))
            length = min(rng.choice((1, 3, 64, 777, 8000)), len(whole) - start)
            assert content(recipe, start, length) == whole[start : start + length]


def test_a_long_read_equals_short_ones() -> None:
    values = np.random.default_rng(1).standard_normal((1 << 7, 1 << 15)).astype(np.float32)
    for recipe in nbits(Literal(values.tobytes(), "F32", values.shape)):
        row = nbits(Literal(values[-1:].tobytes(), "F32", (1, 1 << 15)))[recipe.part == "scales"]
        assert content(recipe)[-nbytes(row) :] == content(row)


def test_values_are_within_half_a_step() -> None:
    values = cases.weights("BF16")
    codes, scales = nbits(Literal(values.tobytes(), "F32", values.shape))
    pairs = np.frombuffer(content(codes), np.uint8).reshape(40, 8, 16, 1)
    numbers = np.concatenate([pairs & 15, pairs >> 4], axis=-1).reshape(40, 8, 32).astype(np.float32) - 8
    steps = np.frombuffer(content(scales), np.float32).reshape(40, 8, 1)
    wrong = np.abs(numbers * steps - values.reshape(40, 8, 32))
    # A number as far from zero as the furthest, but of the other sign, has no code of its own.
    assert np.all(wrong <= np.abs(steps) * np.where(numbers == 7, 1.0, 0.5001))


def test_behind_an_odd_row_is_a_zero() -> None:
    codes = np.frombuffer(content(nbits(weight("F32", 33))[0]), np.uint8).reshape(40, 2, 16)
    assert np.all(codes[:, 1, 0] >> 4 == 8)
    assert not codes[:, 1, 1:].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_has_no_code_is_an_error(value: float) -> None:
    values = np.ones((2, 64), np.float32)
    values[1, 40] = value
    for recipe in nbits(Literal(values.tobytes(), "F32", values.shape)):
        with pytest.raises(BadValues, match="NaN or infinity"):
            content(recipe)


def test_a_small_read_costs_a_small_part() -> None:
    source = Memory()
    of = source.put(np.ones((512, 4096), np.float32))
    codes, scales = nbits(of)
    for recipe, share in ((codes, 8), (scales, 32)):
        source.asked.clear()
        read_bytes(recipe, 4096, 1024, source)
        assert source.bytes_asked == 1024 * share
    assert isinstance(codes, NBits)
    assert codes.source_bytes == nbytes(of)


def test_only_matrices_of_floats_are_quantised() -> None:
    for of in (
        Literal(bytes(64), "I8", (1, 64)),
        Literal(bytes(256), "F32", (64,)),
        Literal(b"", "F32", (0, 64)),
    ):
        with pytest.raises(ValueError, match="no matrix"):
            nbits(of)


def test_blocks_of_a_gguf_are_only_laid_out_anew() -> None:
    values = np.random.default_rng(5).standard_normal((64, 256)).astype(np.float32)
    blocks = convert(F32, DTYPES["Q4_0"], values.reshape(-1).view(np.uint8), first=0, checked=False)
    codes, scales = nbits(cast(Literal(blocks.tobytes(), "Q4_0", values.shape), F32))
    held = blocks.reshape(-1, 18)
    pairs = np.frombuffer(content(codes), np.uint8).reshape(-1, 16)
    found = np.stack([pairs & 15, pairs >> 4], axis=-1).reshape(-1, 32)
    assert np.array_equal(found, np.concatenate([held[:, 2:] & 15, held[:, 2:] >> 4], axis=1))
    steps = held[:, :2].copy().view("<f2").reshape(-1).astype(np.float32)
    assert np.array_equal(np.frombuffer(content(scales), np.float32), steps)
