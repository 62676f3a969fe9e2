"""A graph of ONNX operations, put together node by node, and the two files that it is.

    graph = Graph("decoder")
    x = graph.input("x", "F32", ("batch", 8))
    graph.output(graph.node("Add", (x, graph.weight("bias", recipe)), "y"), "F32", ("batch", 8))
    graph.model("model.onnx.data")      # the protobuf, which has no weight in it
    graph.data(files)                   # the layout of the weights' file

Weights lie at whole pages of their file, so that a program can map each; small constants lie in the protobuf.
Messages and numbers of fields: onnx.proto, version 10 of its format. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from translators.layout import Layout, Segment, TensorBytes, Zeros
from translators.model import FileIdentity
from translators.onnx_types import NUMBERS
from translators.recipes import Recipe, nbytes
from translators.targets.onnx.protobuf import data, number, numbers, real

PRODUCER = "prismfs"
MICROSOFT = "com.microsoft"
_FORMAT = 10
_OPERATIONS = (("", 21), (MICROSOFT, 1))
_PAGE = 4096
_EXTERNAL = 1
_KINDS = {np.dtype("<f4"): "F32", np.dtype("<f2"): "F16", np.dtype("<i8"): "I64"}

Attribute = int | float | str | tuple[int, ...]
Dimensions = Sequence[str | int]


@dataclass
class Graph:
    """Nodes in the order in which they run. Values go by their names."""

    name: str
    _nodes: list[bytes] = field(default_factory=list)
    _inputs: list[bytes] = field(default_factory=list)
    _outputs: list[bytes] = field(default_factory=list)
    _constants: dict[str, bytes] = field(default_factory=dict)
    _weights: dict[str, Recipe] = field(default_factory=dict)

    def input(self, name: str, kind: str, dimensions: Dimensions) -> str:
        """A value that the graph is given; dimensions that are not fixed have a name."""
        self._inputs.append(_value(name, kind, dimensions))
        return name

    def output(self, name: str, kind: str, dimensions: Dimensions) -> None:
        """A value that the graph gives."""
        self._outputs.append(_value(name, kind, dimensions))

    def node(
        self, operation: str, inputs: Iterable[str], *outputs: str, domain: str = "", **attributes: Attribute
    ) -> str:
        """An operation on values; the name of its first output, which is the node's too. "": no input."""
        parts = [data(1, each) for each in inputs] + [data(2, each) for each in outputs]
        parts += [data(3, outputs[0]), data(4, operation)]
        parts += [data(5, _attribute(key, value)) for key, value in attributes.items()]
        if domain:
            parts.append(data(7, domain))
        self._nodes.append(b"".join(parts))
        return outputs[0]

    def constant(self, values: npt.ArrayLike, kind: type[np.generic] = np.int64) -> str:
        """A few numbers, which lie in the protobuf; the same ones are one constant."""
        array = np.asarray(values, kind)
        shown = f"{array.dtype.name}{list(array.shape) if array.ndim else ''}({array.tolist()})"
        name = f"constant/{shown}".replace(" ", "")
        self._constants[name] = _tensor(name, _KINDS[array.dtype], array.shape) + data(9, array.tobytes())
        return name

    def weight(self, name: str, recipe: Recipe) -> str:
        """A tensor in the weights' file; of one name there is one."""
        self._weights.setdefault(name, recipe)
        return name

    def model(self, location: str) -> bytes:
        """The protobuf; `location` is the name of the weights' file, which lies beside it."""
        tensors = [*self._constants.values(), *self._external(location)]
        graph = [data(1, each) for each in self._nodes] + [data(2, self.name)]
        graph += [data(5, each) for each in tensors]
        graph += [data(11, each) for each in self._inputs] + [data(12, each) for each in self._outputs]
        parts = [number(1, _FORMAT), data(2, PRODUCER), data(7, b"".join(graph))]
        parts += [data(8, data(1, domain) + number(2, version)) for domain, version in _OPERATIONS]
        return b"".join(parts)

    def data(self, files: tuple[FileIdentity, ...]) -> Layout:
        """The layout of the weights' file; `files` is what the recipes' extents index."""
        segments: list[Segment] = []
        for name, recipe in self._weights.items():
            segments += [TensorBytes(name, recipe), Zeros(-nbytes(recipe) % _PAGE)]
        return Layout(files, tuple(segments[:-1]))

    def _external(self, location: str) -> Iterable[bytes]:
        at = 0
        for name, recipe in self._weights.items():
            size = nbytes(recipe)
            where = {"location": location, "offset": str(at), "length": str(size)}
            entries = [data(13, data(1, key) + data(2, value)) for key, value in where.items()]
            yield _tensor(name, recipe.dtype.name, recipe.shape) + b"".join(entries) + number(14, _EXTERNAL)
            at += size + -size % _PAGE


def _tensor(name: str, kind: str, shape: Sequence[int]) -> bytes:
    dimensions = numbers(1, shape) if shape else b""
    return dimensions + number(2, NUMBERS[kind]) + data(8, name)


def _value(name: str, kind: str, dimensions: Dimensions) -> bytes:
    shape = b"".join(
        data(1, number(1, each) if isinstance(each, int) else data(2, each)) for each in dimensions
    )
    tensor = number(1, NUMBERS[kind]) + data(2, shape)
    return data(1, name) + data(2, data(1, tensor))


def _attribute(name: str, value: Attribute) -> bytes:
    write = partial(data, 1, name)
    if isinstance(value, int):
        return write() + number(3, value) + number(20, 2)
    if isinstance(value, float):
        return write() + real(2, value) + number(20, 1)
    if isinstance(value, str):
        return write() + data(4, value) + number(20, 3)
    return write() + numbers(8, value) + number(20, 7)
