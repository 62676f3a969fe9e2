"""ONNX files: every type in every way, our own folders, all that is hostile; real ones: make onnx-check."""

from __future__ import annotations

import contextlib
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.onnx.check import written
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from tests.translators.test_target_folders import tensors as of_safetensors
from translators import Plan, Refusal, open_model, plans
from translators.errors import MalformedSource, MissingSource, TranslationError, Unsupported
from translators.model import Model
from translators.onnx_types import NUMBERS
from translators.reading import SourceFiles
from translators.recipes import nbytes, read_bytes, stored
from translators.sources import onnx, protobuf
from translators.sources.recognise import recognise
from translators.targets.onnx.protobuf import data, number, numbers, real, varint

MEMORY = 24 << 20
PLAIN = {
    "F32": np.float32, "F64": np.float64, "F16": np.float16, "I8": np.int8, "I16": np.int16, "I32": np.int32,
    "I64": np.int64, "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64, "BOOL": np.bool_,
    "C64": np.complex64,
}  # fmt: skip


def values(kind: str, shape: tuple[int, ...] = (3, 5)) -> np.ndarray:
    count = int(np.prod(shape))
    return (np.arange(count) * 37 - (0 if kind[0] in "UB" else 100)).astype(PLAIN[kind]).reshape(shape)


def tensor(name: str, kind: str | int, shape: tuple[int, ...], *content: bytes) -> bytes:
    """A TensorProto of what `content` says of its data."""
    code = NUMBERS[kind] if isinstance(kind, str) else kind
    return numbers(1, shape) + number(2, code) + data(8, name) + b"".join(content)


def outside(location: str, **said: object) -> bytes:
    """That a tensor's data lie in a file."""
    entries = {"location": location, **{key: str(each) for key, each in said.items()}}
    told = [data(13, data(1, key) + data(2, each)) for key, each in entries.items()]
    return b"".join(told) + number(14, 1)


def graph(*tensors: bytes, nodes: tuple[bytes, ...] = ()) -> bytes:
    """A ModelProto with these initialisers."""
    parts = [data(1, each) for each in nodes] + [data(5, each) for each in tensors]
    return number(1, 10) + data(7, b"".join(parts))


def constant(output: str, value: bytes) -> bytes:
    attribute = data(1, "value") + data(5, value) + number(20, 4)
    return data(2, output) + data(4, "Constant") + data(5, attribute)


def seed() -> bytes:
    """A file with everything in it, for whoever looks for what breaks the reader."""
    raw = values("F32").tobytes()
    inner = data(5, tensor("inner", "F32", (3, 5), data(9, raw)))
    branch = data(1, "then_branch") + data(6, inner) + number(20, 5)
    return graph(
        tensor("raw", "F32", (3, 5), data(9, raw)),
        tensor("floats", "F32", (3, 5), data(4, raw)),
        tensor("ints", "I8", (3,), numbers(5, (1, -2, 300))),
        tensor("outside", "F32", (3, 5), outside("w.data", offset=0, length=60)),
        nodes=(
            constant("c", tensor("", "I64", (2,), numbers(7, (1, -1)))),
            data(4, "If") + data(3, "if") + data(5, branch),
        ),
    )


def read(folder: Path, content: bytes, name: str = "m.onnx") -> Model:
    (folder / name).write_bytes(content)
    return onnx.read(folder, [name], "m")


def contents(model: Model) -> dict[str, bytes]:
    files = SourceFiles(model.files)
    try:
        return {
            name: bytes(read_bytes(recipe, 0, nbytes(recipe), files))
            for name, recipe in ((name, stored(each)) for name, each in model.tensors.items())
        }
    finally:
        files.close()


@pytest.mark.parametrize("kind", PLAIN)
def test_every_type_in_every_way(kind: str, tmp_path: Path) -> None:
    array = values(kind)
    raw = array.tobytes()
    lists = {"F32": 4, "C64": 4, "F64": 10, "I64": 7, "U64": 11, "U32": 11}
    where = lists.get(kind, 5)
    if where in (4, 10):
        typed = data(where, raw)
        wire = {4: 5, 10: 1}[where]
        width = {4: 4, 10: 8}[where]
        apart = b"".join(varint(where << 3 | wire) + raw[at : at + width] for at in range(0, len(raw), width))
    else:
        bits = array.view(np.uint16) if kind == "F16" else array
        listed = [int(each) for each in bits.reshape(-1)]
        typed, apart = numbers(where, listed), b"".join(number(where, each) for each in listed)
    (tmp_path / "w.data").write_bytes(b"before" + raw + b"after")
    model = read(
        tmp_path,
        graph(
            tensor("raw", kind, (3, 5), data(9, raw)),
            tensor("typed", kind, (3, 5), typed),
            tensor("apart", kind, (3, 5), apart),
            tensor("outside", kind, (3, 5), outside("w.data", offset=6, length=len(raw))),
            nodes=(constant("constant", tensor("", kind, (3, 5), data(9, raw))),),
        ),
    )
    assert contents(model) == dict.fromkeys(("constant", "raw", "typed", "apart", "outside"), raw)
    assert {(each.dtype.name, each.shape) for each in model.tensors.values()} == {(kind, (3, 5))}
    assert (model.format, model.weights) == ("onnx", 2)
    merged = plans(model)["model.safetensors"]
    assert isinstance(merged, Plan)
    assert isinstance(plans(model)["model.gguf-*"], Refusal)


def test_narrow_integers_get_a_byte_each(tmp_path: Path) -> None:
    packed = bytes([0x21, 0xF3, 0x08])
    model = read(
        tmp_path,
        graph(
            tensor("int4", 22, (5,), data(9, packed)),
            tensor("uint4", 21, (1, 5), numbers(5, packed)),
            tensor("uint2", 25, (3,), data(9, b"\x39")),
        ),
    )
    assert contents(model) == {
        "int4": np.array([1, 2, 3, -1, -8], np.int8).tobytes(),
        "uint4": bytes([1, 2, 3, 15, 8]),
        "uint2": bytes([1, 2, 3]),
    }
    assert model.tensors["uint4"].shape == (1, 5)


def test_what_lies_in_graphs_within_and_in_functions(tmp_path: Path) -> None:
    raw = values("F32").tobytes()
    function = data(1, "curve") + data(7, constant("k", tensor("", "F32", (3, 5), data(9, raw))))
    model = read(tmp_path, graph_with_branch(raw) + data(25, function))
    assert list(model.tensors) == ["if/then_branch/inner", "curve/k"]
    assert set(contents(model).values()) == {raw}


def graph_with_branch(raw: bytes) -> bytes:
    inner = data(5, tensor("inner", "F32", (3, 5), data(9, raw)))
    branch = data(1, "then_branch") + data(6, inner) + number(20, 5)
    return graph(nodes=(data(4, "If") + data(3, "if") + data(5, branch),))


def test_texts_are_left_out_and_nothing_is_something(tmp_path: Path) -> None:
    model = read(
        tmp_path,
        graph(
            tensor("words", 8, (1,), data(6, "hello")),
            tensor("none", "F32", (0, 4)),
            tensor("one", "F32", (), data(9, bytes(4))),
        ),
    )
    assert {name: each.shape for name, each in model.tensors.items()} == {"none": (0, 4), "one": ()}


def test_ranges_of_numbers_of_different_lengths(tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(-(1 << 62), 1 << 62, 90_000) >> np.arange(90_000) % 60
    model = read(tmp_path, graph(tensor("w", "I64", array.shape, numbers(7, map(int, array)))))
    recipe, files = stored(model.tensors["w"]), SourceFiles(model.files)
    whole = array.astype("<i8").tobytes()
    for start, length in ((0, 10), (77_777, 100_000), (len(whole) - 3, 3), (0, len(whole))):
        assert bytes(read_bytes(recipe, start, length, files)) == whole[start : start + length]
    files.close()


@pytest.mark.parametrize("form", ["onnx-fp32", "onnx-fp16"])
def test_our_own_folders_hold_the_checkpoint(form: str, tmp_path: Path) -> None:
    source = build(MODELS["Biased-llama-1.5b"], tmp_path)
    folder = written(source, form, tmp_path / "ours")
    expected = of_safetensors(written(source, f"hf-f{form[-2:]}", tmp_path / "theirs"))
    model = open_model(folder)
    held = contents(model)
    assert model.format == "onnx"
    assert {name: held[name] for name in expected} == {name: each[2] for name, each in expected.items()}
    extra = model.tensors.keys() - expected.keys()
    assert {name for name in extra if not name.startswith("constant/")} == {"cos_cache", "sin_cache"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["model.onnx", "model.onnx.data", "config.json"], [("onnx", "", ("model.onnx",))]),
        (["a.onnx", "b.onnx"], [("onnx", "a", ("a.onnx",)), ("onnx", "b", ("b.onnx",))]),
        (["model.onnx", "model.safetensors"], [("safetensors", "", ("model.safetensors",))]),
        (["pytorch_model.bin", "model.onnx"], [("pytorch", "", ("pytorch_model.bin",))]),
    ],
)  # fmt: skip
def test_what_names_say(names: list[str], expected: list[tuple[str, str, tuple[str, ...]]]) -> None:
    assert [(each.format, each.name, each.files) for each in recognise(names)] == expected


W = data(9, bytes(60))


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        (b"", MalformedSource, "no graph"),
        (b"GGUF\x03\0\0\0", MalformedSource, "which there is not"),
        (graph(), MalformedSource, "no tensor"),
        (b"\xff" * 40, MalformedSource, "does not end"),
        (b"\x3a" + b"\xff" * 9 + b"\x01", MalformedSource, "announced"),
        (b"\x3a\x7f", MalformedSource, "announced"),
        (data(7, data(5, b"\x0a\x7f")), MalformedSource, "announced"),
        (graph(tensor("w", "F32", (3, 5), data(9, bytes(59)))), MalformedSource, "59 bytes"),
        (graph(tensor("w", "F32", (3, 5))), MalformedSource, "0 bytes"),
        (graph(tensor("w", "F32", (-1,), W)), MalformedSource, "negative"),
        (graph(tensor("w", "F32", (1 << 61, 1 << 61), W)), MalformedSource, "bytes are no F32"),
        (graph(tensor("w", 99, (3, 5), W)), MalformedSource, "type 99"),
        (graph(tensor("w", 15, (1,), data(9, bytes(16)))), Unsupported, "complex128"),
        (graph(tensor("w", "F32", (3, 5), W), tensor("w", "F32", (3, 5), W)), MalformedSource, "own"),
        (graph(tensor("", "F32", (3, 5), W)), MalformedSource, "own"),
        (graph(tensor("n" * 5000, "F32", (3, 5), W)), MalformedSource, "no name"),
        (graph(tensor("w", "F32", (3, 5), data(8, b"\xff"), W)), MalformedSource, "UTF-8"),
        (graph(tensor("w", "F32", (1,) * 80, data(9, bytes(4)))), MalformedSource, "more numbers"),
        (graph(tensor("w", "I64", (3,), numbers(7, (1, 2)))), MalformedSource, "3 numbers"),
        (graph(tensor("w", "I64", (1,), data(7, b"\xff" * 11))), MalformedSource, "does not end"),
        (graph(tensor("w", "I64", (1,), data(7, b"\x80"))), MalformedSource, "does not end"),
        (graph(tensor("w", "I64", (1,), real(4, 1.0))), MalformedSource, "another type"),
        (graph(tensor("w", "F32", (1,), data(3, b""), W)), MalformedSource, "segments"),
        (data(7, data(15, b"")), Unsupported, "sparse"),
    ],
)
def test_what_is_no_model_is_an_error(
    tmp_path: Path, content: bytes, error: type[TranslationError], reason: str
) -> None:
    with pytest.raises(error, match=reason) as caught:
        read(tmp_path, content)
    assert caught.value.path.endswith("m.onnx")


@pytest.mark.parametrize(
    ("location", "error", "reason"),
    [
        ("../secret", MalformedSource, "outside"),
        ("a/../../secret", MalformedSource, "outside"),
        ("a\\..\\..\\secret", MalformedSource, "outside"),
        ("/etc/hostname", MalformedSource, "outside"),
        ("C:/secret", MalformedSource, "outside"),
        ("", MalformedSource, "outside"),
        ("w\0.data", MalformedSource, "outside"),
        ("link", MalformedSource, "leaves the directory"),
        ("folder/secret", MalformedSource, "leaves the directory"),
        ("absent", MissingSource, "not there"),
        ("inner", MissingSource, "no.*regular file"),
        ("short", MalformedSource, "of a file of 59"),
    ],
)
def test_data_outside_of_the_directory_are_not_read(
    tmp_path: Path, location: str, error: type[TranslationError], reason: str
) -> None:
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(bytes(60))
    (folder / "short").write_bytes(bytes(59))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "folder").symlink_to(tmp_path)
    with pytest.raises(error, match=reason):
        read(folder, graph(tensor("w", "F32", (3, 5), outside(location))))


@pytest.mark.parametrize(
    "said",
    [{"offset": "-1"}, {"offset": "1e3"}, {"offset": "9" * 30}, {"length": "61"}, {"length": "x"}],
)
def test_what_is_said_of_external_data_is_checked(tmp_path: Path, said: dict[str, str]) -> None:
    (tmp_path / "w.data").write_bytes(bytes(60))
    with pytest.raises(MalformedSource):
        read(tmp_path, graph(tensor("w", "F32", (3, 5), outside("w.data", **said))))


def test_a_hub_cache_is_made_of_links(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main" / "onnx"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    raw = values("F32").tobytes()
    (blobs / "a").write_bytes(graph(tensor("w", "F32", (3, 5), outside("m.onnx_data"))))
    (blobs / "b").write_bytes(raw)
    (snapshot / "m.onnx").symlink_to(Path("../../../blobs/a"))
    (snapshot / "m.onnx_data").symlink_to(Path("../../../blobs/b"))
    assert contents(onnx.read(snapshot, ["m.onnx"], "m")) == {"w": raw}


def test_graphs_within_graphs_end(tmp_path: Path) -> None:
    inner = b""
    for _ in range(2000):
        inner = data(1, data(4, "If") + data(5, data(1, "then") + data(6, inner)))
    with pytest.raises(MalformedSource, match="deep"):
        read(tmp_path, number(1, 10) + data(7, inner))


def test_a_great_many_fields_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf, "MOST_FIELDS", 10_000)
    with pytest.raises(MalformedSource, match="more than 10,000 fields"):
        read(tmp_path, data(7, b"\x08\x00" * 10_000))


def test_memory_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    head = tensor("w", "F32", (1 << 28,), varint(9 << 3 | 2) + varint(1 << 30))
    whole = len(head) + (1 << 30)
    start = varint(5 << 3 | 2) + varint(whole)
    path.write_bytes(varint(7 << 3 | 2) + varint(len(start) + whole) + start + head)
    os.truncate(path, path.stat().st_size + (1 << 30))
    tracemalloc.start()
    model = onnx.read(tmp_path, ["m.onnx"], "m")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.tensors["w"].elements == 1 << 28
    assert peak < MEMORY


VALID = seed()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=6))
def test_no_change_of_bytes_does_harm(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    changed = bytearray(VALID)
    for at, value in changes:
        changed[at] = value
    folder = tmp_path_factory.getbasetemp() / "changed"
    folder.mkdir(exist_ok=True)
    (folder / "w.data").write_bytes(bytes(60))
    with contextlib.suppress(TranslationError):
        contents(read(folder, bytes(changed)))
