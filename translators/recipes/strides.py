"""Strided: a tensor that lies in its storage by steps of its own, as a view of another does in PyTorch.

What it costs: as many short reads as there are runs that the storage has in order; a view whose last
dimensions lie close together is read in runs of these.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from translators.errors import MalformedSource
from translators.recipes.leaves import Stored
from translators.recipes.movement import Movement, Runs
from translators.recipes.permuting import permute
from translators.recipes.shapes import reshape, slice_

if TYPE_CHECKING:
    from translators.recipes import Recipe


class Strided(Movement, frozen=True, tag="strided", gc=False):
    """Element (i, j, ...) of the result is element `offset` + i * steps[0] + j * steps[1] + ... of `of`."""

    to: tuple[int, ...]
    steps: tuple[int, ...]
    offset: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The view's."""
        return self.to

    def trace(self, runs: Runs) -> Runs:
        """By the coordinates of each run before the last dimensions that lie close together."""
        grain, outer = 1, len(self.to)
        while outer and self.steps[outer - 1] == grain:
            grain *= self.to[outer - 1]
            outer -= 1
        cut, cell = runs.cut(grain)
        origin, left = np.full_like(cell, self.offset), cell
        for size, step in zip(reversed(self.to[:outer]), reversed(self.steps[:outer]), strict=True):
            origin = origin + left % size * step
            left = left // size
        return cut.moved(origin - cell * grain)


def strided(of: Stored, shape: tuple[int, ...], steps: tuple[int, ...], offset: int) -> Recipe:
    """The view of `shape` of a flat storage, from element `offset` on, by `steps` elements a dimension.

    What lies in one run is a `Stored`; a transposed matrix is a permuted one. Raises MalformedSource for a
    view that reaches beyond its storage.
    """
    if len(shape) != len(steps) or min((*shape, *steps, offset), default=0) < 0:
        raise MalformedSource(f"no view has shape {shape} and strides {steps} from element {offset}")
    count = prod(shape)
    last = offset + sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
    if count and last >= prod(of.shape):
        raise MalformedSource(f"element {last} of a storage of {prod(of.shape)} elements does not exist")
    flat = reshape(of, (prod(of.shape),))
    # A dimension of one may have any step.
    whole = tuple(step if size != 1 else 0 for size, step in zip(shape, steps, strict=True))
    order = tuple(sorted(range(len(shape)), key=lambda axis: -whole[axis]))
    if not count or _is_contiguous([(shape[axis], whole[axis]) for axis in order]):
        inner = slice_(flat, 0, min(offset, prod(of.shape)), min(offset, prod(of.shape)) + count)
        placed = reshape(inner, tuple(shape[axis] for axis in order) if count else shape)
        return permute(placed, tuple(order.index(axis) for axis in range(len(shape)))) if count else placed
    return Strided(flat, shape, steps, offset)


def _is_contiguous(dimensions: list[tuple[int, int]]) -> bool:
    """Whether (size, step), the widest step first, are those of one run."""
    expected = 1
    for size, step in reversed(dimensions):
        if size != 1 and step != expected:
            return False
        expected *= size
    return True
