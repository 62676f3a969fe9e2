"""Affine: weights quantised as MLX does it, and such weights dequantised.

    packed, scales, biases = affine(weight, bits, group)
    weight = dequantised(packed, scales, biases, bits, group)

What is packed are words of 32 bits; scales and biases are of the weight's own type, one a group of a row.
Every group stands alone, so any range costs as much of the source as it has groups.
Knows nothing of names.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from translators.dtypes import DTYPES, F32, DType
from translators.quants import affine as arithmetic
from translators.quants import convert
from translators.ranges import ElementRange
from translators.recipes.pieces import Bytes, Source, piece

if TYPE_CHECKING:
    from translators.recipes import Recipe

Part = Literal["codes", "scales", "biases"]

# Elements read at once, and elements computed at once: these stay in a core's own cache.
_STRETCH, _SLAB = 1 << 21, 1 << 15
_WORD = 32


class Affine(msgspec.Struct, frozen=True, tag="affine", tag_field="op", array_like=True):
    """One of the three tensors that a weight becomes. `of` is of floats, its rows of whole groups."""

    of: Recipe
    bits: int
    group: int
    part: Part

    @property
    def dtype(self) -> DType:
        """Words for the codes, else the weight's own type."""
        return DTYPES["U32"] if self.part == "codes" else self.of.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The weight's, with rows of words, or one number a group."""
        *outer, columns = self.of.shape
        return (*outer, columns // self.group * self.unit)

    @property
    def unit(self) -> int:
        """What one group gives."""
        return self.group * self.bits // _WORD if self.part == "codes" else 1

    @property
    def source_bytes(self) -> int:
        """The operand's."""
        return self.of.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole units. Raises BadValues (NaN and infinity)."""
        size = self.dtype.size
        made = np.empty(elements.count * size, np.uint8)
        for first, groups in _stretches(elements, self.unit, self.group):
            run = ElementRange(first * self.group, groups * self.group)
            raw = piece(self.of, run, source)
            step = _SLAB // self.group
            for at in range(0, groups, step):
                end = min(at + step, groups)
                width = self.of.dtype.size * self.group
                values = convert(self.of.dtype, F32, raw[at * width : end * width], first=0, checked=False)
                start = ((first + at) * self.unit - elements.first) * size
                part = self._part(values.view(np.float32).reshape(-1, self.group))
                made[start : start + part.size] = part
        return made

    def _part(self, values: arithmetic.Floats) -> Bytes:
        if self.part == "codes":
            return arithmetic.quantised(values, self.bits)
        scales, biases = arithmetic.grid(values, self.bits)
        numbers = np.ascontiguousarray(scales if self.part == "scales" else biases)
        return convert(F32, self.dtype, numbers.view(np.uint8), first=0, checked=False)


class Dequantised(msgspec.Struct, frozen=True, tag="dequantised", tag_field="op", array_like=True):
    """The weight that three tensors of MLX stand for, in the type of its scales."""

    codes: Recipe
    scales: Recipe
    biases: Recipe
    bits: int
    group: int

    @property
    def dtype(self) -> DType:
        """The type of the scales."""
        return self.scales.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The scales', with a group for each."""
        *outer, groups = self.scales.shape
        return (*outer, groups * self.group)

    @property
    def unit(self) -> int:
        """One group."""
        return self.group

    @property
    def source_bytes(self) -> int:
        """All of the three."""
        return self.codes.source_bytes + self.scales.source_bytes + self.biases.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`, which are whole units."""
        words = self.group * self.bits // _WORD
        made = np.empty(self.dtype.nbytes(elements.count), np.uint8)
        for first, groups in _stretches(elements, self.group, self.group):
            raw = piece(self.codes, ElementRange(first * words, groups * words), source)
            scales = self._numbers(self.scales, first, groups, source)
            biases = self._numbers(self.biases, first, groups, source)
            step = _SLAB // self.group
            for at in range(0, groups, step):
                end = min(at + step, groups)
                codes = arithmetic.unpacked(raw[at * words * 4 : end * words * 4], self.bits)
                values = arithmetic.dequantised(
                    codes.reshape(-1, self.group), scales[at:end], biases[at:end], self.dtype.name
                )
                start = self.dtype.nbytes((first + at) * self.group - elements.first)
                part = convert(F32, self.dtype, values.reshape(-1).view(np.uint8), first=0, checked=False)
                made[start : start + part.size] = part
        return made

    def _numbers(self, of: Recipe, first: int, count: int, source: Source) -> arithmetic.Floats:
        raw = piece(of, ElementRange(first, count), source)
        return convert(of.dtype, F32, raw, first=first, checked=False).view(np.float32)


def _stretches(elements: ElementRange, unit: int, group: int) -> Iterator[tuple[int, int]]:
    """`elements`, units of a group each, as runs of groups: the first and how many."""
    step = _STRETCH // group
    for first in range(elements.first // unit, elements.end // unit, step):
        yield first, min(step, elements.end // unit - first)


def affine(of: Recipe, bits: int, group: int) -> tuple[Affine, Affine, Affine]:
    """Codes, scales and biases of a weight. Raises ValueError for what MLX does not quantise either."""
    if bits not in arithmetic.BITS or group not in arithmetic.GROUPS:
        raise ValueError(f"MLX has no codes of {bits} bits in groups of {group}")
    if not of.dtype.is_float or len(of.shape) < 2 or of.shape[-1] % group or not prod(of.shape):
        raise ValueError(f"{of.dtype.name} of shape {list(of.shape)} has no groups of {group}")
    return (
        Affine(of, bits, group, "codes"),
        Affine(of, bits, group, "scales"),
        Affine(of, bits, group, "biases"),
    )


def dequantised(codes: Recipe, scales: Recipe, biases: Recipe, bits: int, group: int) -> Dequantised:
    """The weight that the three stand for. Raises ValueError if they do not fit."""
    if bits not in arithmetic.BITS or group not in arithmetic.GROUPS:
        raise ValueError(f"MLX has no codes of {bits} bits in groups of {group}")
    if codes.dtype.name != "U32" or not scales.dtype.is_float or biases.dtype is not scales.dtype:
        kinds = ", ".join(part.dtype.name for part in (codes, scales, biases))
        raise ValueError(f"codes, scales and biases of types {kinds}")
    *outer, words = codes.shape
    fits = scales.shape == biases.shape and scales.shape[:-1] == tuple(outer) and len(outer) in (1, 2)
    if not fits or not prod(codes.shape) or words * _WORD != scales.shape[-1] * group * bits:
        raise ValueError(
            f"words of shape {list(codes.shape)} and scales of shape {list(scales.shape)} "
            f"are no {bits} bits in groups of {group}"
        )
    return Dequantised(codes, scales, biases, bits, group)
