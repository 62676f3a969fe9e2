"""Safetensors checkpoints: what is read, in which order, and what is refused with which words."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf.utility import SafetensorsLocal
from safetensors import SafetensorError, deserialize

from tests.translators import handmade
from tests.translators.handmade import entry, safetensors, shard, write_index
from translators.dtypes import DTYPES
from translators.errors import MalformedSource, MissingSource
from translators.model import Extent
from translators.sources.safetensors import read
from translators.sources.side_files import SIDE_FILES


def _library_reads(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    tensors: list[tuple[str, dict[str, Any]]] = deserialize(data)  # type: ignore[no-untyped-call]
    return tensors


def _one(root: Path, data: bytes) -> Path:
    (root / "model.safetensors").write_bytes(data)
    return root


@pytest.mark.parametrize("dtype", handmade.SAFETENSORS_BITS)
def test_every_dtype(tmp_path: Path, dtype: str) -> None:
    size = handmade.SAFETENSORS_BITS[dtype] * 24 // 8
    data = safetensors({"t": entry(dtype, [2, 12], 0, size)}, bytes(size))
    assert _library_reads(data)[0][1]["dtype"] == dtype  # the library accepts the file as well
    tensor = read(_one(tmp_path, data)).tensors["t"]
    assert (tensor.dtype, tensor.shape) == (DTYPES[dtype], (2, 12))
    assert tensor.extent == Extent(0, len(data) - size, size)


def test_the_registry_has_exactly_the_formats_dtypes() -> None:
    assert {name for name, dtype in DTYPES.items() if dtype.safetensors} == set(handmade.SAFETENSORS_BITS)
    for name, bits in handmade.SAFETENSORS_BITS.items():
        assert DTYPES[name].nbytes(24) * 8 == 24 * bits


def test_order_is_shards_then_names_as_strings(tmp_path: Path) -> None:
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(shard({"a.0": b"x"}))
    names = {f"l.{n}.w": bytes([n]) for n in (10, 2, 1, 11, 0)}
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(shard(names))
    model = read(tmp_path)
    assert list(model.tensors) == ["l.0.w", "l.1.w", "l.10.w", "l.11.w", "l.2.w", "a.0"]
    assert [Path(os.fsdecode(file.path)).name for file in model.files] == [
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
    ]  # fmt: skip
    for name, data in names.items():
        extent = model.tensors[name].extent
        stored = Path(os.fsdecode(model.files[extent.file].path)).read_bytes()
        assert stored[extent.offset :][: extent.length] == data


def test_order_and_places_are_those_of_upstreams_own_reader(tmp_path: Path) -> None:
    names = ["b", "a.10", "a.2", "é", "A", "😀", "\uffee", "a.1"]
    _one(tmp_path, shard({name: name.encode() for name in names}))
    expected = SafetensorsLocal(tmp_path / "model.safetensors").tensors
    tensors = read(tmp_path).tensors
    assert list(tensors) == list(expected)
    for name, local in expected.items():
        extent = tensors[name].extent
        assert (extent.offset, extent.length) == (local.data_range.offset, local.data_range.size)


def test_an_index_decides_which_files_are_shards(tmp_path: Path) -> None:
    (tmp_path / "b.safetensors").write_bytes(shard({"one": b"1"}))
    (tmp_path / "a.safetensors").write_bytes(shard({"two": b"2"}))
    (tmp_path / "model-old.safetensors").write_bytes(b"not looked at")
    write_index(tmp_path, {"one": "b.safetensors", "two": "a.safetensors"})
    model = read(tmp_path)
    assert list(model.tensors) == ["two", "one"]
    assert model.weights == 2


def test_scalars_and_empty_tensors(tmp_path: Path) -> None:
    header = {"e": entry("F32", [3, 0], 4, 4), "s": entry("F32", [], 0, 4), "f": entry("F32", [0], 0, 0)}
    data = safetensors(header, b"1234")
    assert len(_library_reads(data)) == 3
    model = read(_one(tmp_path, data))
    assert {name: tensor.shape for name, tensor in model.tensors.items()} == {"e": (3, 0), "s": (), "f": (0,)}


def test_model_tells_config_name_metadata_and_side_files(tmp_path: Path) -> None:
    root = tmp_path / "Some-Model-1B"
    (root / "additional_chat_templates").mkdir(parents=True)
    _one(root, shard({"t": b"1"}, {"format": "pt", "by": "hand"}))
    (root / "config.json").write_text('{"model_type": "llama", "time": Infinity}')
    for name in ("tokenizer.json", "README.md", "additional_chat_templates/tool.jinja", "unknown.txt"):
        (root / name).write_text("{}")
    model = read(root)
    assert (model.name, model.format, model.weights, model.root) == ("Some-Model-1B", "safetensors", 1, root)
    assert model.config["model_type"] == "llama"
    assert model.metadata == {"format": "pt", "by": "hand"}
    assert model.key_values is None
    assert [os.fsdecode(file.path).removeprefix(f"{root}/") for file in model.files] == [
        "model.safetensors", "config.json", "tokenizer.json", "additional_chat_templates/tool.jinja",
        "README.md",
    ]  # fmt: skip
    assert len(set(SIDE_FILES)) == len(SIDE_FILES)


def test_metadata_counts_only_where_all_shards_agree(tmp_path: Path) -> None:
    (tmp_path / "model-a.safetensors").write_bytes(shard({"a": b"1"}, {"format": "pt", "x": "y"}))
    (tmp_path / "model-b.safetensors").write_bytes(shard({"b": b"1"}, {"x": "y", "format": "pt"}))
    assert read(tmp_path).metadata == {"format": "pt", "x": "y"}
    (tmp_path / "model-c.safetensors").write_bytes(shard({"c": b"1"}))
    assert read(tmp_path).metadata == {}


def test_no_config_is_an_empty_one(tmp_path: Path) -> None:
    assert read(_one(tmp_path, shard({"t": b"1"}))).config == {}


def test_symbolic_links_are_followed_as_in_a_hub_cache(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (blobs / "123").write_bytes(shard({"t": b"1"}))
    (snapshot / "model.safetensors").symlink_to("../../blobs/123")
    model = read(snapshot)
    assert model.files[0].path == os.fsencode(snapshot / "model.safetensors")
    assert model.files[0].size == (blobs / "123").stat().st_size


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/mod\xffel"))
    root.mkdir()
    _one(root, shard({"t": b"1"}))
    model = read(root)
    assert b"mod\xffel" in model.files[0].path
    _one(root, b"short")
    with pytest.raises(MalformedSource) as caught:
        read(root)
    assert "mod\\xffel" in caught.value.path
    str(caught.value).encode()


GOOD = {"t": entry("F32", [2], 0, 8)}
EIGHT = bytes(8)


def _with(**fields: object) -> bytes:
    """A file whose one entry has these fields instead of the right ones."""
    return safetensors({"t": {**GOOD["t"], **fields}}, EIGHT)


# What the library's reader refuses too, and our words for it.
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "too few"),
    "seven bytes": (bytes(7), "too few"),
    "no header": (safetensors(b""), "truncated"),
    "length beyond the file": (safetensors(GOOD, EIGHT, length=1000), "in a file of"),
    "length of 2**64-1": (safetensors(GOOD, EIGHT, length=2**64 - 1), "the format allows"),
    "length of 101 MB": (safetensors(GOOD, EIGHT, length=101_000_000), "the format allows"),
    "not JSON": (safetensors(b'{"t": '), "truncated"),
    "not UTF-8": (safetensors(b'{"\xff": 1}'), "utf-8"),
    "an array": (safetensors(b"[]"), "got `array`"),
    "a number": (safetensors(b"1"), "got `int`"),
    "deep nesting": (safetensors(b'{"t":' + b"[" * 200_000), "recursion"),
    "a number of 5000 digits": (safetensors(b'{"t": ' + b"9" * 5000 + b"}"), "no valid header"),
    "a dimension of 5000 digits": (
        safetensors(json.dumps(GOOD).replace("[2]", f"[{'9' * 5000}]").encode()),
        "range",
    ),
    "NaN": (safetensors(b'{"t": NaN}'), "malformed"),
    "entry is no object": (safetensors({"t": 3}), "got `int`"),
    "no dtype": (safetensors({"t": {"shape": [], "data_offsets": [0, 0]}}), "missing required field `dtype`"),
    "unknown dtype": (_with(dtype="F33"), "no dtype 'F33'"),
    "ggml's dtype": (safetensors({"t": entry("Q4_0", [32], 0, 18)}, bytes(18)), "no dtype 'Q4_0'"),
    "dtype is a list": (_with(dtype=[]), "got `array`"),
    "negative dimension": (_with(shape=[-2]), "`int` >= 0"),
    "fraction": (_with(shape=[2.0]), "got `float`"),
    "true as a dimension": (_with(shape=[True, 2]), "got `bool`"),
    "three offsets": (_with(data_offsets=[0, 8, 8]), "length 2"),
    "end before begin": (_with(data_offsets=[8, 0]), "lie outside"),
    "end beyond the data": (safetensors(GOOD, bytes(7)), "lie outside"),
    "huge shape": (_with(shape=[2**40, 2**40]), "beyond 64 bits"),
    "huge shape times nothing": (_with(shape=[2**40, 2**40, 0]), "beyond 64 bits"),
    "shape larger than stored": (_with(shape=[3]), "need 12"),
    "half a byte": (safetensors({"t": entry("F4", [3], 0, 1)}, bytes(1)), "no whole number of bytes"),
    "overlap": (
        safetensors({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6)),
        "overlaps",
    ),
    "same bytes": (
        safetensors({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 0, 4)}, bytes(4)),
        "overlaps",
    ),
    "hole": (safetensors({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, bytes(3)), "hole"),
    "hole at the start": (safetensors({"a": entry("U8", [1], 1, 2)}, bytes(2)), "hole"),
    "bytes after the last": (safetensors(GOOD, bytes(9)), "belong to none"),
    "metadata of numbers": (safetensors({"__metadata__": {"a": 1}}), "got `int`"),
    "metadata is a list": (safetensors({"__metadata__": ["a"]}), "got `array`"),
    "half a surrogate pair": (safetensors({"\ud800": GOOD["t"]}, EIGHT), "surrogate"),
    "dtype twice": (
        safetensors(json.dumps(GOOD).replace('"dtype"', '"dtype":"I32","dtype"').encode(), EIGHT),
        "twice",
    ),
    "metadata twice": (safetensors(b'{"__metadata__":{},"__metadata__":{"a":"b"}}'), "twice"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_headers(tmp_path: Path, case: str) -> None:
    data, words = HOSTILE[case]
    with pytest.raises(MalformedSource, match=words) as caught:
        read(_one(tmp_path, data))
    assert caught.value.path == str(tmp_path / "model.safetensors")
    assert caught.value.remedy
    assert len(str(caught.value)) < 1000
    with pytest.raises((SafetensorError, RecursionError, ValueError)):
        _library_reads(data)


def _stricter(name: str) -> bytes:
    one = b'"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    return {
        "tensor twice": safetensors(b"{" + one + b"," + one + b"}", b"1"),
        "metadata key twice": safetensors(b'{"__metadata__":{"a":"1","a":"2"},' + one + b"}", b"1"),
        "field that the format lacks": safetensors(b"{" + one.replace(b"{", b'{"x":1,') + b"}", b"1"),
    }[name]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("tensor twice", "twice"),
        ("metadata key twice", "twice"),
        ("field that the format lacks", "unknown field `x`"),
    ],
)
def test_what_is_refused_though_the_library_takes_it(tmp_path: Path, case: str, words: str) -> None:
    data = _stricter(case)
    assert len(_library_reads(data)) == 1
    with pytest.raises(MalformedSource, match=words):
        read(_one(tmp_path, data))


def test_quotes_and_backslashes_in_names_are_no_repeated_keys(tmp_path: Path) -> None:
    names = ['"', "\\", '\\"', '"\\', '\\\\"', '","a":"', ""]
    _one(tmp_path, shard(dict.fromkeys(names, b"1"), {'"\\': '\\"', "": '"'}))
    assert list(read(tmp_path).tensors) == sorted(names)


def test_a_real_header_of_101_mb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 101_000_000))
        file.truncate(102_000_000)
    start = time.monotonic()
    with pytest.raises(MalformedSource, match="101,000,000"):
        read(tmp_path)
    assert time.monotonic() - start < 1


def test_ten_thousand_tensors_take_a_moment(tmp_path: Path) -> None:
    _one(tmp_path, shard({f"model.layers.{n}.weight": b"1234" for n in range(10_000)}))
    start = time.monotonic()
    assert len(read(tmp_path).tensors) == 10_000
    assert time.monotonic() - start < 5


def _two_shards(root: Path) -> None:
    (root / "model-00001-of-00002.safetensors").write_bytes(shard({"a": b"1"}))
    (root / "model-00002-of-00002.safetensors").write_bytes(shard({"b": b"2"}))
    write_index(root, {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"})


def _index_with(**placed: object) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        usual: dict[str, Any] = {
            "a": "model-00001-of-00002.safetensors",
            "b": "model-00002-of-00002.safetensors",
        }
        write_index(root, usual | placed)

    return change


def _index_of(text: str) -> Callable[[Path], None]:
    return lambda root: void((root / "model.safetensors.index.json").write_text(text))


def void(_: object) -> None:
    return None


def _remove_second(root: Path) -> None:
    (root / "model-00002-of-00002.safetensors").unlink()


def _remove_second_and_index(root: Path) -> None:
    _remove_second(root)
    (root / "model.safetensors.index.json").unlink()


def _truncate_second(root: Path) -> None:
    os.truncate(root / "model-00002-of-00002.safetensors", 60)


def _second_holds(**tensors: bytes) -> Callable[[Path], None]:
    return lambda root: void((root / "model-00002-of-00002.safetensors").write_bytes(shard(tensors)))


def _loop(root: Path) -> None:
    _remove_second(root)
    (root / "model-00002-of-00002.safetensors").symlink_to("model-00002-of-00002.safetensors")


def _dangling(root: Path) -> None:
    _remove_second(root)
    (root / "model-00002-of-00002.safetensors").symlink_to("../blobs/absent")


def _pipe(root: Path) -> None:
    _remove_second(root)
    os.mkfifo(root / "model-00002-of-00002.safetensors")


def _directory(root: Path) -> None:
    _remove_second(root)
    (root / "model-00002-of-00002.safetensors").mkdir()


SETS: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "missing shard": (_remove_second, MissingSource, "00002-of-00002.safetensors: is not there"),
    "missing shard without index": (_remove_second_and_index, MissingSource, "shard 2 of 2"),
    "truncated shard": (_truncate_second, MalformedSource, "00002"),
    "absent tensor": (
        _index_with(c="model-00002-of-00002.safetensors"),
        MalformedSource,
        "'c': the tensor is",
    ),
    "other shard": (
        _index_with(a="model-00002-of-00002.safetensors"),
        MalformedSource,
        "'a': the tensor is",
    ),
    "not in the index": (_second_holds(b=b"2", z=b"3"), MalformedSource, "'z': the index lacks"),
    "in two shards": (_second_holds(b=b"2", a=b"1"), MalformedSource, "'a': the tensor is in 'model-00001"),
    "path upward": (_index_with(b="../model-00002-of-00002.safetensors"), MalformedSource, "plain name"),
    "absolute path": (_index_with(b="/etc/passwd"), MalformedSource, "plain name"),
    "below": (_index_with(b="x/y.safetensors"), MalformedSource, "plain name"),
    "zero byte": (_index_with(b="x\0.safetensors"), MalformedSource, "plain name"),
    "number as shard": (_index_with(b=7), MalformedSource, "got `int`"),
    "long name": (_index_with(b="x" * 5000 + ".safetensors"), MissingSource, "File name too long"),
    "no weight_map": (_index_of("{}"), MalformedSource, "missing required field `weight_map`"),
    "weight_map is a list": (_index_of('{"weight_map": []}'), MalformedSource, "got `array`"),
    "index is no JSON": (_index_of("{"), MalformedSource, "truncated"),
    "index is a list": (_index_of("[]"), MalformedSource, "got `array`"),
    "weight_map is empty": (_index_of('{"weight_map": {}}'), MalformedSource, "is empty"),
    "index is nested deep": (_index_of('{"x":' + "[" * 100_000), MalformedSource, "recursion"),
    "link to itself": (_loop, MissingSource, "symbolic link"),
    "link to nowhere": (_dangling, MissingSource, "link to nowhere"),
    "a pipe": (_pipe, MissingSource, "not a regular file"),
    "a directory": (_directory, MissingSource, "not a regular file"),
}


@pytest.mark.parametrize("case", SETS)
def test_sets_that_do_not_fit_together(tmp_path: Path, case: str) -> None:
    change, kind, words = SETS[case]
    _two_shards(tmp_path)
    assert read(tmp_path).weights == 2
    change(tmp_path)
    with pytest.raises(kind, match=words) as caught:
        read(tmp_path)
    assert caught.value.path.startswith(str(tmp_path))  # type: ignore[attr-defined]
    assert caught.value.remedy  # type: ignore[attr-defined]


def test_an_unreadable_file_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _two_shards(tmp_path)

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    # Root may read everything, so the refusal comes from the system call itself.
    monkeypatch.setattr("translators.sources.stored_file.os.open", refuse)
    with pytest.raises(MissingSource, match="Permission denied"):
        read(tmp_path)


def test_an_input_output_error_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _two_shards(tmp_path)

    def refuse(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("translators.sources.stored_file.os.pread", refuse)
    with pytest.raises(MissingSource, match="Input/output error"):
        read(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, "\x00", '{"a": ' + "9" * 5000 + "}"])
def test_a_config_that_is_no_object(tmp_path: Path, text: str) -> None:
    _one(tmp_path, shard({"t": b"1"}))
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(MalformedSource, match=r"config\.json"):
        read(tmp_path)


def test_a_side_file_that_links_to_itself(tmp_path: Path) -> None:
    _one(tmp_path, shard({"t": b"1"}))
    (tmp_path / "tokenizer.json").symlink_to("tokenizer.json")
    with pytest.raises(MissingSource, match=r"tokenizer\.json: cannot be read"):
        read(tmp_path)


def test_nothing_is_written_locked_or_touched(tmp_path: Path) -> None:
    _two_shards(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    read(tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
