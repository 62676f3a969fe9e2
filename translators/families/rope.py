"""Rotary frequencies of Llama 3's scaling: the one tensor that a GGUF has and a checkpoint has not.

llama.cpp divides each frequency by a factor: 1 for short wavelengths, `factor` for long ones, a blend
between. Formula: Llama 3.1's reference code (apply_scaling), in float32 and in the steps of PyTorch, with
which upstream's converter computes it: a number divided by a tensor is the number times the reciprocal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from translators.errors import MalformedSource
from translators.families.powers import powers
from translators.metadata.checked import shown

_F32 = np.float32
_LARGEST_HEAD = 1 << 16  # published models have at most 512


@dataclass(frozen=True, slots=True)
class Llama3Scaling:
    """Llama 3's rope scaling, with upstream's defaults."""

    factor: float = 8.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: float = 8192

    @staticmethod
    def of(parameters: Mapping[str, Any]) -> Llama3Scaling | None:
        """The scaling that a config's rope parameters ask for; None where it is of another kind.

        Raises MalformedSource for numbers that make no scaling.
        """
        if not isinstance(parameters, Mapping):
            raise _unusable(parameters, "rope_parameters")
        kind = parameters.get("rope_type", "")
        if not isinstance(kind, str) or kind.lower() != "llama3":
            return None
        values = [
            parameters.get("factor", 8.0), parameters.get("low_freq_factor", 1.0),
            parameters.get("high_freq_factor", 4.0), parameters.get("original_max_position_embeddings", 8192),
        ]  # fmt: skip
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
                raise _unusable(value, "rope_scaling")
        if values[1] > values[2]:  # equal in Llama 4, which has no blend
            raise MalformedSource(
                "low_freq_factor must not be above high_freq_factor", path="config.json", place="rope_scaling"
            )
        return Llama3Scaling(*values)

    def factors(self, theta: float, head_dim: int) -> npt.NDArray[np.float32]:
        """The `rope_freqs` tensor: head_dim / 2 divisors, in F32.

        Raises MalformedSource for a theta or a head_dim beyond all measure.
        """
        frequencies = rotary_frequencies(theta, head_dim)
        return np.array([self._factor(frequency) for frequency in frequencies], dtype=_F32)

    def _factor(self, frequency: np.float32) -> np.float32:
        wavelength = _F32(1) / frequency * _F32(2 * math.pi)
        if wavelength < _F32(self.original_context / self.high_freq_factor):
            return _F32(1)
        if wavelength > _F32(self.original_context / self.low_freq_factor):
            return _F32(self.factor)
        span = _F32(self.high_freq_factor - self.low_freq_factor)
        cycles = _F32(1) / wavelength * _F32(self.original_context)
        smooth = (cycles - _F32(self.low_freq_factor)) / span
        return _F32(1) / ((_F32(1) - smooth) / _F32(self.factor) + smooth)


def rotary_frequencies(theta: Any, head_dim: int) -> npt.NDArray[np.float32]:
    """How far each pair of a head is turned from one position to the next, as PyTorch computes it.

    Raises MalformedSource for a theta or a head_dim beyond all measure.
    """
    if isinstance(theta, bool) or not isinstance(theta, int | float) or not 1e-30 < theta < 1e30:
        raise _unusable(theta, "rope_theta")
    if head_dim > _LARGEST_HEAD:
        raise _unusable(head_dim, "head_dim")
    exponents = np.arange(0, head_dim, 2, dtype=_F32) / _F32(head_dim)
    return _F32(1) / powers(theta, exponents)


def _unusable(value: object, place: str) -> MalformedSource:
    return MalformedSource(
        f"{shown(value)} makes no rotary frequencies", path="config.json", place=place,
        remedy="take config.json from the model's original repository",
    )  # fmt: skip


def scaling_behind(factors: npt.NDArray[np.float32], theta: float) -> Llama3Scaling | None:
    """The scaling that gives exactly these factors, where it is one that published models use."""
    for context in (8192, 4096, 16384, 32768, 131072, 2048, 1024):
        scaling = Llama3Scaling(factor=float(factors.max()), original_context=context)
        if np.array_equal(scaling.factors(theta, 2 * len(factors)), factors):
            return scaling
    return None
