"""How near two models' tensors are: the share of equal elements, and units in the last place between the others."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import translators
from translators.model import Model
from translators.reading import SourceFiles
from translators.recipes import nbytes, read_bytes, stored

_WORDS = {"F32": ("<u4", 31), "F16": ("<u2", 15), "BF16": ("<u2", 15)}


@dataclass(frozen=True)
class Nearness:
    """Of all elements that were merged: how many there are, how many are equal, the greatest distance."""

    elements: int
    equal: int
    units: int

    @property
    def share(self) -> float:
        """Equal ones of all."""
        return self.equal / self.elements

    def told(self) -> dict[str, Any]:
        """As the golden file has it."""
        return {**asdict(self), "share": round(self.share, 6)}


def nearness(model: Model, reference: Model) -> Nearness:
    """`model` beside `reference`; both have the same names, shapes and types."""
    assert set(model.tensors) == set(reference.tensors), sorted(set(model.tensors) ^ set(reference.tensors))
    elements = equal = units = 0
    for name, tensor in model.tensors.items():
        other = reference.tensors[name]
        assert (tensor.dtype, tensor.shape) == (other.dtype, other.shape), name
        mine, its = _ordered(model, name), _ordered(reference, name)
        distance = np.abs(mine - its)
        if name not in model.config.get("_untouched", ()):
            elements += distance.size
            equal += int((distance == 0).sum())
            units = max(units, int(distance.max(initial=0)))
    return Nearness(elements, equal, units)


def _ordered(model: Model, name: str) -> npt.NDArray[np.int64]:
    """A tensor's bits as integers that count up with the values."""
    recipe = stored(model.tensors[name])
    sources = SourceFiles(model.files)
    try:
        raw = read_bytes(recipe, 0, nbytes(recipe), sources)
    finally:
        sources.close()
    words, sign = _WORDS[recipe.dtype.name]
    bits = raw.view(words).astype(np.int64)
    ordered: npt.NDArray[np.int64] = np.where(bits >> sign, -(bits & ~(1 << sign)), bits)
    return ordered


def opened(path: Path) -> Model:
    """The model in a file that PEFT's merge was written to."""
    return translators.open_model(path)
