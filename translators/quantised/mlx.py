"""MLX's quantised folders: codes in words, a scale and a bias for each group of a row.

    weight [rows, columns * bits / 32] U32   scales, biases [rows, columns / group]

`quantization` in config.json has bits and group size, and those of single layers that differ. Values are
those of `mlx.core.dequantize` on a processor, in the type of the scales. Experts, which mlx-lm keeps in one
stack, become tensors of their own again, as a checkpoint has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.mlx_names import TYPES, expert_of
from translators.quantised.configuration import MLX_PLACE, malformed
from translators.quantised.logical import REMEDY, Workings, fitting
from translators.recipes import Recipe, reshape, slice_
from translators.recipes.affine import dequantised

_MOST_EXPERTS = 4096


def dequantise(workings: Workings, settings: Mapping[str, Any]) -> None:
    """Put weights in the place of quantised ones, and experts in the place of stacks."""
    for name in workings.names(".scales"):
        layer = name.removesuffix(".scales")
        own = settings.get(layer)
        bits, group = _form({**settings, **own} if isinstance(own, dict) else settings)
        weight = f"{layer}.weight"
        codes, scales = workings.weight(weight), workings.take(name)
        biases = workings.take(f"{layer}.biases")
        with fitting(weight):
            workings.recipes[weight] = dequantised(codes, scales, biases, bits, group)
    kind = TYPES.get(str(workings.model.config.get("model_type")))
    if kind is None or not kind.block:
        return
    unstacked: dict[str, Recipe] = {}
    for name, recipe in workings.recipes.items():
        expert = expert_of(kind, name)
        unstacked |= {name: recipe} if expert is None else _experts(expert, recipe, name)
    workings.recipes = unstacked


def _form(settings: Mapping[str, Any]) -> tuple[int, int]:
    mode = settings.get("mode", "affine")
    if mode != "affine":
        raise Unsupported(
            f"MLX weights quantised as {mode!r:.40}", path="config.json", place=f"{MLX_PLACE}.mode",
            remedy="use the checkpoint that they were made from, or one quantised as 'affine'",
        )  # fmt: skip
    bits, group = settings.get("bits"), settings.get("group_size")
    if type(bits) is not int or type(group) is not int:
        raise malformed("bits and group_size are no numbers", MLX_PLACE)
    return bits, group


def _experts(name: str, stacked: Recipe, place: str) -> dict[str, Recipe]:
    count = stacked.shape[0]
    if len(stacked.shape) < 2 or count > _MOST_EXPERTS:
        raise MalformedSource(f"{count:,} experts", place=f"tensor {place}", remedy=REMEDY)
    return {
        name.format(expert): reshape(slice_(stacked, 0, expert, expert + 1), stacked.shape[1:])
        for expert in range(count)
    }
