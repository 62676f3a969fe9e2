"""How TensorFlow itself reads files; runs in its own environment: python reading.py PATH...

A line of JSON for each path: {name: [type, shape, sha256]} of all tensors of numbers, by the names that the
sources here give them. A path is an index of a checkpoint, a saved_model.pb, another .pb or a .tflite.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.lite.python import schema_py_generated as schema

Named = Iterator[tuple[str, np.ndarray]]
NO_NUMBERS = ("object", "str", "bytes")


def checkpoint(prefix: str) -> Named:
    """By tf.train.load_checkpoint."""
    reader = tf.train.load_checkpoint(prefix)
    for name, dtype in sorted(reader.get_variable_to_dtype_map().items()):
        if dtype != tf.string:
            yield name, np.asarray(reader.get_tensor(name))


def saved_model(path: Path) -> Named:
    """Its variables; the constants of its first graph if it has none."""
    found = list(checkpoint(str(path.parent / "variables" / "variables")))
    if found:
        yield from found
        return
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    yield from constants(model.meta_graphs[0].graph_def)


def constants(graph: graph_pb2.GraphDef) -> Named:
    """By tf.make_ndarray."""
    nodes = [("", node) for node in graph.node]
    for function in graph.library.function:
        nodes += [(f"{function.signature.name}/", node) for node in function.node_def]
    for prefix, node in nodes:
        if node.op == "Const" and node.attr["value"].tensor.dtype != tf.string:
            yield prefix + node.name, tf.make_ndarray(node.attr["value"].tensor)


def lite(path: Path) -> Named:
    """By the interpreter; which tensors are constants is told by the generated code of the schema."""
    data = path.read_bytes()
    model = schema.Model.GetRootAs(data)
    interpreter = tf.lite.Interpreter(
        model_content=data,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    interpreter.invoke()
    graph = model.Subgraphs(0)
    dense = dict(densified(model, graph))
    details = {each["index"]: each for each in interpreter.get_tensor_details()}
    seen: dict[str, int] = {}
    for number in range(graph.TensorsLength()):
        tensor = graph.Tensors(number)
        buffer = model.Buffers(tensor.Buffer())
        if tensor.Type() == schema.TensorType.STRING or not (buffer.DataLength() or buffer.Size()):
            continue
        if tensor.Type() == schema.TensorType.INT4:
            packed = buffer.DataAsNumpy()
            codes = np.stack([packed & 15, packed >> 4], -1).reshape(-1)
            shape = tensor.ShapeAsNumpy()
            value = (codes[: np.prod(shape)].astype(np.int8) ^ 8) - 8
            value = value.astype(np.int8).reshape(shape)
        else:
            # What is sparse the interpreter gives as its values alone: the graph makes it dense.
            value = interpreter.get_tensor(dense.get(number, number))
        name = tensor.Name().decode()
        parts = {"": value, **quantised(details[number]["quantization_parameters"], value.shape)}
        if name in seen:
            assert tensor.Buffer() != seen[name], "what is there twice is not told twice"
            name = f"{name}#{number}"
        seen[name] = tensor.Buffer()
        for suffix, part in parts.items():
            yield name + suffix, part


def densified(model: schema.Model, graph: schema.SubGraph) -> Iterator[tuple[int, int]]:
    """The sparse tensors that the graph makes dense, and what they become."""
    for each in range(graph.OperatorsLength()):
        operator = graph.Operators(each)
        if model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode() == schema.BuiltinOperator.DENSIFY:
            yield operator.Inputs(0), operator.Outputs(0)


def quantised(told: dict[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Scales and zero points, of a shape that spreads."""
    made = {}
    for suffix, key, kind in ((".scale", "scales", np.float32), (".zero_point", "zero_points", np.int64)):
        values = told[key].astype(kind)
        if len(values):
            spread = [1] * len(shape)
            spread[told["quantized_dimension"]] = len(values)
            made[suffix] = values.reshape(spread if len(values) > 1 else ())
    return made


def reading(path: Path) -> Named:
    """What a file holds."""
    if path.suffix == ".index":
        return checkpoint(str(path.with_suffix("")))
    if path.suffix == ".tflite":
        return lite(path)
    if path.name == "saved_model.pb":
        return saved_model(path)
    return constants(graph_pb2.GraphDef.FromString(path.read_bytes()))


def main() -> None:
    """Read each."""
    for path in map(Path, sys.argv[1:]):
        told = {
            name: [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()[:32]]
            for name, value in reading(path)
        }
        print("ANSWER", json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
