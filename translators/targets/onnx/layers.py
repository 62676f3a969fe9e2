"""Layers of a model as operations of a graph: linear ones, norms, embeddings.

Weights are a checkpoint's, in its own order: a linear layer has a row for each output. They are cast to the
graph's precision, or to four bits; each is checked against the shape that the configuration asks for.
Knows nothing of architectures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from translators.dtypes import F16, F32, DType
from translators.errors import MalformedSource, Unsupported
from translators.onnx_types import NUMBERS
from translators.quants.nbits import BLOCK
from translators.recipes import Recipe, cast, nbits
from translators.targets.onnx.graph import MICROSOFT, Graph


@dataclass(frozen=True)
class Form:
    """How weights are stored: in a precision, linear layers in four bits if `bits` is 4 and not 0."""

    dtype: DType
    bits: int = 0


@dataclass
class Layers:
    """Layers that are added to `graph`. `used` are the names of tensors that have a place in it."""

    graph: Graph
    tensors: Mapping[str, Recipe]
    form: Form
    used: set[str] = field(default_factory=set)

    @property
    def kind(self) -> str:
        """The precision that the graph computes in."""
        return self.form.dtype.name

    def has(self, name: str) -> bool:
        """Whether the model has such a tensor."""
        return name in self.tensors

    def take(self, name: str, *shape: int) -> Recipe:
        """The tensor of that name. Raises MalformedSource where it is missing or of another shape."""
        recipe = self.tensors.get(name)
        if recipe is None:
            raise MalformedSource("the tensor is missing", place=f"tensor {name}")
        if recipe.shape != shape:
            raise MalformedSource(
                f"shape {list(recipe.shape)}, and config.json asks for {list(shape)}", place=f"tensor {name}"
            )
        if not recipe.dtype.is_float and recipe.dtype.name != "F64":
            raise Unsupported(f"a weight of type {recipe.dtype.name}", place=f"tensor {name}")
        self.used.add(name)
        return recipe

    def weight(self, name: str, *shape: int) -> str:
        """A tensor in the graph's precision."""
        return self.graph.weight(name, cast(self.take(name, *shape), self.form.dtype))

    def rest(self, ignored: tuple[str, ...]) -> None:
        """Raises Unsupported for a tensor that has no place in the graph; names that end so need none."""
        for name in self.tensors:
            if name not in self.used and not name.endswith(ignored):
                raise Unsupported("the ONNX graph has no place for it", place=f"tensor {name}")

    def linear(self, x: str, name: str, rows: int, columns: int, out: str, *, bias: bool) -> str:
        """The linear layer `name`, of `columns` inputs."""
        made = out if not bias else f"{out}/product"
        self.product(x, f"{name}.weight", rows, columns, made)
        return self.graph.node("Add", (made, self.weight(f"{name}.bias", rows)), out) if bias else made

    def product(self, x: str, name: str, rows: int, columns: int, out: str) -> str:
        """`x` times the transposed matrix `name`."""
        if not self.form.bits:
            inputs = (x, self.weight(name, rows, columns))
            return self.graph.node("FusedMatMul", inputs, out, domain=MICROSOFT, transB=1)
        recipe = self.take(name, rows, columns)
        codes, scales = nbits(recipe if recipe.dtype.is_float else cast(recipe, F32))
        inputs_4 = (x, self.graph.weight(f"{name}_Q4", codes), self.graph.weight(f"{name}_scales", scales))
        return self.graph.node(
            "MatMulNBits", inputs_4, out, domain=MICROSOFT, K=columns, N=rows, bits=4, block_size=BLOCK
        )

    def embedding(self, numbers: str, name: str, rows: int, columns: int, out: str) -> str:
        """Rows of a matrix. In a graph of four bits it has its own precision, as nothing else reads it."""
        recipe = self.take(name, rows, columns)
        if not self.form.bits or not recipe.dtype.is_float or recipe.dtype is F32:
            return self.graph.node("Gather", (self.weight(name, rows, columns), numbers), out)
        found = self.graph.node("Gather", (self.graph.weight(name, recipe), numbers), f"{out}/stored")
        return self.cast(found, self.kind, out)

    def cast(self, x: str, kind: str, out: str) -> str:
        """`x` in another type."""
        return self.graph.node("Cast", (x,), out, to=NUMBERS[kind])

    def rms_norm(self, x: str, name: str, size: int, epsilon: float, out: str) -> str:
        """RMSNorm over the last axis: in float32, in basic operations, which ONNX Runtime makes one of."""
        graph, is_half = self.graph, self.form.dtype is F16
        wide = self.cast(x, "F32", f"{out}/wide") if is_half else x
        square = graph.node("Pow", (wide, graph.constant(2, np.float32)), f"{out}/square")
        mean = graph.node("ReduceMean", (square, graph.constant([-1])), f"{out}/mean", keepdims=1)
        above = graph.node("Add", (mean, graph.constant(epsilon, np.float32)), f"{out}/above")
        root = graph.node("Sqrt", (above,), f"{out}/root")
        normal = graph.node("Div", (wide, root), f"{out}/normal")
        if is_half:
            normal = self.cast(normal, "F16", f"{out}/half")
        return graph.node("Mul", (normal, self.weight(name, size)), out)

    def layer_norm(self, x: str, name: str, size: int, epsilon: float, out: str) -> str:
        """LayerNorm over the last axis."""
        inputs = (x, self.weight(f"{name}.weight", size), self.weight(f"{name}.bias", size))
        return self.graph.node("LayerNormalization", inputs, out, axis=-1, epsilon=epsilon)
