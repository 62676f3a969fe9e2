"""Makes files of every kind with TensorFlow, which it runs in: python made.py DIRECTORY [--large].

Without `--large` they are small enough to be kept in the repository (seeds/); with it they have many blocks,
files and tensors, and are made anew each time.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import flatbuffers
import ml_dtypes
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

V1 = tf.compat.v1
TYPES = (
    "float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16",
    "uint32", "uint64", "bool", "complex64", "float8_e5m2", "float8_e4m3fn",
)  # fmt: skip


def values(shape: tuple[int, ...], seed: int, dtype: str = "float32") -> np.ndarray:
    """Some numbers."""
    made = np.random.default_rng(seed).standard_normal(shape) * 20
    if dtype.startswith(("u", "bool")):
        made = np.abs(made)
    kind = getattr(ml_dtypes, dtype) if dtype.startswith(("bfloat", "float8")) else dtype
    return made.astype(kind)


class Net(tf.Module):
    """A convolution and a matrix, a constant beside them."""

    def __init__(self, wide: int = 4) -> None:
        super().__init__()
        self.kernel = tf.Variable(values((3, 3, 2, wide), 1))
        self.dense = tf.Variable(values((wide, 5), 2))
        self.bias = tf.Variable(values((5,), 3))

    @tf.function(input_signature=[tf.TensorSpec((1, 6, 6, 2), tf.float32)])
    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        hidden = tf.nn.relu(tf.nn.conv2d(image, self.kernel, 1, "SAME"))
        return tf.reduce_mean(hidden, [1, 2]) @ self.dense + self.bias


class Constant(tf.Module):
    """A model without variables."""

    @tf.function(input_signature=[tf.TensorSpec((2, 3), tf.float32)])
    def __call__(self, given: tf.Tensor) -> tf.Tensor:
        return given @ tf.constant(values((3, 4), 9)) + 1.5


def checkpoints(out: Path, large: bool) -> None:
    """Of TensorFlow 2, of 1 with partitioned variables, and in several files of data."""
    plain = tf.train.Checkpoint(
        **{name: tf.Variable(values((3, 5), number, name)) for number, name in enumerate(TYPES)},
        scalar=tf.Variable(2.5), empty=tf.Variable(values((0, 4), 1)), text=tf.Variable("none"),
        layers=[tf.Variable(values((7,), number)) for number in range(3000 if large else 3)],
    )  # fmt: skip
    plain.write(str(out / "objects" / "ckpt-1"))
    with tf.Graph().as_default(), V1.Session() as session:
        for name, shape, parts, axis in (("rows", (10, 4), 3, 0), ("columns", (4, 200), 3, 1)):
            V1.get_variable(
                f"bert/{name}", initializer=tf.constant(values(shape, 7)),
                partitioner=V1.fixed_size_partitioner(parts, axis=axis),
            )  # fmt: skip
        V1.get_variable("bert/bias", initializer=tf.constant(values((3,), 8, "float16")))
        session.run(V1.global_variables_initializer())
        V1.train.Saver().save(session, str(out / "partitioned" / "bert_model.ckpt"), write_meta_graph=False)
    (out / "partitioned" / "checkpoint").unlink()
    grid = values((5, 300 if large else 6), 4)
    half = grid.shape[1] // 2
    places = [(0, 2, 0, half), (0, 2, half, half), (2, 3, 0, half), (2, 3, half, half)]
    prefixes, whole = [], f"{grid.shape[0]} {grid.shape[1]}"
    for number, some in enumerate((places[:3], places[3:])):
        prefixes.append(str(out / "shards" / f"part-{number}"))
        tf.raw_ops.SaveV2(
            prefix=prefixes[-1], tensor_names=["grid"] * len(some) + [f"own/{number}"],
            shape_and_slices=[f"{whole} {a},{b}:{c},{d}" for a, b, c, d in some] + [""],
            tensors=[grid[a : a + b, c : c + d] for a, b, c, d in some] + [values((4,), number)],
        )  # fmt: skip
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=prefixes, destination_prefix=str(out / "shards" / "model"), delete_old_dirs=False
    )


def graphs(out: Path, large: bool) -> None:
    """SavedModels with variables and without, and frozen graphs with numbers of every kind."""
    net = Net(400 if large else 4)
    bare = tf.Module()
    bare.kernel, bare.parts = net.kernel, [net.dense, net.bias]
    tf.saved_model.save(net if large else bare, str(out / "saved"))
    tf.saved_model.save(Constant(), str(out / "constants"))
    for name in ("saved", "constants"):
        (out / name / "fingerprint.pb").unlink()
    (out / "frozen").mkdir(parents=True)
    frozen = convert_variables_to_constants_v2(net.__call__.get_concrete_function()).graph.as_graph_def()
    (out / "frozen" / "frozen_graph.pb").write_bytes(frozen.SerializeToString())
    graph = tf.Graph()
    with graph.as_default():
        for number, name in enumerate(TYPES):
            dtype = getattr(tf, name, None) or tf.as_dtype(name)
            tf.constant(values((2, 3), number, name), dtype, name=name)
            tf.constant(values((), number, name), dtype, name=f"scalar/{name}")
            if not name.startswith("float8"):
                tf.constant(values((1,), number, name), dtype, shape=(3, 5), name=f"filled/{name}")
        tf.constant("text")
        tf.constant([], shape=(0, 3), name="empty")
    definition = graph.as_graph_def()
    for name, kind, field, numbers in (
        ("typed", 1, "float_val", [1.0, 2.0, 3.0]), ("halves", 19, "half_val", [15360, 16384]),
        ("bytes", 6, "int_val", [-1, -128, 7]), ("longs", 9, "int64_val", [-5, 1 << 40]),
        ("none", 2, "double_val", []), ("pairs", 8, "scomplex_val", [1.0, -2.0]),
    ):  # fmt: skip
        node = definition.node.add(name=name, op="Const")
        node.attr["dtype"].type = kind
        tensor = node.attr["value"].tensor
        tensor.dtype = kind
        tensor.tensor_shape.dim.add().size = 7
        getattr(tensor, field).extend(numbers)
    (out / "frozen" / "typed_graph.pb").write_bytes(definition.SerializeToString())


def lite(out: Path, large: bool) -> None:
    """Models of TensorFlow Lite: of floats, quantised in each way, data apart, integers of four bits."""
    out.mkdir(parents=True)
    net = Net(400 if large else 4)

    def converter() -> tf.lite.TFLiteConverter:
        return tf.lite.TFLiteConverter.from_concrete_functions([net.__call__.get_concrete_function()], net)

    def written(name: str, of: tf.lite.TFLiteConverter) -> bytes:
        data = of.convert()
        (out / name).write_bytes(data)
        return data

    written("floats.tflite", converter())
    apart = converter()
    apart._experimental_use_buffer_offset = True
    written("apart.tflite", apart)
    halves = converter()
    halves.optimizations = [tf.lite.Optimize.DEFAULT]
    halves.target_spec.supported_types = [tf.float16]
    written("halves.tflite", halves)
    integers = converter()
    integers.optimizations = [tf.lite.Optimize.DEFAULT]
    integers.representative_dataset = lambda: ([values((1, 6, 6, 2), each)] for each in range(4))
    integers.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    narrow(out / "narrow.tflite", written("integers.tflite", integers))
    sparse(out / "sparse.tflite")


def narrow(path: Path, data: bytes) -> None:
    """The same model with its weights in four bits, two of them in a byte."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for tensor in model.subgraphs[0].tensors:
        buffer = model.buffers[tensor.buffer]
        if tensor.type == schema.TensorType.INT8 and buffer.data is not None and len(buffer.data):
            codes = np.asarray(buffer.data, np.uint8) & 15
            codes = np.append(codes, np.zeros(len(codes) % 2, np.uint8))
            buffer.data = codes[::2] | codes[1::2] << 4
            tensor.type = schema.TensorType.INT4
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


# Of a sparse tensor: its shape, the order of its levels, sizes and dimensions of blocks, which levels list.
SPARSE = {
    "rows": ((6, 40), (0, 1), (), (1,), np.float32),
    "columns": ((6, 40), (1, 0), (), (1,), np.float16),
    "both": ((30, 4, 5), (2, 0, 1), (), (0, 1, 2), np.int8),
    "blocks": ((8, 64), (0, 1, 2, 3), ((4, 0), (16, 1)), (1,), np.float32),
    "columns of blocks": ((8, 64), (1, 0, 2, 3), ((4, 0), (2, 1)), (0, 1), np.int8),
    "rows of blocks": ((16, 300, 2), (0, 2, 1, 3), ((1, 1),), (2,), np.float32),
}


def sparse(path: Path) -> None:
    """A model of sparse tensors and operators that make them dense."""
    kinds = {"float32": 0, "float16": 1, "int8": 9}
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, code = 3, [schema.BufferT()], schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DENSIFY
    model.operatorCodes, model.subgraphs = [code], [graph]
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
    for name, (shape, order, blocks, listed, kind) in SPARSE.items():
        numbers = np.random.default_rng(len(name))
        whole = numbers.integers(1, 100, shape).astype(kind)
        sizes = [math.prod(size for size, axis in blocks if axis == each) for each in range(len(shape))]
        places = [each // size for each, size in zip(shape, sizes, strict=True)]
        held = numbers.random(places) < 0.2
        for axis, size in enumerate(sizes):
            held = np.repeat(held, size, axis)
        sparsity, data = encoded(whole * held, order, blocks, listed)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data.astype(kind).tobytes(), np.uint8)
        for suffix, number in (("", len(model.buffers)), (" dense", 0)):
            tensor = schema.TensorT()
            tensor.name, tensor.shape, tensor.type, tensor.buffer = (
                name + suffix,
                shape,
                kinds[str(np.dtype(kind))],
                number,
            )
            tensor.sparsity = None if suffix else sparsity
            graph.tensors.append(tensor)
        model.buffers.append(buffer)
        operator = schema.OperatorT()
        operator.inputs, operator.outputs = [len(graph.tensors) - 2], [len(graph.tensors) - 1]
        graph.operators.append(operator)
        graph.outputs.append(len(graph.tensors) - 1)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def encoded(
    whole: np.ndarray, order: tuple[int, ...], blocks: tuple[tuple[int, int], ...], listed: tuple[int, ...]
) -> tuple[schema.SparsityParametersT, np.ndarray]:
    """How a sparse tensor is told, and its values. No dimension has blocks in two sizes."""
    within = {axis: (number, size) for number, (size, axis) in enumerate(blocks, whole.ndim)}
    split, names = [], []
    for axis, length in enumerate(whole.shape):
        number, size = within.get(axis, (-1, 1))
        split += [length // size] + ([size] if axis in within else [])
        names += [axis] + ([number] if axis in within else [])
    tree = whole.reshape(split).transpose([names.index(each) for each in order])
    told = schema.SparsityParametersT()
    told.traversalOrder, told.blockMap, told.dimMetadata = order, [axis for _, axis in blocks], []
    nodes = [tree]
    for level in range(len(order)):
        below = [[(place, part) for place, part in enumerate(node)] for node in nodes]
        metadata = schema.DimensionMetadataT()
        metadata.denseSize = tree.shape[level]
        if level in listed:
            below = [[(place, part) for place, part in parts if np.any(part)] for parts in below]
            metadata.format, metadata.denseSize = schema.DimensionType.SPARSE_CSR, 0
            ends = np.cumsum([0, *map(len, below)])
            metadata.arraySegmentsType, metadata.arraySegments = vector(ends)
            metadata.arrayIndicesType, metadata.arrayIndices = vector(
                np.array([place for parts in below for place, _ in parts])
            )
        told.dimMetadata.append(metadata)
        nodes = [part for parts in below for _, part in parts]
    return told, np.array(nodes)


def vector(numbers: np.ndarray) -> tuple[int, object]:
    """Integers of as few bytes as they need, and which kind that is."""
    if numbers.max(initial=0) < 1 << 8:
        kind, made = schema.SparseIndexVector.Uint8Vector, schema.Uint8VectorT()
        made.values = numbers.astype(np.uint8)
    elif numbers.max() < 1 << 16:
        kind, made = schema.SparseIndexVector.Uint16Vector, schema.Uint16VectorT()
        made.values = numbers.astype(np.uint16)
    else:
        kind, made = schema.SparseIndexVector.Int32Vector, schema.Int32VectorT()
        made.values = numbers.astype(np.int32)
    return kind, made


def main() -> None:
    """Make them all."""
    out, large = Path(sys.argv[1]), "--large" in sys.argv
    for name in ("objects", "partitioned", "shards"):
        (out / name).mkdir(parents=True)
    checkpoints(out, large)
    graphs(out, large)
    lite(out / "lite", large)


if __name__ == "__main__":
    main()
