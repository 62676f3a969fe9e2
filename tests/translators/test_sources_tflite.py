"""TensorFlow Lite's files: read as its interpreter reads them; and everything hostile."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.tensorflow import check
from tests.translators.memory import Memory
from tests.translators.test_sources_npz import content
from tests.translators.test_sources_tensorflow import GOLDEN, bounded, digests
from translators import Plan, Refusal, open_model, plans
from translators.errors import MalformedSource, TranslationError
from translators.model import Model, Tensor
from translators.recipes import narrow, nbytes, read_bytes
from translators.sources import flatbuffer, tflite

SEEDS = [name for name in GOLDEN if name.endswith(".tflite")]


@pytest.mark.parametrize("name", SEEDS)
def test_what_the_converter_wrote_is_read_as_the_interpreter_reads_it(name: str) -> None:
    model = open_model(check.SEEDS / name)
    assert (model.format, model.name) == ("tflite", Path(name).stem)
    assert digests(model) == GOLDEN[name]


def test_a_file_alone_is_a_model_of_weights_alone(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes((check.SEEDS / "lite/integers.tflite").read_bytes())
    found = plans(open_model(tmp_path))
    assert isinstance(found["model.safetensors"], Plan)
    assert isinstance(found["model.gguf-*"], Refusal)


def test_scales_spread_over_what_they_scale() -> None:
    """The weights come out as they were, within half a step."""
    model = open_model(check.SEEDS / "lite/integers.tflite")
    data = content(model)

    def array(name: str, kind: str) -> np.ndarray:
        return np.frombuffer(data[name], kind).reshape(model.tensors[name].shape)

    weight = array("Conv2D1", "i1")
    scale = array("Conv2D1.scale", "<f4")
    made = (weight - array("Conv2D1.zero_point", "<i8")) * scale
    plain = open_model(check.SEEDS / "lite/floats.tflite")
    floats = np.frombuffer(content(plain)["Conv2D1"], "<f4").reshape(made.shape)
    assert np.all(abs(made - floats) <= 0.51 * scale)


def test_data_behind_the_model_are_read_in_place() -> None:
    apart = open_model(check.SEEDS / "lite/apart.tflite").tensors["matmul"]
    assert isinstance(apart, Tensor)
    assert apart.extent.offset % 16 == 0


# Files made by hand.


@dataclass(frozen=True, eq=False)
class Node:
    """Something that is referred to: a table of fields, or a vector.

    A field is None, another node, or struct's form and a number. Of a vector, `count` may be told wrong.
    """

    fields: tuple[Node | tuple[str, int] | None, ...] = ()
    vector: bool = False
    count: int | None = None

    def written(self, out: bytearray) -> tuple[int, list[tuple[int, Node]]]:
        """Where it was put in `out`, and what it refers to from where."""
        sizes = [struct.calcsize("<" + (each[0] if isinstance(each, tuple) else "I")) for each in self.fields]
        if not self.vector:
            sizes = [size if each is not None else 0 for size, each in zip(sizes, self.fields, strict=True)]
            places = [4 + sum(sizes[:number]) if size else 0 for number, size in enumerate(sizes)]
            head = struct.pack(f"<HH{len(sizes)}H", 4 + 2 * len(sizes), 4 + sum(sizes), *places)
            out += head
        at = len(out)
        count = len(self.fields) if self.count is None else self.count
        out += struct.pack("<I", count) if self.vector else struct.pack("<i", len(head))
        references = []
        for each in self.fields:
            if isinstance(each, Node):
                references.append((len(out), each))
            out += struct.pack("<" + each[0], each[1]) if isinstance(each, tuple) else b""
            out += bytes(4) if isinstance(each, Node) else b""
        return at, references


def table(*fields: Node | tuple[str, int] | None) -> Node:
    return Node(fields)


def vector(*items: Node | tuple[str, int], count: int | None = None) -> Node:
    return Node(items, vector=True, count=count)


def text(value: str) -> Node:
    return vector(*(("B", byte) for byte in value.encode()))


def numbers(form: str, *values: int) -> Node:
    return vector(*((form, value) for value in values))


def built(root: Node) -> bytes:
    """The file of a root table: what is referred to comes behind it."""
    out = bytearray(4) + b"TFL3"
    waiting, placed = [(0, root)], dict[Node, int]()
    while waiting:
        place, node = waiting.pop(0)
        if node not in placed:
            placed[node], references = node.written(out)
            waiting += references
        out[place : place + 4] = struct.pack("<I", placed[node] - place)
    return bytes(out)


FOUR = table(numbers("B", 1, 2, 0xF3, 4))


def constant(
    shape: Node | None, kind: int = 9, buffer: int = 1, name: str = "a", *more: Node | tuple[str, int] | None
) -> Node:
    return table(shape, ("b", kind), ("I", buffer), text(name), *more)


def of(*tensors: Node, buffers: Sequence[Node] = (table(), FOUR)) -> bytes:
    graph = table(vector(*tensors), None, None, None)
    return built(table(("I", 3), None, vector(graph), None, vector(*buffers)))


def read(root: Path, data: bytes) -> Model:
    (root / "m.tflite").write_bytes(data)
    with bounded():
        return tflite.read(root, ["m.tflite"], "m")


def test_a_file_by_hand(tmp_path: Path) -> None:
    data = of(
        constant(numbers("i", 2, 2)), constant(numbers("i", 4), buffer=0, name="activation"),
        constant(numbers("i", 4), 5, name="text"), constant(numbers("i", 2, 2)),
        constant(numbers("i", 1), 2), constant(None, 0, name=""),
        constant(numbers("i", 7), 17, name="signed"), constant(numbers("i", 2, 4), 20, name="unsigned"),
        constant(numbers("i", 16), 19, name="two"),
    )  # fmt: skip
    model = read(tmp_path, data)
    assert {name: (each.dtype.name, each.shape) for name, each in model.tensors.items()} == {
        "a": ("I8", (2, 2)), "a#4": ("I32", (1,)), "#5": ("F32", ()), "signed": ("I8", (7,)),
        "unsigned": ("U8", (2, 4)), "two": ("I8", (16,)),
    }  # fmt: skip
    made = content(model)
    assert made["a"] == made["a#4"] == made["#5"] == bytes((1, 2, 0xF3, 4))
    assert list(np.frombuffer(made["signed"], "i1")) == [1, 0, 2, 0, 3, -1, 4]
    assert list(made["unsigned"]) == [1, 0, 2, 0, 3, 15, 4, 0]
    assert list(np.frombuffer(made["two"], "i1")) == [1, 0, 0, 0, -2, 0, 0, 0, -1, 0, -1, -1, 0, 1, 0, 0]


def per_channel(count: int, axis: int) -> Node:
    return table(None, None, numbers("I", *range(count)), None, None, None, ("i", axis))


SHAPE = numbers("i", 2, 2)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "has not the mark"),
    "another file": (bytes(100), "has not the mark"),
    "root beyond": (b"\xff\xff\xff\x7fTFL3" + bytes(20), "beyond the file"),
    "vtable before": (b"\x08\0\0\0TFL3\xff\xff\xff\x7f" + bytes(20), "beyond the file"),
    "no constants": (of(constant(SHAPE, buffer=0)), "no constant in it"),
    "no graph": (built(table(("I", 3))), "no constant in it"),
    "size": (of(constant(numbers("i", 2, 3))), r"4 bytes are no I8 of 8 bits and shape \[2, 3\]"),
    "size of four bits": (of(constant(numbers("i", 5), 17)), "no U8 of 4 bits"),
    "negative": (of(constant(numbers("i", -2, -2))), "is no shape"),
    "great": (of(constant(numbers("i", *[1 << 30] * 4))), "is no shape"),
    "dimensions": (of(constant(numbers("i", *[1] * 65))), "65 numbers, where 64 are the most"),
    "type": (of(constant(SHAPE, 11)), "a tensor of type 11"),
    "no such buffer": (of(constant(SHAPE, buffer=2)), "table 2 of a vector of 2"),
    "far buffer": (of(constant(SHAPE, buffer=0xFFFF_FFFF)), "table 4,294,967,295 of a vector of 2"),
    "long vector": (
        of(constant(SHAPE), buffers=(table(), table(vector(count=0xFFFF_FFFF)))), "beyond the end of the",
    ),
    "data behind": (
        of(constant(SHAPE), buffers=(table(), table(None, ("Q", 1 << 62), ("Q", 4)))), "beyond the file",
    ),
    "sparse": (of(constant(SHAPE, 9, 1, "a", None, None, table())), "a sparse tensor"),
    "elsewhere": (
        of(constant(SHAPE, 9, 1, "a", None, None, None, None, None, None, ("I", 1))), "in another file",
    ),
    "axis": (of(constant(SHAPE, 9, 1, "a", per_channel(2, 2))), "along axis 2 of"),
    "scales": (of(constant(SHAPE, 9, 1, "a", per_channel(3, 0))), "3 scales or zero points along axis 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name: str, tmp_path: Path) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises(TranslationError, match=reason) as told:
        read(tmp_path, data)
    assert told.value.path.endswith("m.tflite")


def test_a_table_that_is_there_very_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a string: little to store, much to read."""
    monkeypatch.setattr(flatbuffer, "MOST_TABLES", 2000)
    same = constant(SHAPE)
    with pytest.raises(MalformedSource, match="more tables than any model"):
        read(tmp_path, of(*[same] * 2000))
    long = constant(SHAPE, name="n" * 60_000)
    assert list(read(tmp_path, of(long)).tensors) == ["n" * 60_000]
    monkeypatch.setattr(flatbuffer, "MOST_STRINGS", 100_000)
    with pytest.raises(MalformedSource, match="too many of them"):
        read(tmp_path, of(long, long))
    with pytest.raises(MalformedSource, match="a string of 70,000 bytes"):
        read(tmp_path, of(constant(SHAPE, name="n" * 70_000)))


def test_a_table_that_lies_in_itself(tmp_path: Path) -> None:
    """The model as its own first graph: nothing is followed but what the schema has."""
    data = bytearray(built(table(("I", 3), None, vector(table()), None, vector(table()))))
    root = struct.unpack_from("<I", data)[0]
    graphs = struct.unpack_from("<I", data, root + 8)[0] + root + 8
    data[graphs + 4 : graphs + 8] = struct.pack("<i", root - graphs - 4)
    with pytest.raises(TranslationError):
        read(tmp_path, bytes(data))


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_damaged_files(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever bytes change: a model or an error of ours, in bounded memory."""
    raw = bytearray((check.SEEDS / "lite/narrow.tflite").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(TranslationError):
        read(tmp_path_factory.mktemp("damaged"), bytes(raw))


def test_integers_of_few_bits() -> None:
    """Any range of them, and what holds none."""
    source = Memory()
    codes = np.random.default_rng(3).integers(0, 256, 50).astype(np.uint8)
    of_bytes = source.put(codes)
    for bits, signed, shape in (
        (4, True, (9, 11)),
        (4, False, (100,)),
        (2, True, (199,)),
        (2, False, (2, 100)),
    ):
        recipe = narrow(of_bytes, bits, signed=signed, shape=shape)
        each = codes[:, None] >> np.arange(0, 8, bits) & (1 << bits) - 1
        values = each.reshape(-1)[: prod(shape)].astype(np.int16)
        if signed:
            values = np.where(values >> bits - 1, values - (1 << bits), values)
        whole = values.astype(np.int8).tobytes()
        assert bytes(read_bytes(recipe, 0, nbytes(recipe), source)) == whole
        for first in range(0, len(whole) - 2, 7):
            assert bytes(read_bytes(recipe, first, 3, source)) == whole[first : first + 3]
    for shape in ((98,), (101,)):
        with pytest.raises(ValueError, match="are not"):
            narrow(of_bytes, 4, signed=True, shape=shape)
    with pytest.raises(ValueError, match="holds no integers"):
        narrow(of_bytes, 3, signed=True, shape=(10,))
