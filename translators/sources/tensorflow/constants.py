"""The constants in a graph of TensorFlow: a frozen `.pb`, or a SavedModel that has no variables.

    for tensor in in_graph(file, 0): ...          # every Const of a frozen graph
    for tensor in in_saved_model(file, 0): ...    # and of saved_model.pb

A constant has its node's name; one of a function is `function/node`. All constants of numbers are there:
weights, and the shapes and axes that a graph keeps in the same way. The data of large ones are read where
they lie.
Knows nothing of what the graph computes. Layout: tensorflow/core/framework/{graph,node_def,tensor}.proto,
core/protobuf/{saved_model,meta_graph}.proto; what typed fields mean: tf.make_ndarray.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import prod

from translators.dtypes import DTYPES, DType
from translators.errors import TranslationError, Unsupported
from translators.model import Extent, SourceTensor, Tensor
from translators.recipes import Derived, Literal, Recipe, Stored, concat, expand, fill, reshape, slice_
from translators.sources.protobuf import VARINT, Field, Message
from translators.sources.stored_file import StoredFile, clipped
from translators.sources.tensorflow.types import dtype_of, shape_of

# Numbers that are packed as varints are unpacked while planning, and are part of the plan.
MOST_UNPACKED = 4 << 20
_MOST_ELEMENTS = 1 << 40
# TensorProto's fields of numbers, those that are as they lie in memory, and where all other types are.
_CONTENT = 4
_FIELDS = {
    "F32": 5, "F64": 6, "C64": 9, "I64": 10, "BOOL": 11, "F16": 13, "BF16": 13, "U32": 16, "U64": 17,
    "F8_E5M2": 18, "F8_E4M3": 18, "F8_E4M3FNUZ": 18, "F8_E5M2FNUZ": 18,
}  # fmt: skip
_PLAIN = frozenset({5, 6, 9, 18})
_INTEGERS = 7


def in_graph(file: StoredFile, number: int) -> Iterator[SourceTensor]:
    """The constants of the GraphDef that `file`, of this number among the model's, is.

    Raises MalformedSource, Unsupported (a type that nothing else has).
    """
    walk = _Walk(file, number)
    return walk.graph(Message(file))


def in_saved_model(file: StoredFile, number: int) -> Iterator[SourceTensor]:
    """The constants of the first graph of a saved_model.pb. Raises as `in_graph`."""
    walk, model = _Walk(file, number), Message(file)
    for field in model:
        if field.number == 2:
            graph = model.inside(field)
            for part in graph:
                if part.number == 2:
                    return walk.graph(graph.inside(part))
    return iter(())


class _Walk:
    """A file, and how many numbers may still be unpacked of it."""

    def __init__(self, file: StoredFile, number: int) -> None:
        self._file, self._number = file, number
        self._left = MOST_UNPACKED

    def graph(self, graph: Message) -> Iterator[SourceTensor]:
        """A GraphDef's, then those of its functions."""
        for field in graph:
            if field.number == 1:
                yield from self._node(graph.inside(field), "")
            elif field.number == 2:
                library = graph.inside(field)
                for part in library:
                    if part.number == 1:
                        yield from self._function(library.inside(part))

    def _function(self, function: Message) -> Iterator[SourceTensor]:
        name = ""
        for field in function:
            if field.number == 1:
                signature = function.inside(field)
                for part in signature:
                    if part.number == 1:
                        name = signature.text(part)
        for field in function:
            if field.number == 3:
                yield from self._node(function.inside(field), f"{name}/")

    def _node(self, node: Message, prefix: str) -> Iterator[SourceTensor]:
        name, operation = "", ""
        values: list[Field] = []
        for field in node:
            if field.number == 1:
                name = node.text(field)
            elif field.number == 2:
                operation = node.text(field)
            elif field.number == 5:
                values.append(field)
        if operation != "Const":
            return
        name = prefix + name
        place = f"node {clipped(name)!r}"
        for value in values:
            try:
                recipe = self._attribute(node.inside(value))
            except TranslationError as error:
                error.path, error.place = error.path or self._file.shown, error.place or place
                raise
            if isinstance(recipe, Stored):
                yield Tensor(name, recipe.dtype, recipe.shape, recipe.extent)
            elif recipe is not None:
                yield Derived(name, recipe)

    def _attribute(self, entry: Message) -> Recipe | None:
        """The tensor of a node's attribute, if it is the one called "value"."""
        key, recipe = "", None
        for field in entry:
            if field.number == 1:
                key = entry.text(field)
        for field in entry if key == "value" else ():
            if field.number == 2:
                attribute = entry.inside(field)
                for part in attribute:
                    if part.number == 8:
                        recipe = self._tensor(attribute.inside(part))
        return recipe

    def _tensor(self, tensor: Message) -> Recipe | None:
        """A TensorProto; None for one of no numbers."""
        kind = 0
        shape: tuple[int, ...] = ()
        content: list[Field] = []
        typed: list[Field] = []
        for field in tensor:
            if field.number == 1:
                kind = tensor.number(field)
            elif field.number == 2:
                shape = shape_of(tensor, field)
            elif field.number == _CONTENT and field.length:
                content = [field]
            else:
                typed.append(field)
        dtype = dtype_of(kind)
        if dtype is None:
            return None
        if content:
            values: Recipe = self._stored(tensor, content[0], dtype)
            missing = prod(shape) - values.shape[0]
        else:
            number = _FIELDS.get(dtype.name, _INTEGERS)
            values = self._typed(tensor, [field for field in typed if field.number == number], dtype)
            missing = prod(shape) - values.shape[0]
            if missing > 0 and values.shape[0]:
                # The last number counts for all that are left out.
                last = slice_(values, 0, values.shape[0] - 1, values.shape[0])
                values, missing = concat([values, expand(last, (missing,))]), 0
            elif missing > 0:
                values, missing = fill((missing,), dtype), 0
        if missing or prod(shape) > _MOST_ELEMENTS:
            reason = f"{values.shape[0]:,} numbers are no {dtype.name} of shape {list(shape)}"
            raise self._file.malformed(clipped(reason))
        return reshape(values, shape)

    def _typed(self, tensor: Message, fields: list[Field], dtype: DType) -> Recipe:
        """The numbers of the field that a type has, which may be there in parts."""
        plain = _FIELDS.get(dtype.name) in _PLAIN
        if len(fields) == 1 and plain:
            return self._stored(tensor, fields[0], dtype)
        self._left -= sum(max(field.length, 1) for field in fields)
        if self._left < 0:
            raise Unsupported(
                f"more than {MOST_UNPACKED:,} bytes of numbers that are packed one by one",
                remedy="save the graph with tensor_content",
            )  # fmt: skip
        if plain:
            runs = [self._stored(tensor, field, DTYPES["U8"]).extent for field in fields]
            data = b"".join(self._file.read(run.offset, run.length) for run in runs)
        else:
            size, mask = dtype.size, (1 << 8 * dtype.size) - 1
            numbers = chain.from_iterable(map(tensor.numbers, fields))
            data = b"".join((number & mask).to_bytes(size, "little") for number in numbers)
        if len(data) % dtype.size:
            raise self._file.malformed(f"{len(data):,} bytes are no {dtype.name}")
        return Literal(data, dtype.name, (len(data) // dtype.size,))

    def _stored(self, tensor: Message, field: Field, dtype: DType) -> Stored:
        """The numbers that a field is, in a row."""
        if field.wire == VARINT or field.length % dtype.size:
            raise tensor.wrong(field, f"{field.length:,} bytes are no {dtype.name}")
        return Stored(
            Extent(self._number, field.start, field.length), dtype.name, (field.length // dtype.size,)
        )
