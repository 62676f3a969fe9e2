"""compressed-tensors: floats and integers of eight bits, packed integers of fewer, and four-bit floats.

    float-quantized, int-quantized, naive-quantized   `weight`, `weight_scale`, perhaps `weight_zero_point`
    pack-quantized      `weight_packed`: 32-bit words along the input; zero points are packed along the output
    mxfp4-pack-quantized, nvfp4-pack-quantized        see `blocks`

A scale is one for all, one a row, one a stretch of a row (`group`), or one a block. Upstream's converter
knows rows and blocks of the first kind and stretches of the second; the rest is as the library itself has
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from translators.quantised import blocks
from translators.quantised.configuration import PLACE, malformed, number, unsupported
from translators.quantised.logical import Workings, fitting
from translators.quantised.scaled import block_of
from translators.recipes import Recipe, Stored, scaled, unpacked

_PLAIN = ("float-quantized", "int-quantized", "naive-quantized")
# Of what is quantised while the model runs, and of the cache.
_RUNNING = (
    ".input_scale", ".input_zero_point", ".output_scale", ".output_zero_point", ".input_global_scale",
    ".q_scale", ".k_scale", ".v_scale",
)  # fmt: skip
_FEWER_THAN_A_WORD = (1, 2, 4, 8)


def decompress(workings: Workings, settings: Mapping[str, Any]) -> None:
    """Put weights in the place of those of eight bits, and at the end in the stead of packed ones."""
    form, groups = settings.get("format"), settings.get("config_groups")
    if not isinstance(groups, dict) or not all(isinstance(group, dict) for group in groups.values()):
        raise malformed("it is missing, or none", f"{PLACE}.config_groups")
    if blocks.is_nvfp4(form, groups):
        return
    if form == "mxfp4-pack-quantized":
        blocks.mxfp4_pairs(workings)
    elif len(groups) != 1:
        raise unsupported(f"{len(groups)} kinds of quantisation in one model", "config_groups")
    else:
        (group,) = groups.values()
        weights = group.get("weights")
        if not isinstance(weights, dict):
            raise malformed("it says nothing of weights", f"{PLACE}.config_groups")
        if form in _PLAIN:
            _plain(workings, weights)
        elif form == "pack-quantized":
            _packed(workings, weights)
        else:
            raise unsupported(f"weights stored as {form!r:.60}", "format")
    workings.drop(*_RUNNING)


def _plain(workings: Workings, weights: Mapping[str, Any]) -> None:
    block = block_of(weights.get("block_structure"), f"{PLACE}.config_groups.weights.block_structure")
    group = number(weights, "group_size", default=-1)
    if not block and group > 0 and weights.get("strategy") == "group":
        block = (1, group)
    for name in workings.names(".weight_scale"):
        weight = name.removesuffix("_scale")
        with fitting(weight):
            codes, scale = workings.weight(weight), workings.take(name)
            zero = workings.take_if(f"{weight}_zero_point")
            workings.recipes[weight] = scaled(codes, scale, block, zero=zero)


def _packed(workings: Workings, weights: Mapping[str, Any]) -> None:
    bits = number(weights, "num_bits")
    if bits not in _FEWER_THAN_A_WORD:
        # The library packs these without a gap, older versions with one, and nothing tells which it was.
        raise unsupported(f"packed weights of {bits} bits", "config_groups.weights.num_bits")
    if weights.get("type", "int") != "int":
        raise unsupported(f"packed weights of type {weights['type']!r:.40}", "config_groups.weights.type")
    group = number(weights, "group_size", default=-1)
    for name in workings.names(".weight_packed"):
        weight = name.removesuffix("_packed")
        packed = workings.take(name)
        scale = workings.take(f"{weight}_scale")
        shape = workings.take(f"{weight}_shape")
        zero = workings.take_if(f"{weight}_zero_point")
        groups = workings.take_if(f"{weight}_g_idx")
        with fitting(weight):
            rows, columns = _shape(workings, shape, weight)
            if len(packed.shape) != 2 or packed.shape[0] != rows or packed.dtype.name != "I32":
                raise ValueError(
                    f"{packed.dtype.name} of shape {list(packed.shape)} are no {rows} packed rows"
                )
            codes = unpacked(packed, bits, axis=1, count=columns)
            recipe = scaled(
                codes,
                scale,
                (1, group) if group > 0 and groups is None else (),
                zero=_zeros(zero, bits, rows),
                shift=0 if zero is not None else 1 << bits - 1,
                groups=groups,
            )
        workings.put_last(weight, recipe)


def _zeros(zero: Stored | None, bits: int, rows: int) -> Recipe | None:
    return None if zero is None else unpacked(zero, bits, axis=0, count=rows)


def _shape(workings: Workings, shape: Stored, weight: str) -> tuple[int, int]:
    kind = {"I32": np.int32, "I64": np.int64}.get(shape.dtype.name)
    if kind is None or shape.shape != (2,):
        raise ValueError(f"{shape.dtype.name} of shape {list(shape.shape)} is no shape of a matrix")
    rows, columns = workings.values(shape, f"{weight}_shape").view(kind).tolist()
    if rows < 1 or columns < 1:
        raise ValueError(f"{rows} x {columns} is no shape")
    return rows, columns
