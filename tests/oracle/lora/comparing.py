"""How near two models' tensors are: equal elements, and units in the last place between the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from translators.model import Model
from translators.reading import SourceFiles
from translators.recipes import nbytes, read_bytes, stored

Bytes = npt.NDArray[np.uint8]
_WORDS = {"F32": ("<u4", 31), "F16": ("<u2", 15), "BF16": ("<u2", 15)}


@dataclass(frozen=True)
class Nearness:
    """Of some elements: how many there are, how many are equal, the greatest distance in units."""

    elements: int
    equal: int
    units: int

    @property
    def share(self) -> float:
        """Equal ones of all."""
        return self.equal / self.elements


def nearness(model: Model, reference: Model, names: Iterable[str] | None = None) -> Nearness:
    """`model` beside `reference`, all tensors or those named; both have the same names, shapes and types."""
    assert set(model.tensors) == set(reference.tensors), sorted(set(model.tensors) ^ set(reference.tensors))
    elements = equal = units = 0
    for name in names or model.tensors:
        tensor, other = model.tensors[name], reference.tensors[name]
        assert (tensor.dtype, tensor.shape) == (other.dtype, other.shape), name
        distance = np.abs(_ordered(model, name) - _ordered(reference, name))
        elements += distance.size
        equal += int((distance == 0).sum())
        units = max(units, int(distance.max(initial=0)))
    return Nearness(elements, equal, units)


def golden_of(model: Model, reference: Model) -> dict[str, Any]:
    """What the test suite compares with: one digest of the tensors that are equal, and how others differ."""
    near = {}
    for name in sorted(model.tensors):
        mine = digest(model, [name])
        if mine != digest(reference, [name]):
            found = nearness(model, reference, [name])
            near[name] = {"ours": mine, "different": found.elements - found.equal, "units": found.units}
    return {
        "equal": digest(reference, [name for name in sorted(model.tensors) if name not in near]),
        "near": near,
    }


def digest(model: Model, names: Iterable[str]) -> str:
    """Of the tensors' names, types, shapes and bytes."""
    made = sha256()
    for name in names:
        tensor = model.tensors[name]
        made.update(f"{name} {tensor.dtype.name} {tensor.shape}\n".encode())
        made.update(_raw(model, name))
    return made.hexdigest()[:32]


def _raw(model: Model, name: str) -> Bytes:
    recipe = stored(model.tensors[name])
    sources = SourceFiles(model.files)
    try:
        return read_bytes(recipe, 0, nbytes(recipe), sources)
    finally:
        sources.close()


def _ordered(model: Model, name: str) -> npt.NDArray[np.int64]:
    """A tensor's bits as integers that count up with the values."""
    words, sign = _WORDS[model.tensors[name].dtype.name]
    bits = _raw(model, name).view(words).astype(np.int64)
    ordered: npt.NDArray[np.int64] = np.where(bits >> sign, -(bits & ~(1 << sign)), bits)
    return ordered
