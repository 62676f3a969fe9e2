"""Arithmetic, element by element, as torch does it on a CPU.

Numbers are F32, or F16: these are computed in float32 and rounded to nearest even, once for each operation.
Every other type is F32 from the start, as upstream makes of it what is no F16. exp, softplus and sqrt are the
rounded float64 values: torch's own may be off by one in the last place, and differ between machines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from translators.dtypes import DTYPES, F16, F32, DType
from translators.ranges import ElementRange
from translators.recipes.casting import cast
from translators.recipes.pieces import Bytes, Source, piece
from translators.recipes.shapes import expand

if TYPE_CHECKING:
    from translators.recipes import Recipe

Floats = npt.NDArray[np.float32]
MapName = Literal["add", "multiply", "divide", "negate", "exp", "negate_exp", "sqrt", "softplus"]
CombineName = Literal["add", "subtract", "multiply", "divide"]


def _exp(values: Floats) -> Floats:
    return np.exp(values.astype(np.float64)).astype(np.float32)


def _softplus(values: Floats) -> Floats:
    wide = values.astype(np.float64)
    # torch's own limit, beyond which it gives the number itself.
    return np.where(values > 20, values, np.log1p(np.exp(np.minimum(wide, 20)))).astype(np.float32)


_MAPS: dict[str, Callable[[Floats, np.float32], Floats]] = {
    "add": lambda values, operand: values + operand,
    "multiply": lambda values, operand: values * operand,
    "divide": lambda values, operand: values / operand,
    "negate": lambda values, _: -values,
    "exp": lambda values, _: _exp(values),
    "negate_exp": lambda values, _: -_exp(values),
    "sqrt": lambda values, _: np.sqrt(values),
    "softplus": lambda values, _: _softplus(values),
}
_COMBINATIONS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
}


class Map(msgspec.Struct, frozen=True, tag="map", tag_field="op", array_like=True, gc=False):
    """A function of each element, and of `operand` where it takes one. The operand's type is F16 or F32."""

    of: Recipe
    function: MapName
    operand: float = 0.0

    @property
    def dtype(self) -> DType:
        """The operand's."""
        return self.of.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The operand's."""
        return self.of.shape

    @property
    def unit(self) -> int:
        """One element."""
        return 1

    @property
    def source_bytes(self) -> int:
        """The operand's."""
        return self.of.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`."""
        with np.errstate(all="ignore"):
            values = _values(self.of, elements, source)
            operand = np.float32(self.operand)
            if self.function == "add" and self.dtype is F16:
                # torch adds a number that is rounded as well, but multiplies and divides by it as it is.
                operand = np.float32(np.float16(self.operand))
            return _rounded(_MAPS[self.function](values, operand), self.dtype)


class Combine(msgspec.Struct, frozen=True, tag="combine", tag_field="op", array_like=True, gc=False):
    """A function of each two elements of tensors of one shape. F16 of two F16, else F32."""

    function: CombineName
    left: Recipe
    right: Recipe

    @property
    def dtype(self) -> DType:
        """F16 where both are."""
        return F16 if self.left.dtype is F16 and self.right.dtype is F16 else F32

    @property
    def shape(self) -> tuple[int, ...]:
        """The left one's, and the right one's."""
        return self.left.shape

    @property
    def unit(self) -> int:
        """One element."""
        return 1

    @property
    def source_bytes(self) -> int:
        """Of both together."""
        return self.left.source_bytes + self.right.source_bytes

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        """The bytes of `elements`."""
        left = _values(self.left, elements, source)
        right = _values(self.right, elements, source)
        with np.errstate(all="ignore"):
            return _rounded(_COMBINATIONS[self.function](left, right), self.dtype)


def _values(of: Recipe, elements: ElementRange, source: Source) -> Floats:
    """Elements of F16 or F32 as float32."""
    raw = piece(of, elements, source)
    return raw.view("<f4") if of.dtype is F32 else raw.view("<f2").astype(np.float32)


def _rounded(values: Floats, dtype: DType) -> Bytes:
    made = values if dtype is F32 else values.astype("<f2")
    return np.ascontiguousarray(made).view(np.uint8)


def map_(of: Recipe, function: MapName, operand: float = 0.0) -> Recipe:
    """`function` of each element, in F16 for F16 and F32 for every other type. Raises ValueError."""
    if function not in _MAPS:
        raise ValueError(f"{function!r} is no function of an element")
    return Map(_computable(of), function, operand)


def combine(function: CombineName, left: Recipe, right: Recipe) -> Recipe:
    """`function` of `left` and `right`, which is broadcast to it as NumPy does. Raises MalformedSource."""
    if function not in _COMBINATIONS:
        raise ValueError(f"{function!r} is no function of two elements")
    return Combine(function, _computable(left), expand(_computable(right), left.shape))


def _computable(of: Recipe) -> Recipe:
    return of if of.dtype is F16 else cast(of, DTYPES["F32"])
