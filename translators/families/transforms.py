"""Transforms: how a tensor of a checkpoint becomes one of a GGUF, and the way back where there is one.

    Rule("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", Rotary("num_attention_heads"))

Each is data; the numbers that it needs come from the configuration. One tensor may become several (`Split`).
What computes with values does so as upstream: in F16 or F32 as stored, in F32 for everything else.
Knows nothing of names, nor of how a recipe is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from translators.dtypes import F16, F32
from translators.errors import MalformedSource, Unsupported
from translators.recipes import Recipe, cast, concat, gather, map_, permute, reshape, slice_, swap_rows
from translators.recipes.arithmetic import MapName

_REMEDY = "take config.json from the model's original repository"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a transform is at work: the configuration, the tensor's name where it is stored, its layer."""

    config: Mapping[str, Any]
    name: str = ""
    layer: int = 0

    def count(self, *keys: str) -> int:
        """A positive number of the configuration, the first of `keys` there. Raises MalformedSource."""
        key = next((key for key in keys if key in self.config), keys[0])
        value = self.config.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
            raise MalformedSource(f"{value!r:.40} is no count", path="config.json", place=key, remedy=_REMEDY)
        return value

    def misfit(self, reason: str) -> MalformedSource:
        """The error for a tensor that does not fit its configuration."""
        return MalformedSource(reason, place=f"tensor {self.name}", remedy="check config.json")


@dataclass(frozen=True, slots=True)
class Transform:
    """The identity, and what all transforms have in common."""

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """The tensors of a GGUF, in the order of the rule's names. Raises MalformedSource for a misfit."""
        return (of,)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """The checkpoint's tensor. Raises Unsupported where the values cannot be had back exactly."""
        (only,) = parts
        return only


SAME = Transform()


@dataclass(frozen=True, slots=True)
class Rotary(Transform):
    """Rows of each head stored half by half in a checkpoint, pair by pair for llama.cpp's llama graph.

    key: of the configuration, for the number of heads; key-value heads that it does not tell are as many as
    there are others.
    """

    key: str

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """Pair by pair."""
        groups, half = self._halves(of, at)
        return (swap_rows(of, groups, 2, half),)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """Half by half."""
        (of,) = parts
        groups, half = self._halves(of, at)
        return swap_rows(of, groups, half, 2)

    def _halves(self, of: Recipe, at: Place) -> tuple[int, int]:
        groups, rows = head_count(at, self.key), of.shape[0] if of.shape else 0
        if rows % (2 * groups) or not prod(of.shape):
            raise at.misfit(f"{rows} rows cannot be divided among {groups} heads")
        return groups, rows // groups // 2


def head_count(at: Place, key: str) -> int:
    """The number of heads: `num_attention_heads`, or `num_key_value_heads`, which are as many if null."""
    if key == "num_key_value_heads":
        place = "n_kv_heads" if "n_kv_heads" in at.config else key
        # A configuration that says nothing has been completed.
        if place not in at.config or at.config[place] is not None:
            return at.count(place)
    return at.count("n_heads", "num_attention_heads")


@dataclass(frozen=True, slots=True)
class Computed(Transform):
    """A function of each value, as `recipes.map_` knows it, and the one that undoes it if one does."""

    function: MapName
    operand: float = 0.0
    inverse: tuple[MapName, float] | None = None

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """The function's values."""
        return (map_(computable(of), self.function, self.operand),)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """The values before: with another rounding where the function's own lost bits."""
        if self.inverse is None:
            raise Unsupported("values whose computation cannot be undone exactly", place=f"tensor {at.name}")
        (of,) = parts
        return map_(computable(of), *self.inverse)


def added(number: float) -> Computed:
    """A number added to each value: norms that are stored as their distance from 1."""
    return Computed("add", number, ("add", -number))


NEGATED_EXP = Computed("negate_exp")


def computable(of: Recipe) -> Recipe:
    """A recipe in a type to compute with: F16 and F32 as they are, all else as F32."""
    return of if of.dtype in (F16, F32) else cast(of, F32)


@dataclass(frozen=True, slots=True)
class Permuted(Transform):
    """Axes in another order: the result's first axis is the tensor's `axes[0]`."""

    axes: tuple[int, ...] = (1, 0)

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """In the new order; a tensor of another number of axes (a bias) is left as it is."""
        return (permute(of, self.axes) if len(of.shape) == len(self.axes) else of,)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """In the old order."""
        (of,) = parts
        if len(of.shape) != len(self.axes):
            return of
        return permute(of, tuple(self.axes.index(axis) for axis in range(len(self.axes))))


TRANSPOSED = Permuted()


@dataclass(frozen=True, slots=True)
class Split(Transform):
    """One tensor divided along an axis: into equal parts, or by numbers of rows from the configuration.

    axis:  counted from the end if negative.
    sizes: what the parts' sizes are in proportion to.
    """

    count: int
    axis: int = 0
    sizes: Callable[[Place], tuple[int, ...]] | None = None

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """The parts, in order."""
        axis = self.axis % max(1, len(of.shape))
        if len(of.shape) <= axis:
            raise at.misfit(f"{len(of.shape)} dimensions are too few")
        parts = (1,) * self.count if self.sizes is None else self.sizes(at)
        whole, rows = sum(parts), of.shape[axis]
        if not whole or rows % whole:
            raise at.misfit(f"{rows} rows cannot be divided into {self.count} parts")
        made, start = [], 0
        for part in parts:
            stop = start + rows // whole * part
            made.append(slice_(of, axis, start, stop))
            start = stop
        return tuple(made)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """The parts one behind the other."""
        return concat(parts, self.axis % len(parts[0].shape))


@dataclass(frozen=True, slots=True)
class Squeezed(Transform):
    """A tensor without one axis of size 1."""

    axis: int = 1

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """Without the axis, if it is there."""
        if len(of.shape) <= self.axis or of.shape[self.axis] != 1:
            return (of,)
        return (reshape(of, of.shape[: self.axis] + of.shape[self.axis + 1 :]),)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """With it."""
        (of,) = parts
        return reshape(of, (*of.shape[: self.axis], 1, *of.shape[self.axis :]))


@dataclass(frozen=True, slots=True)
class Regrouped(Transform):
    """Rows (or another axis) in an order that a function of the place tells: result row i is row order[i]."""

    order: Callable[[Place, int], tuple[int, ...]]
    axis: int = 0

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """In the new order."""
        return (gather(of, self.axis, self.order(at, of.shape[self.axis])),)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """In the old order."""
        (of,) = parts
        order = self.order(at, of.shape[self.axis])
        back = sorted(range(len(order)), key=order.__getitem__)
        return gather(of, self.axis, tuple(back))


@dataclass(frozen=True, slots=True)
class Chain(Transform):
    """One transform after the other; only the last may divide the tensor."""

    steps: tuple[Transform, ...]

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """All steps, from the first."""
        for step in self.steps[:-1]:
            (of,) = step.to_gguf(of, at)
        return self.steps[-1].to_gguf(of, at)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """All steps undone, from the last."""
        for step in reversed(self.steps):
            parts = (step.to_huggingface(parts, at),)
        return parts[0]


def chain(*steps: Transform) -> Chain:
    """One transform after the other."""
    return Chain(steps)


@dataclass(frozen=True, slots=True)
class Custom(Transform):
    """A transform of one family alone: functions of recipes and place."""

    forward: Callable[[Recipe, Place], tuple[Recipe, ...]]
    backward: Callable[[tuple[Recipe, ...], Place], Recipe] | None = None

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """What `forward` makes."""
        return self.forward(of, at)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """What `backward` makes. Raises Unsupported if there is none."""
        if self.backward is None:
            raise Unsupported("a tensor with no way back to its checkpoint's", place=f"tensor {at.name}")
        return self.backward(parts, at)
