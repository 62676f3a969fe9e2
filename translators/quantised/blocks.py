"""MXFP4 and NVFP4: four-bit floats in blocks that ggml has as well. Only bits move, no value is computed.

    mxfp4        `*_blocks` [experts, rows, blocks, 16] and `*_scales` (gpt-oss); the logical tensor is called
                 `*.weight`, with its rows in the order of a linear layer, unlike the unquantised one
    mxfp4_pairs  `weight_packed` [rows, columns / 2] and `weight_scale` (compressed-tensors) nvfp4
    `weight`, `weight_scale`, and two numbers for all of it, or those as compressed-tensors calls them,
                 which keeps their reciprocals. Numbers that are not 1 become `scale` and `input_scale`, which
                 llama.cpp multiplies by: so values decide which tensors there are. Experts are stacked here.

All are put first, as upstream writes them before everything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from translators.dtypes import BF16, DTYPES, F32
from translators.errors import Unsupported
from translators.quantised.configuration import PLACE, Quantisation
from translators.quantised.logical import Workings, fitting
from translators.recipes import Literal, Recipe, cast, permute, repacked, stack

_FORMAT = "nvfp4-pack-quantized"
_ALGORITHMS = ("NVFP4", "W4A16_NVFP4")
_EXPERT = re.compile(r"\.experts\.(\d{1,6})\.(gate_proj|up_proj|down_proj)\.weight$")
_LAYER = re.compile(r"\.layers\.(\d{1,6})\.")
# What a factor may be off 1 to count as 1.
_TRIVIAL = 1e-6

Floats = npt.NDArray[np.float32]


def mxfp4(workings: Workings, settings: Mapping[str, Any]) -> None:
    """Put gpt-oss's experts first."""
    for name in workings.names("_blocks"):
        weight = name.removesuffix("_blocks") + ".weight"
        pairs, scales = workings.take(name), workings.take(name.removesuffix("_blocks") + "_scales")
        with fitting(weight):
            if len(pairs.shape) != 4 or pairs.shape[-1] != 16 or pairs.shape[:-1] != scales.shape:
                raise ValueError(f"blocks of shape {list(pairs.shape)}, scales of shape {list(scales.shape)}")
            shape = (*pairs.shape[:2], pairs.shape[2] * 32)
            recipe = repacked(pairs, scales, DTYPES["MXFP4"], shape)
        workings.put_first(weight, recipe)


def mxfp4_pairs(workings: Workings) -> None:
    """Put weights of compressed-tensors first."""
    for name in workings.names(".weight_packed"):
        weight = name.removesuffix("_packed")
        pairs, scales = workings.take(name), workings.take(f"{weight}_scale")
        with fitting(weight):
            if len(pairs.shape) != 2:
                raise ValueError(f"pairs of shape {list(pairs.shape)}")
            recipe = repacked(pairs, scales, DTYPES["MXFP4"], (pairs.shape[0], pairs.shape[1] * 2))
        workings.put_first(weight, recipe)


def unblocked(tensors: Mapping[str, Recipe], first: int) -> dict[str, Recipe]:
    """The tensors of a checkpoint, its `first` ones no blocks any more: as transformers dequantises them.

    gpt-oss's experts are stored transposed then, under their own names. Raises Unsupported for NVFP4.
    """
    made: dict[str, Recipe] = {}
    for place, (name, recipe) in enumerate(tensors.items()):
        if place >= first:
            made[name] = recipe
        elif recipe.dtype.name != "MXFP4":
            raise Unsupported(
                "weights of NVFP4 are read for GGUF files alone",
                path="config.json", place=f"{PLACE}.quant_method", remedy="use model.gguf-bf16",
            )  # fmt: skip
        elif len(recipe.shape) == 3:
            made[name.removesuffix(".weight")] = permute(cast(recipe, BF16), (0, 2, 1))
        else:
            made[name] = cast(recipe, BF16)
    return made


def is_nvfp4(form: object, groups: Mapping[str, Any]) -> bool:
    """Whether all that compressed-tensors has quantised is NVFP4."""
    if form != "mixed-precision":
        return form == _FORMAT
    kinds = [group.get("format") for group in groups.values() if isinstance(group, dict)]
    return bool(groups) and all(kind == _FORMAT for kind in kinds)


def nvfp4(workings: Workings, quantisation: Quantisation) -> bool:
    """Put weights of NVFP4 first, with what they are to be multiplied by. False where the model has none."""
    compressed = quantisation.method == "compressed-tensors" and is_nvfp4(
        quantisation.format, quantisation.groups
    )
    layers = {
        name.replace("language_model.", ""): layer.get("quant_algo")
        for name, layer in quantisation.layers.items()
        if isinstance(layer, dict)
    }
    if (
        quantisation.algorithm not in _ALGORITHMS
        and not compressed
        and not any(str(algorithm).endswith("NVFP4") for algorithm in layers.values())
    ):
        return False
    made = _Nvfp4(workings, quantisation.algorithm, layers, compressed)
    for name in workings.names(".weight_packed" if compressed else ".weight"):
        made.add(name)
    made.finish()
    workings.drop(".k_scale", ".v_scale")
    return True


class _Nvfp4:
    """The weights of NVFP4 on their way to the front, experts by layer and kind."""

    def __init__(
        self, workings: Workings, algorithm: str | None, layers: Mapping[str, Any], compressed: bool
    ) -> None:
        self._workings, self._algorithm, self._layers = workings, algorithm, layers
        self._packed, self._names = (
            ("_packed", ("_global_scale", "input_global_scale"))
            if compressed
            else ("", ("_scale_2", "input_scale"))
        )
        self._experts: dict[str, list[tuple[int, Recipe, float, float]]] = {}
        config = workings.model.config
        text = config.get("text_config")
        config = {**config, **text} if isinstance(text, dict) else config
        count = config.get("num_local_experts", config.get("num_experts"))
        self._count = count if isinstance(count, int) and count > 0 else 0

    def add(self, name: str) -> None:
        """One weight, if it is of NVFP4: FP8 has scales of fewer dimensions."""
        workings, weight = self._workings, name.removesuffix(self._packed) if self._packed else name
        scales = workings.recipes.get(f"{weight}_scale")
        if scales is None or len(scales.shape) < 2:
            return
        pairs, scales = workings.take(name), workings.take(f"{weight}_scale")
        with fitting(weight):
            if len(pairs.shape) != 2 or pairs.dtype.name != "U8" or scales.shape[0] != pairs.shape[0]:
                raise ValueError(f"{pairs.dtype.name} of shape {list(pairs.shape)} are no pairs of NVFP4")
            recipe = repacked(pairs, scales, DTYPES["NVFP4"], (pairs.shape[0], pairs.shape[1] * 2))
        base = weight.removesuffix("weight")
        factors = [self._factor(weight + self._names[0]), self._factor(base + self._names[1])]
        expert = _EXPERT.search(weight)
        if expert is None:
            self._put(weight, recipe)
            for end, factor in zip(("scale", "input_scale"), factors, strict=True):
                if factor.size > 1 or abs(float(factor.sum()) - 1.0) >= _TRIVIAL:
                    workings.put_first(base + end, _literal(factor))
            return
        layer = _LAYER.search(weight)
        stem = f"model.layers.{int(layer[1]) if layer else 0}.mlp.experts.{expert[2]}."
        members = self._experts.setdefault(stem, [])
        members.append((int(expert[1]), recipe, float(factors[0].sum()), float(factors[1].sum())))
        if self._count and len(members) >= self._count:
            self._flush(stem)

    def finish(self) -> None:
        """Those experts of which not as many came as the configuration says."""
        for stem in list(self._experts):
            self._flush(stem)

    def _flush(self, stem: str) -> None:
        members = sorted(self._experts.pop(stem), key=lambda member: member[0])
        self._put(f"{stem}weight", stack([member[1] for member in members]))
        for end, at in (("scale", 2), ("input_scale", 3)):
            factors = np.array([member[at] for member in members])
            if not np.allclose(factors, 1.0, atol=_TRIVIAL):
                self._workings.put_first(stem + end, _literal(factors.astype(np.float32)))

    def _put(self, weight: str, recipe: Recipe) -> None:
        self._workings.put_first(weight, recipe)
        place = weight.removesuffix(".weight").replace("language_model.", "")
        algorithm: Any = self._algorithm
        while place:
            if place in self._layers:
                algorithm = self._layers[place]
                break
            place = place.rpartition(".")[0]
        if algorithm == "W4A16_NVFP4":
            self._workings.unhurried.append(weight)

    def _factor(self, name: str) -> Floats:
        """A factor of a whole weight, 1 where there is none."""
        stored = self._workings.take_if(name)
        if stored is None:
            return np.ones(1, np.float32)
        values = self._workings.values(cast(stored, F32), name).view(np.float32)
        if not self._packed:
            return values
        with np.errstate(divide="ignore"):
            return np.asarray(np.float32(1.0) / values, np.float32)


def _literal(values: Floats) -> Literal:
    return Literal(values.astype("<f4").tobytes(), "F32", values.shape)
