"""bitsandbytes: NF4 and FP4, whose scales may be quantised themselves, and LLM.int8.

    weight                        two codes a byte, of a tensor without rows; of any type that storage was
    told weight.absmax                 a scale a block: F32, or bytes that stand for numbers of
    nested_quant_map, weight.nested_absmax          each times a scale of its own block, plus an offset
    weight.quant_state.bitsandbytes__nf4   JSON: the shape, the size of the blocks, the type computed in

    weight, SCB                   LLM.int8: integers, and the largest of each row

What upstream's converter lacks; values are those of the library, in the type it computes in. Its table of
numbers is its own, whatever `weight.quant_map` says, as in all of its kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from typing import Literal as OneOf

import msgspec
import numpy as np

from translators.dtypes import DTYPES
from translators.quantised.logical import Workings, fitting
from translators.recipes import Literal, Recipe, Stored, cast, codebook, map_, scaled

_STATE = ".quant_state.bitsandbytes__"
_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip
# Code 8 is minus zero in the library's kernels, and zero where it has none: for rows of an odd length.
_FP4 = (
    0.0, 0.005208333333, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25,
    -0.0, -0.005208333333, -0.66666667, -1.0, -0.33333333, -0.5, -0.16666667, -0.25,
)  # fmt: skip
_TABLES = {
    kind: Literal(np.array(table, np.float32).tobytes(), "F32", (16,))
    for kind, table in (("nf4", _NF4), ("fp4", _FP4))
}
_INT8 = 7.874015718698502e-3  # 1 / 127, as the library rounds it
_TYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}

_Size = Annotated[int, msgspec.Meta(gt=0, lt=1 << 40)]


class _State(msgspec.Struct, frozen=True):
    """What the JSON of a weight tells. What else is in it is of no use here."""

    quant_type: OneOf["nf4", "fp4"]
    blocksize: OneOf[32, 64, 128, 256, 512, 1024, 2048, 4096]
    dtype: OneOf["float32", "float16", "bfloat16"]
    shape: tuple[_Size, ...]
    nested_blocksize: OneOf[64, 128, 256, 512, 1024, 2048, 4096] = 256
    nested_offset: float = 0.0


_DECODER = msgspec.json.Decoder(_State)


def dequantise(workings: Workings, settings: Mapping[str, Any]) -> None:
    """Put weights in the place of quantised ones."""
    for name in list(workings.recipes):
        weight, state, _ = name.partition(_STATE)
        if state:
            _four_bits(workings, weight, name)
        elif name.endswith(".SCB"):
            weight = name.removesuffix("SCB") + "weight"
            with fitting(weight):
                exact = scaled(workings.weight(weight), workings.take(name))
                workings.recipes[weight] = map_(exact, "multiply", _INT8)
    workings.drop(".weight_format")


def _four_bits(workings: Workings, weight: str, name: str) -> None:
    with fitting(name):
        state = _DECODER.decode(workings.values(workings.take(name), name).tobytes())
    stored = workings.weight(weight)
    workings.take_if(f"{weight}.quant_map")
    with fitting(weight):
        recipe = codebook(
            _bytes(stored),
            _TABLES[state.quant_type],
            _scales(workings, weight, state),
            state.blocksize,
            state.shape,
        )
        workings.recipes[weight] = cast(recipe, DTYPES[_TYPES[state.dtype]])


def _scales(workings: Workings, weight: str, state: _State) -> Recipe:
    scales = workings.take(f"{weight}.absmax")
    if scales.dtype.name == "F32":
        return scales
    table = workings.take(f"{weight}.nested_quant_map")
    outer = workings.take(f"{weight}.nested_absmax")
    offset = state.nested_offset
    return codebook(scales, table, outer, state.nested_blocksize, scales.shape, offset=offset)


def _bytes(of: Stored) -> Stored:
    """A tensor as the bytes that it is."""
    return Stored(of.extent, "U8", (of.extent.length,))
