"""Rotary frequencies under the scalings that keep them the same whatever the length: to the last bit those of
transformers (modeling_rope_utils.py, 4.57.6), in float32 and in the steps of PyTorch.

    rotation(config, completed(config), head).frequencies

What changes with the length of a text (dynamic, longrope) has no table and is refused by its name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from translators.errors import MalformedSource, Unsupported
from translators.families.hparams import rope_parameters
from translators.families.powers import powers
from translators.families.rope import Llama3Scaling, rotary_frequencies
from translators.metadata.checked import shown

Floats = npt.NDArray[np.float32]

_F32 = np.float32
_FILE, _PLACE = "config.json", "rope_scaling"
_LONGEST = 1 << 23


@dataclass(frozen=True)
class Rotation:
    """How far each pair of a head turns from a position to the next, and for how many positions.

    scale: what cosines and sines are multiplied by.
    """

    frequencies: tuple[float, ...]
    context: int
    scale: float = 1.0


def rotation(config: Mapping[str, Any], whole: Mapping[str, Any], head: int) -> Rotation:
    """The rotation of a configuration; `whole` is what transformers makes of it.

    Raises Unsupported for a scaling that is no table, MalformedSource.
    """
    parameters = rope_parameters(config)
    if not isinstance(parameters.get("rope_type", "default"), str):
        raise MalformedSource("no name of a scaling", path=_FILE, place=_PLACE)
    part = parameters.get("partial_rotary_factor", 1.0)
    if part != 1.0:
        raise Unsupported(
            f"rotation of a part of a head, {shown(part)}", path=_FILE, place="partial_rotary_factor"
        )
    context = whole.get("max_position_embeddings")
    if isinstance(context, bool) or not isinstance(context, int) or not 0 < context <= _LONGEST:
        raise MalformedSource(f"{shown(context)} positions", path=_FILE, place="max_position_embeddings")
    theta: Any = parameters.get("rope_theta", whole.get("rope_theta"))
    plain = rotary_frequencies(theta, head)
    kind = parameters.get("rope_type", "default")
    if kind == "default":
        return Rotation(tuple(plain.tolist()), context)
    if kind == "linear":
        return Rotation(tuple((plain / _F32(_number(parameters, "factor"))).tolist()), context)
    if kind == "llama3":
        return Rotation(tuple(_llama3(plain, parameters).tolist()), context)
    if kind == "yarn":
        return _yarn(plain, float(theta), context, parameters)
    raise Unsupported(f"no ONNX graph is made with rope scaling {shown(kind)}", path=_FILE, place=_PLACE)


def _llama3(plain: Floats, parameters: Mapping[str, Any]) -> Floats:
    """Long waves are slowed by `factor`, short ones not, those between in part."""
    given = Llama3Scaling.of(parameters)
    assert given is not None
    low, high = _F32(given.low_freq_factor), _F32(given.high_freq_factor - given.low_freq_factor)
    # A number divided by a tensor is, in PyTorch, the number times the reciprocal.
    waves = _F32(1) / plain * _F32(2 * math.pi)
    slowed = np.where(
        waves > _F32(given.original_context / given.low_freq_factor), plain / _F32(given.factor), plain
    )
    with np.errstate(all="ignore"):
        smooth = (_F32(1) / waves * _F32(given.original_context) - low) / high
        blend = (_F32(1) - smooth) * slowed / _F32(given.factor) + smooth * slowed
    between = (waves >= _F32(given.original_context / given.high_freq_factor)) & (
        waves <= _F32(given.original_context / given.low_freq_factor)
    )
    return np.where(between, blend, slowed)


def _yarn(plain: Floats, theta: float, context: int, parameters: Mapping[str, Any]) -> Rotation:
    """Fast pairs turn as they did, slow ones `factor` times slower, those between in part."""
    factor = _number(parameters, "factor")
    named = parameters.get("original_max_position_embeddings")
    original = _number(parameters, "original_max_position_embeddings") if named else float(context)
    if theta <= 1:
        raise MalformedSource(f"{shown(theta)} makes no YaRN", path=_FILE, place="rope_theta")
    size = 2 * len(plain)
    ends = []
    for key, default in (("beta_fast", 32.0), ("beta_slow", 1.0)):
        turns = _number(parameters, key) if parameters.get(key) else default
        ends.append(size * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta)))
    if parameters.get("truncate", True):
        ends = [math.floor(ends[0]), math.ceil(ends[1])]
    low, high = max(ends[0], 0), min(ends[1], size - 1)
    if low == high:
        high += 0.001
    ramp = np.clip((np.arange(len(plain), dtype=_F32) - _F32(low)) / _F32(high - low), _F32(0), _F32(1))
    kept = _F32(1) - ramp
    exponents = np.arange(0, size, 2, dtype=_F32) / _F32(size)
    slowed = _F32(1) / (powers(theta, exponents) * _F32(factor))
    made = slowed * (_F32(1) - kept) + plain * kept
    longest = max(context, min(int(original * factor), _LONGEST)) if named else context
    return Rotation(tuple(made.tolist()), longest, _strength(factor, parameters))


def _strength(factor: float, parameters: Mapping[str, Any]) -> float:
    """What YaRN multiplies cosines and sines by."""
    if parameters.get("attention_factor") is not None:
        return _number(parameters, "attention_factor")
    usual, all_dimensions = (parameters.get(key) for key in ("mscale", "mscale_all_dim"))
    if usual and all_dimensions:
        ours, theirs = _number(parameters, "mscale"), _number(parameters, "mscale_all_dim")
        return _scale(factor, ours) / _scale(factor, theirs)
    return _scale(factor, 1.0)


def _scale(factor: float, by: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * by * math.log(factor) + 1.0


def _number(parameters: Mapping[str, Any], key: str) -> float:
    value = parameters.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
        raise MalformedSource(f"{shown(value)} is no number for it", path=_FILE, place=f"{_PLACE}.{key}")
    return float(value)
