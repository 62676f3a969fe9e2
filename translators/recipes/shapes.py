"""Movements by shape: the same elements seen otherwise, some of them, or some of them often.

The structs are what a recipe is made of; the functions below them make recipes: they check shapes, and leave
out what is not needed, so that rows of a stored tensor are a stored tensor again, which a reader gets without
translation. Elements of a type of blocks lie in rows, and only whole rows of them are moved.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from translators.errors import MalformedSource, Unsupported
from translators.model import Extent
from translators.recipes.leaves import Stored
from translators.recipes.movement import Movement, Runs

if TYPE_CHECKING:
    from translators.recipes import Recipe

_REMEDY = "check config.json"


class SwapRows(Movement, frozen=True, tag="swap_rows"):
    """Rows of each of `groups` groups, viewed as (outer, inner), swapped to (inner, outer).

    With groups = heads, outer = 2 and inner = head_dim / 2 this undoes Hugging Face's rotary order of
    q and k rows, as llama.cpp's llama graph wants them; with outer and inner exchanged it is the inverse.
    A tensor of one dimension counts as rows of one element.
    """

    groups: int
    outer: int
    inner: int

    def trace(self, runs: Runs) -> Runs:
        """Row (g, i, o) comes from row (g, o, i)."""
        rows = self.outer * self.inner
        grain = prod(self.of.shape) // (self.groups * rows)
        cut, row = runs.cut(grain)
        within = row % rows
        origin = row - within + within % self.outer * self.inner + within // self.outer
        return cut.moved((origin - row) * grain)


class Reshape(Movement, frozen=True, tag="reshape"):
    """The same elements in the same order under another shape."""

    new: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The new shape."""
        return self.new

    def trace(self, runs: Runs) -> Runs:
        """As they are."""
        return runs


class Slice(Movement, frozen=True, tag="slice"):
    """Along `axis` the indices `start`, `start + step`, ... below `stop`."""

    axis: int
    start: int
    stop: int
    step: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """As many as are taken along the axis."""
        taken = len(range(self.start, self.stop, self.step))
        return (*self.of.shape[: self.axis], taken, *self.of.shape[self.axis + 1 :])

    def trace(self, runs: Runs) -> Runs:
        """Without steps, what lies behind the axis moves as one."""
        inner, held = prod(self.of.shape[self.axis + 1 :]), self.of.shape[self.axis]
        taken = len(range(self.start, self.stop, self.step))
        if self.step == 1:
            cut, outer = runs.cut(taken * inner)
            return cut.moved((outer * (held - taken) + self.start) * inner)
        cut, cell = runs.cut(inner)
        origin = cell // taken * held + self.start + cell % taken * self.step
        return cut.moved((origin - cell) * inner)


class Gather(Movement, frozen=True, tag="gather"):
    """Along `axis` these indices, in this order; any of them may come more than once."""

    axis: int
    indices: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """As many as are taken along the axis."""
        return (*self.of.shape[: self.axis], len(self.indices), *self.of.shape[self.axis + 1 :])

    def trace(self, runs: Runs) -> Runs:
        """Each index by itself; neighbours are found to be neighbours afterwards."""
        inner, held, taken = prod(self.of.shape[self.axis + 1 :]), self.of.shape[self.axis], len(self.indices)
        cut, cell = runs.cut(inner)
        origin = cell // taken * held + np.array(self.indices, np.int64)[cell % taken]
        return cut.moved((origin - cell) * inner)


class Expand(Movement, frozen=True, tag="expand"):
    """NumPy's broadcasting to shape `to`: dimensions of one, and missing first ones, are repeated."""

    to: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape broadcast to."""
        return self.to

    def trace(self, runs: Runs) -> Runs:
        """By the coordinates of each run within the dimensions that are not alike from the last one on."""
        held = (1,) * (len(self.to) - len(self.of.shape)) + self.of.shape
        same = next((n for n in range(len(held)) if held[-1 - n] != self.to[-1 - n]), len(held))
        grain = prod(held[len(held) - same :])
        cut, cell = runs.cut(grain)
        origin, left, width = np.zeros_like(cell), cell, 1
        for size, had in reversed(list(zip(self.to[: len(held) - same], held, strict=False))):
            if had > 1:
                origin = origin + left % size * width
                width *= had
            left = left // size
        return cut.moved((origin - cell) * grain)


def swap_rows(of: Recipe, groups: int, outer: int, inner: int) -> Recipe:
    """Rows of each group swapped, or swapped back if they were (see `SwapRows`)."""
    if isinstance(of, SwapRows) and (of.groups, of.inner, of.outer) == (groups, outer, inner):
        return of.of
    return SwapRows(of, groups, outer, inner)


def reshape(of: Recipe, shape: tuple[int, ...]) -> Recipe:
    """`of` under another shape. One dimension may be -1: whatever is left. Raises MalformedSource."""
    if shape.count(-1) == 1:
        others = -prod(shape)
        shape = tuple(prod(of.shape) // max(1, others) if size == -1 else size for size in shape)
    if prod(shape) != prod(of.shape) or min(shape, default=0) < 0:
        raise MalformedSource(f"shape {_shown(of)} cannot be seen as {shape}", remedy=_REMEDY)
    if shape == of.shape:
        return of
    if of.dtype.block > 1 and (not shape or shape[-1] % of.dtype.block):
        raise Unsupported(f"rows of {shape[-1:]} are no whole blocks of {of.dtype.name}")
    if isinstance(of, Stored):
        return Stored(of.extent, of.type, shape)
    return Reshape(of.of if isinstance(of, Reshape) else of, shape)


def slice_(of: Recipe, axis: int, start: int, stop: int, step: int = 1) -> Recipe:
    """Along `axis` (negative: from the last) from `start` to before `stop`, which lie within, by `step`.

    Raises MalformedSource where the tensor has no such indices, Unsupported for parts of rows of blocks.
    """
    axis = _axis(of, axis)
    held = of.shape[axis]
    if not 0 <= start <= stop <= held or step < 1:
        raise MalformedSource(
            f"shape {_shown(of)} has no {start} to {stop} along axis {axis}", remedy=_REMEDY
        )
    if start == 0 and stop == held and step == 1:
        return of
    _whole_rows(of, axis)
    if isinstance(of, Stored) and step == 1 and prod(of.shape[:axis]) == 1:
        inner = prod(of.shape[axis + 1 :])
        offset = of.extent.offset + of.dtype.nbytes(start * inner)
        extent = Extent(of.extent.file, offset, of.dtype.nbytes((stop - start) * inner))
        return Stored(extent, of.type, (*of.shape[:axis], stop - start, *of.shape[axis + 1 :]))
    return Slice(of, axis, start, stop, step)


def split(of: Recipe, axis: int, *sizes: int) -> tuple[Recipe, ...]:
    """`of` in consecutive parts of these sizes along `axis`, which they fill. Raises as `slice_`."""
    if sum(sizes) != of.shape[_axis(of, axis)]:
        raise MalformedSource(f"axis {axis} of shape {_shown(of)} is not {sizes} together", remedy=_REMEDY)
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return tuple(slice_(of, axis, start, start + size) for start, size in zip(starts, sizes, strict=True))


def gather(of: Recipe, axis: int, indices: tuple[int, ...]) -> Recipe:
    """Along `axis` the given indices, in the order given. Raises as `slice_`."""
    axis = _axis(of, axis)
    if not all(0 <= index < of.shape[axis] for index in indices):
        raise MalformedSource(
            f"shape {_shown(of)} has not all of the indices along axis {axis}", remedy=_REMEDY
        )
    if indices and indices == tuple(range(indices[0], indices[0] + len(indices))):
        return slice_(of, axis, indices[0], indices[0] + len(indices))
    _whole_rows(of, axis)
    return Gather(of, axis, indices)


def expand(of: Recipe, shape: tuple[int, ...]) -> Recipe:
    """`of` broadcast to `shape` by NumPy's rule. Raises MalformedSource where it does not fit."""
    held = (1,) * (len(shape) - len(of.shape)) + of.shape
    if len(held) != len(shape) or any(had not in (1, size) for had, size in zip(held, shape, strict=True)):
        raise MalformedSource(f"shape {_shown(of)} cannot be broadcast to {shape}", remedy=_REMEDY)
    if prod(held) == prod(shape):
        return reshape(of, shape)
    if held[-1] != shape[-1]:
        _whole_rows(of, len(of.shape) - 1)
    return Expand(of, shape)


def _axis(of: Recipe, axis: int) -> int:
    if not -len(of.shape) <= axis < len(of.shape):
        raise MalformedSource(f"shape {_shown(of)} has no axis {axis}", remedy=_REMEDY)
    return axis % len(of.shape)


def _whole_rows(of: Recipe, axis: int) -> None:
    if of.dtype.block > 1 and axis == len(of.shape) - 1:
        raise Unsupported(f"parts of rows of {of.dtype.name} cannot be had")


def _shown(of: Recipe) -> str:
    return "x".join(map(str, of.shape)) or "of no dimension"
