"""The tensors of an ONNX graph: where each lies, as its protobuf tells it. No data is read.

    for tensor in tensors_of(file): tensor.name, tensor.shape, tensor.data

Initialisers and the values of Constant nodes, of the graph, of graphs within it (what follows an If or is
repeated by a Loop) and of functions; names within those have what they are in before them. Numbers of
fields: onnx.proto, version 13 of its format. Knows nothing of files beside the one that is walked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from translators.errors import Unsupported
from translators.sources.protobuf import BYTES, VARINT, Field, Protobuf
from translators.sources.stored_file import StoredFile, clipped

MOST_DIMENSIONS = 64
_MOST_TENSORS = 1_000_000
_DEEPEST = 32
# Numbers one by one, as old writers left them; more of them are not read like that.
_MOST_APART = 1 << 16

# ModelProto, GraphProto, NodeProto, AttributeProto, FunctionProto, by the numbers that are of interest here.
_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _GRAPH_INITIALISER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OUTPUT, _NODE_NAME, _NODE_OPERATION, _NODE_ATTRIBUTE = 2, 3, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 1, 5, 6, 11
_FUNCTION_NAME, _FUNCTION_NODE = 1, 7
# TensorProto.
_DIMENSIONS, _TYPE, _SEGMENT, _NAME, _RAW, _ENTRY, _LOCATION = 1, 2, 3, 8, 9, 13, 14
# float_data, int32_data, string_data, int64_data, double_data, uint64_data
TYPED = {4: "float", 5: "int32", 6: "string", 7: "int64", 10: "double", 11: "uint64"}
_EXTERNAL = 1


@dataclass
class Described:
    """A tensor as its message tells it.

    kind:     the number of its type.
    raw:      where its bytes lie, if they do so in one run.
    typed:    fields of numbers, by the name of the list that they are of.
    external: what is said of a file that has the bytes; None where they are in this one.
    """

    name: str = ""
    kind: int = 0
    shape: tuple[int, ...] = ()
    raw: Field | None = None
    typed: dict[str, list[Field]] = field(default_factory=dict)
    external: dict[str, str] | None = None


def tensors_of(file: StoredFile) -> Iterator[Described]:
    """The tensors in the order of the file. Raises MalformedSource, Unsupported (sparse ones)."""
    walk = _Walk(Protobuf(file))
    found = False
    for part in walk.protobuf.fields(0, file.size):
        if part.number == _MODEL_GRAPH and part.wire == BYTES:
            found = True
            yield from walk.graph(part, "", 0)
        elif part.number == _MODEL_FUNCTION and part.wire == BYTES:
            yield from walk.function(part)
    if not found:
        raise file.malformed("there is no graph in it", remedy="name a file that holds an ONNX model")


@dataclass
class _Walk:
    protobuf: Protobuf
    count: int = 0

    def graph(self, message: Field, prefix: str, depth: int) -> Iterator[Described]:
        """Initialisers and constants of a graph, `depth` graphs within the first."""
        if depth > _DEEPEST:
            raise self.protobuf.malformed(f"graphs within graphs, more than {_DEEPEST} deep", message.start)
        for part in self.protobuf.fields(message.start, message.end):
            if part.wire != BYTES:
                continue
            if part.number == _GRAPH_NODE:
                yield from self.node(part, prefix, depth)
            elif part.number == _GRAPH_INITIALISER:
                yield self.tensor(part, prefix)
            elif part.number == _GRAPH_SPARSE:
                raise Unsupported(
                    "a sparse tensor", path=self.protobuf.file.shown, place=f"byte {part.start:,}",
                    remedy="export the model with dense weights",
                )  # fmt: skip

    def function(self, message: Field) -> Iterator[Described]:
        """Constants of a function, which the graph's nodes may be."""
        fields = list(self.protobuf.fields(message.start, message.end))
        names = [self.protobuf.text(part) for part in fields if part.number == _FUNCTION_NAME]
        for part in fields:
            if part.number == _FUNCTION_NODE and part.wire == BYTES:
                yield from self.node(part, f"{names[-1] if names else 'function'}/", 1)

    def node(self, message: Field, prefix: str, depth: int) -> Iterator[Described]:
        """The value of a constant; what is in the graphs that another node has."""
        operation, named = "", ""
        outputs: list[str] = []
        attributes: list[Field] = []
        for part in self.protobuf.fields(message.start, message.end):
            if part.number == _NODE_OPERATION:
                operation = self.protobuf.text(part)
            elif part.number == _NODE_NAME:
                named = self.protobuf.text(part)
            elif part.number == _NODE_OUTPUT and not outputs:
                outputs.append(self.protobuf.text(part))
            elif part.number == _NODE_ATTRIBUTE and part.wire == BYTES:
                attributes.append(part)
        own = named or (outputs[0] if outputs else operation)
        for attribute in attributes:
            name = ""
            for part in self.protobuf.fields(attribute.start, attribute.end):
                if part.number == _ATTRIBUTE_NAME:
                    name = self.protobuf.text(part)
                elif part.wire != BYTES:
                    continue
                elif part.number == _ATTRIBUTE_TENSOR and operation == "Constant":
                    found = self.tensor(part, prefix)
                    found.name = prefix + (outputs[0] if outputs else named)
                    yield found
                elif part.number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                    yield from self.graph(part, f"{prefix}{own}/{name}/", depth + 1)

    def tensor(self, message: Field, prefix: str) -> Described:
        """What a tensor's message says."""
        self.count += 1
        if self.count > _MOST_TENSORS:
            raise self.protobuf.malformed(f"more than {_MOST_TENSORS:,} tensors", message.start)
        made, apart, is_external = Described(), 0, False
        shape: list[int] = []
        entries: dict[str, str] = {}
        for part in self.protobuf.fields(message.start, message.end):
            if part.number == _DIMENSIONS:
                shape += self.numbers(part)
            elif part.number == _TYPE:
                made.kind = part.value
            elif part.number == _NAME:
                made.name = prefix + self.protobuf.text(part)
            elif part.number == _RAW and part.wire == BYTES:
                made.raw = part
            elif part.number == _ENTRY and part.wire == BYTES:
                entries |= self.entry(part)
            elif part.number == _LOCATION:
                is_external = part.value == _EXTERNAL
            elif part.number in TYPED:
                apart += part.wire != BYTES
                made.typed.setdefault(TYPED[part.number], []).append(part)
            elif part.number == _SEGMENT:
                raise self.protobuf.malformed("a tensor in segments, which nothing reads", part.start)
            if apart > _MOST_APART or len(shape) > MOST_DIMENSIONS:
                raise self.protobuf.malformed("more numbers than a tensor has", part.start)
        if any(size >= 1 << 62 for size in shape):
            raise self.protobuf.malformed("a negative dimension", message.start)
        made.shape = tuple(shape)
        made.external = entries if is_external else None
        return made

    def numbers(self, part: Field) -> list[int]:
        """Dimensions, which are a number or a few in one field."""
        if part.wire == VARINT:
            return [part.value]
        made: list[int] = []
        at = part.start
        while part.wire == BYTES and at < part.end and len(made) <= MOST_DIMENSIONS:
            value, at = self.protobuf.varint(at, part.end)
            made.append(value)
        return made

    def entry(self, message: Field) -> dict[str, str]:
        """One of the things that are said of a file."""
        texts = {1: "", 2: ""}
        for part in self.protobuf.fields(message.start, message.end):
            texts[part.number] = self.protobuf.text(part) if part.number in texts else ""
        return {clipped(texts[1]): texts[2]}
