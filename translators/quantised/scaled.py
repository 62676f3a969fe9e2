"""Weights that lie in their own shape with a scale beside them: FP8 in its forms, and BitNet.

    fp8          `weight` and `weight_scale_inv` (DeepSeek, Qwen, Mistral), blocks of 128 x 128 or one scale
    fbgemm_fp8   `weight` and `weight_scale` [rows, 1]
    modelopt     `weight` and `weight_scale`, one or one a row
    bitnet       four codes a byte, each for a quarter of the rows; the scale is to be divided by

Facts of upstream's converter (`dequant_model`) and of transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.quantised.configuration import PLACE, malformed
from translators.quantised.logical import Workings, fitting
from translators.recipes import bands, scaled

_MOST_DIMENSIONS = 4


def fp8(workings: Workings, settings: Mapping[str, Any]) -> None:
    """Put weights in the place of those with a `_scale_inv` or Mistral's `qscale_weight`."""
    block = block_of(settings.get("weight_block_size"), f"{PLACE}.weight_block_size")
    for name in workings.names("_scale_inv", ".qscale_weight"):
        end = "_scale_inv" if name.endswith("_scale_inv") else "qscale_weight"
        weight = name.removesuffix(end) + ("weight" if end == "qscale_weight" else "")
        _scale(workings, weight, name, block)
    workings.drop(".activation_scale", "_activation_scale", ".qscale_act")


def per_weight(workings: Workings, settings: Mapping[str, Any]) -> None:
    """Put weights in the place of those with a `weight_scale`, whose shape tells what it covers."""
    for name in workings.names(".weight_scale"):
        _scale(workings, name.removesuffix("_scale"), name, ())
    workings.drop(".input_scale_ub")


def modelopt(workings: Workings, settings: Mapping[str, Any]) -> None:
    """As `per_weight`; scales of what is quantised while the model runs are of no use."""
    for name in workings.names(".weight_scale"):
        weight = name.removesuffix("_scale")
        if weight in workings.recipes:
            _scale(workings, weight, name, ())
        else:
            workings.drop(name)
    workings.drop(".input_scale", ".k_scale", ".v_scale")


def bitnet(workings: Workings, settings: Mapping[str, Any]) -> None:
    """Put weights of -1, 0 and 1, divided by their scale, in the place of packed ones."""
    for name in workings.names(".weight_scale"):
        weight = name.removesuffix("_scale")
        with fitting(weight):
            codes = bands(workings.weight(weight), 2)
            scale = workings.take(name)
            workings.recipes[weight] = scaled(codes, scale, shift=1, divided=True)


def block_of(value: object, place: str) -> tuple[int, ...]:
    """The size of a block as a configuration has it; () for None. Raises MalformedSource."""
    if value is None:
        return ()
    if (
        not isinstance(value, list)
        or len(value) > _MOST_DIMENSIONS
        or not all(type(size) is int and 0 < size < 1 << 31 for size in value)
    ):
        raise malformed(f"{value!r:.40} is no size of a block", place)
    return tuple(value)


def _scale(workings: Workings, weight: str, scale: str, block: tuple[int, ...]) -> None:
    with fitting(weight):
        workings.recipes[weight] = scaled(workings.weight(weight), workings.take(scale), block)
