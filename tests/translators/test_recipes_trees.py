"""Recipes of recipes, at random: the whole is NumPy's, and any range is that range of the whole."""

from __future__ import annotations

from math import prod

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.translators.memory import Memory
from translators.dtypes import BF16, DTYPES, F16, F32
from translators.errors import MalformedSource, Unsupported
from translators.recipes import (
    Recipe,
    Stored,
    SwapRows,
    cast,
    combine,
    concat,
    expand,
    fill,
    gather,
    map_,
    nbytes,
    pad,
    permute,
    read_bytes,
    reshape,
    slice_,
    split,
    stack,
    stored_bytes,
    transpose2d,
)

TYPES = (np.float16, np.float32, np.float64, np.int64, np.uint8, np.int16)
Made = tuple[Recipe, np.ndarray]


class Grower:
    """Makes trees: each with the array that NumPy makes of the same values."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.Generator(np.random.PCG64(seed))
        self.source = Memory()

    def number(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return int(self.random.integers(low, high + 1))

    def leaf(self, shape: tuple[int, ...], dtype: np.dtype) -> Made:
        values = (self.random.standard_normal(shape) * 20).astype(dtype)
        return self.source.put(values), values

    def tree(self, depth: int) -> Made:
        if depth == 0:
            dtype = np.dtype(TYPES[self.number(0, len(TYPES) - 1)])
            shape = tuple(self.number(1, 9) for _ in range(self.number(1, 4)))
            return self.leaf(shape, dtype)
        steps = (self.sliced, self.stepped, self.gathered, self.permuted, self.reshaped, self.concatenated)
        steps += (
            self.stacked,
            self.padded,
            self.swapped,
            self.expanded,
            self.cast,
            self.mapped,
            self.combined,
        )
        return steps[self.number(0, len(steps) - 1)](*self.tree(depth - 1))

    def sliced(self, of: Recipe, values: np.ndarray) -> Made:
        axis = self.number(0, values.ndim - 1)
        start = self.number(0, values.shape[axis] - 1)
        stop = self.number(start + 1, values.shape[axis])
        return slice_(of, axis - values.ndim, start, stop), values.take(range(start, stop), axis)

    def stepped(self, of: Recipe, values: np.ndarray) -> Made:
        axis, step = self.number(0, values.ndim - 1), self.number(2, 4)
        held = values.shape[axis]
        start = self.number(0, held - 1)
        return slice_(of, axis, start, held, step), values.take(range(start, held, step), axis)

    def gathered(self, of: Recipe, values: np.ndarray) -> Made:
        axis = self.number(0, values.ndim - 1)
        indices = tuple(self.random.integers(0, values.shape[axis], self.number(1, 12)).tolist())
        return gather(of, axis, indices), values.take(indices, axis)

    def permuted(self, of: Recipe, values: np.ndarray) -> Made:
        axes = tuple(self.random.permutation(values.ndim).tolist())
        return permute(of, axes), values.transpose(axes)

    def reshaped(self, of: Recipe, values: np.ndarray) -> Made:
        size = values.shape[self.number(0, values.ndim - 1)]
        return reshape(of, (-1, size)), values.reshape(-1, size)

    def concatenated(self, of: Recipe, values: np.ndarray) -> Made:
        axis = self.number(0, values.ndim - 1)
        shape = (*values.shape[:axis], self.number(1, 5), *values.shape[axis + 1 :])
        other, others = self.leaf(shape, values.dtype) if values.dtype.name != "bfloat16" else (of, values)
        return concat((of, other, of), axis), np.concatenate((values, others, values), axis)

    def stacked(self, of: Recipe, values: np.ndarray) -> Made:
        other, others = self.leaf(values.shape, values.dtype)
        return stack((other, of, other)), np.stack((others, values, others))

    def padded(self, of: Recipe, values: np.ndarray) -> Made:
        axis, before, after = self.number(0, values.ndim - 1), self.number(0, 2), self.number(0, 3)
        widths = [(before, after) if number == axis else (0, 0) for number in range(values.ndim)]
        return pad(of, axis, before, after), np.pad(values, widths)

    def swapped(self, of: Recipe, values: np.ndarray) -> Made:
        rows = values.shape[0]
        groups = self.number(1, rows)
        groups = groups if rows % groups == 0 else 1
        outer = 2 if rows // groups % 2 == 0 else 1
        inner = rows // groups // outer
        viewed = values.reshape(groups, outer, inner, -1).swapaxes(1, 2).reshape(values.shape)
        return SwapRows(of, groups, outer, inner), viewed

    def expanded(self, of: Recipe, values: np.ndarray) -> Made:
        axis = self.number(0, values.ndim - 1)
        of, values = slice_(of, axis, 0, 1), values.take([0], axis)
        shape = (2, *values.shape[:axis], self.number(1, 6), *values.shape[axis + 1 :])
        return expand(of, shape), np.broadcast_to(values, shape)

    def cast(self, of: Recipe, values: np.ndarray) -> Made:
        single = values.astype(np.float32)
        if self.number(0, 1):
            return cast(of, F32), single
        return cast(of, F16), values if values.dtype == np.float16 else single.astype(np.float16)

    def mapped(self, of: Recipe, values: np.ndarray) -> Made:
        if values.dtype != np.float16:
            values = values.astype(np.float32)
        made = (values.astype(np.float32) * np.float32(0.7)).astype(values.dtype)
        return map_(of, "multiply", 0.7), made

    def combined(self, of: Recipe, values: np.ndarray) -> Made:
        shape = tuple(size if self.number(0, 1) else 1 for size in values.shape)[
            self.number(0, values.ndim - 1) :
        ]
        other, others = self.leaf(shape, np.dtype(np.float16))
        result = np.float16 if values.dtype == np.float16 else np.float32
        made = (values.astype(np.float32) - others.astype(np.float32)).astype(result)
        return combine("subtract", of, other), made


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 5), st.data())
def test_a_tree_is_numpys_and_any_range_of_it(seed: int, depth: int, data: st.DataObject) -> None:
    grower = Grower(seed)
    with np.errstate(all="ignore"):
        recipe, values = grower.tree(depth)
    whole = np.ascontiguousarray(values).tobytes()
    assert recipe.shape == values.shape
    assert nbytes(recipe) == len(whole)
    assert read_bytes(recipe, 0, len(whole), grower.source).tobytes() == whole
    assert stored_bytes(recipe) >= 0
    for _ in range(4):
        offset = data.draw(st.integers(0, len(whole)))
        length = data.draw(st.integers(0, len(whole) - offset))
        assert read_bytes(recipe, offset, length, grower.source).tobytes() == whole[offset : offset + length]
    # As data it is the same recipe.
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(recipe), type=Recipe) == recipe


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**40), st.sampled_from(["Q8_0", "Q4_K", "Q6_K", "MXFP4"]), st.data())
def test_rows_of_blocks_are_moved_whole(seed: int, name: str, data: st.DataObject) -> None:
    grower, dtype = Grower(seed), DTYPES[name]
    columns = dtype.block * grower.number(1, 3)
    shape = (grower.number(1, 4), grower.number(1, 6), dtype.nbytes(columns))
    values = grower.random.integers(0, 256, shape, np.uint8)
    recipe: Recipe = grower.source.put(values, name, (*shape[:2], columns))
    for _ in range(grower.number(1, 4)):
        step = grower.number(0, 5)
        if step == 0:
            recipe, values = stack((recipe, recipe)), np.stack((values, values))
        elif step == 1:
            recipe, values = concat((recipe, recipe), -2), np.concatenate((values, values), -2)
        elif step == 2:
            indices = tuple(grower.random.integers(0, values.shape[-2], 3).tolist())
            recipe, values = gather(recipe, -2, indices), values.take(indices, -2)
        elif step == 3:
            recipe, values = slice_(recipe, 0, 0, 1), values[:1]
        elif step == 4:
            axes = (*grower.random.permutation(values.ndim - 1).tolist(), values.ndim - 1)
            recipe, values = permute(recipe, axes), values.transpose(axes)
        else:
            recipe, values = reshape(recipe, (-1, columns)), values.reshape(-1, values.shape[-1])
    whole = np.ascontiguousarray(values).tobytes()
    assert read_bytes(recipe, 0, nbytes(recipe), grower.source).tobytes() == whole
    offset = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, len(whole) - offset))
    assert read_bytes(recipe, offset, length, grower.source).tobytes() == whole[offset : offset + length]


def test_parts_of_rows_of_blocks_are_refused() -> None:
    source = Memory()
    blocks = source.put(np.zeros(4 * 68, np.uint8), "Q8_0", (4, 64))
    for refused in (
        lambda: slice_(blocks, 1, 0, 32),
        lambda: gather(blocks, -1, (3, 1)),
        lambda: transpose2d(blocks),
        lambda: reshape(blocks, (16, 16)),
    ):
        with pytest.raises(Unsupported):
            refused()
    with pytest.raises(ValueError, match="Q8_0"):
        pad(blocks, 0, 0, 1)


def test_what_does_not_fit_is_refused_when_it_is_made() -> None:
    source = Memory()
    of, other = source.put(np.zeros((4, 6), np.float32)), source.put(np.zeros((3, 5), np.float32))
    for refused in (
        lambda: slice_(of, 0, 2, 5),
        lambda: slice_(of, 2, 0, 1),
        lambda: slice_(of, 0, 3, 2),
        lambda: gather(of, 0, (4,)),
        lambda: gather(of, 0, (-1,)),
        lambda: split(of, 0, 1, 2),
        lambda: reshape(of, (5, 5)),
        lambda: reshape(of, (-1, 7)),
        lambda: reshape(of, (-4, -6)),
        lambda: permute(of, (0, 0)),
        lambda: transpose2d(source.put(np.zeros(4, np.float32))),
        lambda: concat((of, other), 0),
        lambda: concat((of, of), 2),
        lambda: concat((of, cast(of, F16)), 0),
        lambda: stack((of, other)),
        lambda: expand(of, (4, 12)),
        lambda: expand(of, (6,)),
        lambda: combine("add", of, other),
    ):
        with pytest.raises(MalformedSource):
            refused()


def test_what_need_not_be_done_is_left_out() -> None:
    source = Memory()
    values = np.arange(2 * 4 * 6, dtype=np.float32).reshape(2, 4, 6)
    of = source.put(values)
    assert slice_(of, 1, 0, 4) is of
    assert reshape(of, (2, 4, 6)) is of
    assert permute(of, (0, 1, 2)) is of
    assert transpose2d(transpose2d(of)) is of
    assert concat((of,)) is of
    assert pad(of, 0, 0, 0) is of
    assert isinstance(stack((of,)), Stored)
    # Rows of a stored tensor, and a stored tensor in another shape, are slices of the source.
    for made, expected in (
        (slice_(of, 0, 1, 2), values[1:]),
        (slice_(slice_(of, 0, 1, 2), 1, 1, 3), values[1:, 1:3]),
        (gather(of, 0, (1,)), values[1:]),
        (split(reshape(of, (8, 6)), 0, 3, 5)[1], values.reshape(8, 6)[3:]),
        (permute(reshape(of, (8, 1, 6)), (1, 0, 2)), values.reshape(1, 8, 6)),
    ):
        assert isinstance(made, Stored)
        assert read_bytes(made, 0, nbytes(made), source).tobytes() == expected.tobytes()
        assert stored_bytes(made) == expected.nbytes


def test_source_bytes_of_what_is_made() -> None:
    source = Memory()
    of = source.put(np.zeros((8, 32), np.float16))
    assert stored_bytes(of) == 512
    assert stored_bytes(cast(of, F32)) == 512
    assert stored_bytes(gather(of, 0, (7, 1))) == 128
    assert stored_bytes(gather(of, 0, (7, 1) * 8)) == 512
    assert stored_bytes(slice_(of, 1, 0, 32, 2)) == 256
    assert stored_bytes(transpose2d(of)) == 512
    assert stored_bytes(stack((of, of, of))) == 1536
    assert stored_bytes(pad(of, 0, 4, 4)) == 512
    assert stored_bytes(expand(slice_(of, 0, 0, 1), (8, 32))) == 64
    assert stored_bytes(combine("add", of, slice_(of, 0, 0, 1))) == 576
    assert stored_bytes(fill((10, 10), BF16, 1.5)) == 0


@pytest.mark.parametrize("dtype", [F32, F16, BF16])
def test_a_fill_is_its_number_rounded(dtype: object) -> None:
    recipe = fill((3, 5), dtype, 1 / 3)  # type: ignore[arg-type]
    made = read_bytes(cast(recipe, F32), 0, 60, Memory()).view(np.float32)
    assert prod(made.shape) == 15
    assert (made == made[0]).all()
    assert abs(float(made[0]) - 1 / 3) < 2**-9
