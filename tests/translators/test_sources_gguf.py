"""GGUF files: gguf-py as the oracle, version 2 by hand, splits, and everything hostile."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf as gguf_py
import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.translators.handmade import gguf, info, pair, string, text, u16, u32
from translators.dtypes import DTYPES, GGUF_DTYPES
from translators.errors import MalformedSource, MissingSource, TranslationError, Unsupported
from translators.keyvalues import ValueType
from translators.model import Model
from translators.sources import gguf as gguf_source
from translators.sources import gguf_header

ARCHITECTURE = string("general.architecture", "llama")


def read(files: Sequence[Path], name: str) -> Model:
    return gguf_source.read(files[0].parent, [file.name for file in files], name)


def _written(path: Path, alignment: int | None = None) -> None:
    """A file with every kind of value and some types of tensors, by upstream's own writer."""
    writer = gguf_py.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_uint8("v.u8", 200)
    writer.add_int8("v.i8", -3)
    writer.add_uint16("v.u16", 60_000)
    writer.add_int16("v.i16", -30_000)
    writer.add_uint32("v.u32", 2**32 - 1)
    writer.add_int32("v.i32", -5)
    writer.add_uint64("v.u64", 2**63)
    writer.add_int64("v.i64", -(2**40))
    writer.add_float32("v.f32", 1.5)
    writer.add_float64("v.f64", 0.1)
    writer.add_bool("v.bool", True)
    writer.add_string("v.string", "grüße\0x")
    writer.add_array("v.ints", [1, -2, 3])
    writer.add_array("v.floats", [0.5, 2.0])
    writer.add_array("v.strings", ["a", "", "ü"])
    writer.add_array("v.bools", [True, False])
    random = np.random.default_rng(0)
    writer.add_tensor("f32", random.standard_normal((3, 5)).astype(np.float32))
    writer.add_tensor("f16", random.standard_normal((2, 3, 4)).astype(np.float16))
    writer.add_tensor("i8", np.arange(7, dtype=np.int8))
    quantised = random.integers(0, 256, (4, 2 * 34), np.uint8)
    writer.add_tensor("q8", quantised, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("alignment", [None, 64, 4096])
def test_what_upstreams_writer_wrote_and_its_reader_reads(tmp_path: Path, alignment: int | None) -> None:
    path = tmp_path / "m.gguf"
    _written(path, alignment)
    oracle = gguf_py.GGUFReader(path)
    model = read([path], "m")
    assert (model.name, model.format, model.weights, model.root) == ("m", "gguf", 1, tmp_path)
    whole = path.read_bytes()
    assert list(model.tensors) == [tensor.name for tensor in oracle.tensors]
    for expected in oracle.tensors:
        tensor = model.tensors[expected.name]
        assert tensor.dtype.name == expected.tensor_type.name
        assert tensor.shape == tuple(int(n) for n in reversed(expected.shape))
        assert (tensor.extent.offset, tensor.extent.length) == (expected.data_offset, expected.n_bytes)
        assert whole[tensor.extent.offset :][: tensor.extent.length] == expected.data.tobytes()
    assert model.key_values is not None
    fields = {name: field for name, field in oracle.fields.items() if not name.startswith("GGUF.")}
    assert list(model.key_values) == list(fields)
    for name, field in fields.items():
        value = model.key_values[name]
        assert int(value.type) == int(field.types[0])
        assert value.decoded == field.contents()


def test_the_raw_pairs_are_the_files_bytes(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    _written(path)
    key_values = read([path], "m").key_values
    assert key_values is not None
    assert path.read_bytes()[24:].startswith(key_values.encoded())


@pytest.mark.parametrize("version", [2, 3])
def test_versions_by_hand(tmp_path: Path, version: int) -> None:
    data = np.arange(6, dtype="<f4").tobytes()
    file = gguf([ARCHITECTURE, u32("a.b", 7)], [info("w", [3, 2], 0, 0)], data, version=version)
    (tmp_path / "m.gguf").write_bytes(file)
    model = read([tmp_path / "m.gguf"], "m")
    tensor = model.tensors["w"]
    assert (tensor.dtype, tensor.shape, tensor.extent.length) == (DTYPES["F32"], (2, 3), 24)
    assert file[tensor.extent.offset :] == data
    assert model.key_values is not None
    assert model.key_values.get("a.b") == 7


@pytest.mark.parametrize("kind", [kind for kind in GGMLQuantizationType if int(kind) in GGUF_DTYPES])
def test_every_type_has_upstreams_sizes(kind: GGMLQuantizationType, tmp_path: Path) -> None:
    block, size = GGML_QUANT_SIZES[kind]
    if kind is GGMLQuantizationType.Q8_1:
        size = 36  # two halves and 32 bytes in ggml-common.h; gguf-py still counts floats
    (tmp_path / "m.gguf").write_bytes(gguf([], [info("w", [block * 2, 3], int(kind), 0)], bytes(6 * size)))
    tensor = read([tmp_path / "m.gguf"], "m").tensors["w"]
    assert (tensor.dtype.name, tensor.extent.length) == (kind.name, 6 * size)


def test_a_vocabulary_of_250_000_is_quick(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    tokens = [f"token{n}" for n in range(250_000)]
    strings = struct.pack("<IQ", 8, len(tokens)) + b"".join(map(text, tokens))
    scores = struct.pack(f"<IQ{len(tokens)}f", 6, len(tokens), *range(len(tokens)))
    path.write_bytes(
        gguf([pair("t.tokens", 9, strings), pair("t.scores", 9, scores)], [info("w", [8], 0, 0)], bytes(32))
    )
    start = time.process_time()
    model = read([path], "m")
    assert time.process_time() - start < 1
    assert model.key_values is not None
    assert model.key_values["t.tokens"].type is ValueType.ARRAY
    assert model.key_values["t.tokens"].strings[-1] == b"token249999"


def test_a_string_across_the_pieces_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_header, "_FIRST_PIECE", 32)
    path = tmp_path / "m.gguf"
    _written(path)
    small = read([path], "m")
    monkeypatch.undo()
    assert small.key_values is not None
    whole = read([path], "m")
    assert whole.key_values is not None
    assert small.key_values.encoded() == whole.key_values.encoded()
    assert small.tensors == whole.tensors


def test_only_the_header_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf([], [info("w", [1 << 22], 0, 0)]))
    os.truncate(path, path.stat().st_size + (4 << 22))
    asked: list[int] = []
    real = os.pread

    def counted(descriptor: int, count: int, offset: int) -> bytes:
        asked.append(count)
        return real(descriptor, count, offset)

    monkeypatch.setattr("translators.sources.stored_file.os.pread", counted)
    read([path], "m")
    assert sum(asked) <= 1 << 20


def _split(root: Path, number: int, count: int, pairs: Sequence[bytes] = (), **tensors: bytes) -> Path:
    path = root / f"m-{number + 1:05d}-of-{count:05d}.gguf"
    own = [
        u16("split.no", number),
        u16("split.count", count),
        pair("split.tensors.count", 5, struct.pack("<i", 3)),
    ]
    infos, data = [], b""
    for name, value in tensors.items():
        infos.append(info(name, [len(value)], 24, len(data)))
        data += value + bytes(-len(value) % 32)
    path.write_bytes(gguf([*pairs, *own], infos, data))
    return path


def _splits(root: Path) -> list[Path]:
    return [
        _split(root, 0, 3, [ARCHITECTURE, u32("a.b", 7)]),  # llama-gguf-split --no-tensor-first-split
        _split(root, 1, 3, [], z=b"zz", a=b"a"),
        _split(root, 2, 3, [], b=b"bbb"),
    ]


def test_splits_are_one_model(tmp_path: Path) -> None:
    files = _splits(tmp_path)
    model = read(files[::-1], "m")
    assert list(model.tensors) == ["z", "a", "b"]
    assert [file.path for file in model.files] == [os.fsencode(path) for path in files]
    for name, expected in {"z": b"zz", "a": b"a", "b": b"bbb"}.items():
        extent = model.tensors[name].extent
        assert files[extent.file].read_bytes()[extent.offset :][: extent.length] == expected
    assert model.key_values is not None
    assert list(model.key_values) == ["general.architecture", "a.b"]


def test_splits_by_upstreams_writer(tmp_path: Path) -> None:
    writer = gguf_py.GGUFWriter(tmp_path / "m.gguf", "llama", split_max_tensors=2)
    for number in range(5):
        writer.add_tensor(f"t{number}", np.full(8, number, np.float32))
    writer.write_header_to_file(tmp_path / "m.gguf")
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    files = sorted(tmp_path.glob("*.gguf"))
    assert len(files) == 3
    model = read(files, "m")
    assert list(model.tensors) == [f"t{number}" for number in range(5)]
    assert model.key_values is not None
    assert not [key for key in model.key_values if key.startswith("split.")]


def test_a_split_is_missing(tmp_path: Path) -> None:
    files = _splits(tmp_path)
    for absent in range(3):
        with pytest.raises(MissingSource, match=f"split {absent + 1} of 3 is missing") as caught:
            read(files[:absent] + files[absent + 1 :], "m")
        assert caught.value.remedy


def test_splits_that_contradict_each_other(tmp_path: Path) -> None:
    files = _splits(tmp_path)
    kept = files[2].read_bytes()
    _split(tmp_path, 2, 3, [], z=b"bbb")
    with pytest.raises(MalformedSource, match="'z': the tensor is in"):
        read(files, "m")
    _split(tmp_path, 2, 3, [], b=b"b", c=b"c")
    with pytest.raises(MalformedSource, match="3 tensors are announced, all splits hold 4"):
        read(files, "m")
    files[2].write_bytes(files[1].read_bytes())
    with pytest.raises(MalformedSource, match="is split 2, by its name split 3"):
        read(files, "m")
    files[2].write_bytes(gguf([], [info("b", [3], 24, 0)], b"bbb"))
    with pytest.raises(MalformedSource, match="one of 1 splits, by its name one of 3"):
        read(files, "m")
    files[2].write_bytes(gguf([string("split.count", "3")], [info("b", [3], 24, 0)], b"bbb"))
    with pytest.raises(MalformedSource, match="no whole number"):
        read(files, "m")
    renamed = tmp_path / "alone.gguf"
    renamed.write_bytes(kept)
    with pytest.raises(MalformedSource, match="one of 3 splits") as caught:
        read([renamed], "m")
    assert "name" in caught.value.remedy


W = [info("w", [8], 0, 0)]
D = bytes(32)
ZERO, MANY = struct.pack("<Q", 0), 2**63
HOSTILE: dict[str, tuple[bytes, type[TranslationError], str]] = {
    "empty": (b"", MalformedSource, "too few"),
    "magic only": (b"GGUF", MalformedSource, "too few"),
    "other magic": (gguf([], W, D, magic=b"GGML"), MalformedSource, "does not begin with GGUF"),
    "version 0": (gguf([], W, D, version=0), Unsupported, "version 0"),
    "version 1": (gguf([], W, D, version=1), Unsupported, "version 1"),
    "version 4": (gguf([], W, D, version=4), Unsupported, "version 4"),
    "big endian": (gguf([], W, D, version=3 << 24), Unsupported, "big-endian"),
    "too many tensors": (gguf([], W, D, counts=(MANY, 0)), MalformedSource, "do not fit"),
    "too many keys": (gguf([], W, D, counts=(1, MANY)), MalformedSource, "do not fit"),
    "one tensor too many": (gguf([], W, counts=(2, 0)), MalformedSource, "do not fit|past the end"),
    "key length": (gguf([struct.pack("<Q", 2**62) + b"x" * 40], W, D), MalformedSource, "name of"),
    "key past the end": (gguf([struct.pack("<Q", 60_000) + b"x" * 40], W, D), MalformedSource, "past"),
    "key is no text": (gguf([pair(b"\xff", 8, text("x"))], W, D), MalformedSource, "no UTF-8"),
    "empty key": (gguf([string("", "x")], W, D), MalformedSource, "empty key"),
    "key twice": (gguf([u32("a", 1), u32("a", 1)], W, D), MalformedSource, "'a': the key appears twice"),
    "value type 13": (gguf([pair("a", 13, bytes(8))], W, D), MalformedSource, "no value type 13"),
    "string length": (gguf([pair("a", 8, struct.pack("<Q", 2**64 - 1))], W, D), MalformedSource, "past"),
    "array length": (
        gguf([pair("a", 9, struct.pack("<IQ", 4, 2**61))], W, D), MalformedSource, "does not fit",
    ),
    "array of strings": (
        gguf([pair("a", 9, struct.pack("<IQ", 8, 2**60))], W, D), MalformedSource, "does not fit",
    ),
    "string in an array": (
        gguf([pair("a", 9, struct.pack("<IQQ", 8, 2, 2**64 - 1))], W, D), MalformedSource, "past the end",
    ),
    "array of arrays": (
        gguf([pair("a", 9, struct.pack("<IQIQ", 9, 1, 4, 0))], W, D), Unsupported, "array of arrays",
    ),
    "array of type 99": (
        gguf([pair("a", 9, struct.pack("<IQ", 99, 0))], W, D), MalformedSource, "no value type 99",
    ),
    "alignment 0": (gguf([u32("general.alignment", 0)], W, D), MalformedSource, "power of two"),
    "alignment 24": (gguf([u32("general.alignment", 24)], W, D), MalformedSource, "power of two"),
    "alignment u16": (gguf([u16("general.alignment", 32)], W, D), MalformedSource, "power of two"),
    "alignment 2**31": (gguf([u32("general.alignment", 2**31)], W, D), MalformedSource, "file ends"),
    "no dimensions": (gguf([], [info("w", [], 0, 0)], D), MalformedSource, "0 dimensions|do not fit"),
    "five dimensions": (gguf([], [info("w", [1] * 5, 0, 0)], D), MalformedSource, "5 dimensions"),
    "4 billion dimensions": (gguf([], [info("w", [1], 0, 0, 2**32 - 1)], D), MalformedSource, "dimensions;"),
    "dimension of 0": (gguf([], [info("w", [8, 0], 0, 0)], D), MalformedSource, "impossible"),
    "dimensions overflow": (gguf([], [info("w", [2**32, 2**32], 0, 0)], D), MalformedSource, "impossible"),
    "dimension of 2**63": (gguf([], [info("w", [2**63], 0, 0)], D), MalformedSource, "impossible"),
    "tensor name": (gguf([], [info("x" * 70_000, [8], 0, 0)], D), MalformedSource, "name of 70,000"),
    "tensor name is no text": (gguf([], [info(b"\xff", [8], 0, 0)], D), MalformedSource, "no UTF-8"),
    "tensor twice": (
        gguf([], [info("w", [8], 0, 0), info("w", [8], 0, 32)], bytes(64)), MalformedSource, "'w': the",
    ),
    "unknown type": (gguf([], [info("odd", [8], 4, 0)], D), Unsupported, "'odd': tensors of ggml type 4"),
    "type 1000": (gguf([], [info("odd", [8], 1000, 0)], D), Unsupported, "of ggml type 1000"),
    "row is no block": (gguf([], [info("w", [48, 2], 2, 0)], bytes(64)), MalformedSource, "Q4_0 blocks"),
    "unaligned": (gguf([], [info("w", [4], 0, 16)], D), MalformedSource, "multiple of 32"),
    "offset beyond": (gguf([], [info("w", [8], 0, 1 << 40)], D), MalformedSource, "file ends"),
    "offset of 2**64-32": (gguf([], [info("w", [8], 0, 2**64 - 32)], D), MalformedSource, "file ends"),
    "truncated data": (gguf([], W, D[:-1]), MalformedSource, "file ends after"),
    "no data": (gguf([], W)[:-1], MalformedSource, "file ends after"),
    "overlap": (
        gguf([], [info("a", [9], 0, 0), info("b", [8], 0, 32)], bytes(96)), MalformedSource, "'b': its data",
    ),
    "no tensors": (gguf([ARCHITECTURE]), Unsupported, "no tensors"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files(tmp_path: Path, case: str) -> None:
    data, kind, words = HOSTILE[case]
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    start = time.monotonic()
    with pytest.raises(kind, match=words) as caught:
        read([path], "m")
    assert time.monotonic() - start < 1
    assert caught.value.path == str(path)
    assert caught.value.remedy
    assert len(str(caught.value)) < 1000


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "m.gguf"
    strings = struct.pack("<IQ", 8, 2) + text("a") + text("bc")
    whole = bytearray(
        gguf([ARCHITECTURE, pair("t", 9, strings), u32("x", 1)], [info("w", [4, 2], 0, 0)], bytes(32))
    )
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(4, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    del whole[data.draw(st.integers(0, len(whole))) :]
    path.write_bytes(whole)
    try:
        model = read([path], "m")
    except TranslationError:
        return
    for tensor in model.tensors.values():
        assert tensor.extent.offset + tensor.extent.length <= len(whole)


def test_a_header_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_header, "HEADER_LIMIT", 1 << 16)
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf([string("a", "x" * (1 << 17))], W, D))
    with pytest.raises(MalformedSource, match="65,536 bytes"):
        read([path], "m")


def test_a_link_to_itself_and_a_link_to_nowhere(tmp_path: Path) -> None:
    path: Any = tmp_path / "m.gguf"
    path.symlink_to("m.gguf")
    with pytest.raises(MissingSource, match="symbolic link"):
        read([path], "m")
    path.unlink()
    path.symlink_to("../blobs/1")
    with pytest.raises(MissingSource, match="nowhere"):
        read([path], "m")
