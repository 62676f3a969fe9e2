"""model.safetensors against the library's own writer: order, header, padding, bytes, any range."""

from __future__ import annotations

import ctypes
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.translators import handmade
from translators.dtypes import BF16, DTYPES
from translators.errors import SourceChanged, Unsupported
from translators.layout import Layout
from translators.model import Extent, Model, Tensor
from translators.plan import Plan, Refusal
from translators.ranges import ByteRange
from translators.recipes import Literal, cast
from translators.sources import gguf
from translators.sources.safetensors import read
from translators.targets import safetensors as target
from translators.targets.safetensors import NAME, layout_of, merged

# The library's Python names; those of six bits it can read, and cannot write from Python.
WRITABLE = {
    "BOOL": "bool", "F4": "float4_e2m1fn_x2", "U8": "uint8", "I8": "int8", "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn", "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "I16": "int16", "U16": "uint16", "F16": "float16", "BF16": "bfloat16",
    "I32": "int32", "U32": "uint32", "F32": "float32", "C64": "complex64", "F64": "float64", "I64": "int64",
    "U64": "uint64",
}  # fmt: skip
Tensors = Mapping[str, tuple[str, tuple[int, ...], bytes]]


def _library(tensors: Tensors, metadata: dict[str, str] | None) -> bytes:
    """The bytes that the library's writer makes. F4 goes in by its storage shape, two values a byte."""
    kept, specs = [], {}
    for name, (dtype, shape, data) in tensors.items():
        buffer = ctypes.create_string_buffer(data, max(1, len(data)))
        kept.append(buffer)
        if dtype == "F4":
            shape = (*shape[:-1], shape[-1] // 2)
        specs[name] = safetensors.TensorSpec(
            dtype=WRITABLE[dtype], shape=list(shape), data_ptr=ctypes.addressof(buffer), data_len=len(data)
        )
    return bytes(safetensors.serialize(specs, metadata))


def _shard(tensors: Tensors, metadata: Mapping[str, str] | None = None) -> bytes:
    """A source file of the tensors in the order given, unlike the library's."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    at = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = handmade.entry(dtype, shape, at, at + len(data))
        at += len(data)
    return handmade.safetensors(header, b"".join(data for _, _, data in tensors.values()))


def _merged(root: Path, shards: Sequence[Tensors], metadata: Mapping[str, str] | None = None) -> Layout:
    for path in root.glob("model*"):
        path.unlink()
    for number, tensors in enumerate(shards):
        path = root / f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
        path.write_bytes(_shard(tensors, metadata))
    plan = merged(read(root))
    assert isinstance(plan, Plan)
    assert plan.name == NAME
    layout = plan.layout()
    assert plan.size == layout.size
    return layout


def _random(dtype: str, elements: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(DTYPES[dtype].nbytes(elements))


def test_every_dtype_that_the_library_can_write(tmp_path: Path) -> None:
    tensors = {f"{n}.{d}": (d, (3, 8), _random(d, 24, n)) for n, d in itertools.product(range(2), WRITABLE)}
    items = list(tensors.items())
    random.Random(1).shuffle(items)
    layout = _merged(tmp_path, [dict(items[:17]), dict(items[17:])])
    expected = _library(tensors, {"format": "pt"})
    assert layout.read(0, layout.size) == expected


def test_the_two_types_that_only_rust_can_write_stand_where_its_enum_has_them(tmp_path: Path) -> None:
    tensors = {d: (d, (8,), _random(d, 8, 0)) for d in ("BOOL", "F6_E3M2", "U8", "F4", "F6_E2M3")}
    layout = _merged(tmp_path, [tensors])
    whole = layout.read(0, layout.size)
    read_back = safetensors.deserialize(whole)  # type: ignore[no-untyped-call]
    assert {name for name, _ in read_back} == set(tensors)
    header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    assert list(header) == ["__metadata__", "U8", "F6_E3M2", "F6_E2M3", "F4", "BOOL"]


def test_numpys_save_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    arrays = {
        f"model.layers.{n}.{kind}": rng.standard_normal((n + 1, 4)).astype(dtype)
        for n in range(12)
        for kind, dtype in (("a.weight", "f4"), ("b.weight", "f2"), ("c.bias", "f8"))
    }
    names = sorted(arrays)
    for number, part in enumerate((names[:20], names[20:])):
        path = tmp_path / f"model-{number}.safetensors"
        safetensors.numpy.save_file({name: arrays[name] for name in part}, path, {"format": "pt"})
    safetensors.numpy.save_file(arrays, tmp_path / "expected", {"format": "pt"})
    plan = merged(read(tmp_path))
    assert isinstance(plan, Plan)
    assert plan.layout().read(0, plan.size) == (tmp_path / "expected").read_bytes()


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (None, {"format": "pt"}),
        ({}, {"format": "pt"}),
        ({"format": "mlx"}, {"format": "mlx"}),
        ({'k"\\\n\x01\x7f/é\u2028😀': 'v"\\\b\f\r\t\x1f'}, {'k"\\\n\x01\x7f/é\u2028😀': 'v"\\\b\f\r\t\x1f'}),
    ],
)
def test_metadata(tmp_path: Path, metadata: dict[str, str] | None, expected: dict[str, str]) -> None:
    shards: list[Tensors] = [{"a": ("U8", (1,), b"1")}, {'b"\\\n/é😀\x7f': ("U8", (1,), b"2")}]
    layout = _merged(tmp_path, shards, metadata)
    assert layout.read(0, layout.size) == _library({**shards[0], **shards[1]}, expected)


def test_several_metadata_keys_keep_their_order_one_that_the_library_has_too(tmp_path: Path) -> None:
    metadata = {"format": "pt", "by": "x", "at": "y"}
    tensors: Tensors = {"a": ("U8", (2,), b"12")}
    layout = _merged(tmp_path, [tensors], metadata)
    whole = layout.read(0, layout.size)
    assert list(json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])["__metadata__"]) == list(
        metadata
    )
    # Its map is hashed with a key of the moment: all six orders come up.
    assert whole in {_library(tensors, metadata) for _ in range(500)}


_shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=6).filter(
    lambda name: name != "__metadata__"
)
_kinds = st.sampled_from([dtype for dtype in WRITABLE if dtype != "F4"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    described=st.dictionaries(_names, st.tuples(_kinds, _shapes), min_size=1, max_size=8),
    cut=st.integers(0, 8),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_random_tensors_shards_and_ranges(
    tmp_path: Path,
    described: dict[str, tuple[str, tuple[int, ...]]],
    cut: int,
    seed: int,
    data: st.DataObject,
) -> None:
    tensors = {
        name: (dtype, shape, _random(dtype, int(np.prod(shape, dtype=int)), seed + number))
        for number, (name, (dtype, shape)) in enumerate(described.items())
    }
    items = list(tensors.items())
    layout = _merged(tmp_path, [dict(part) for part in (items[:cut], items[cut:])])
    whole = _library(tensors, {"format": "pt"})
    assert layout.size == len(whole)
    assert layout.read(0, layout.size) == whole
    for _ in range(20):
        offset = data.draw(st.integers(0, layout.size))
        length = data.draw(st.integers(0, layout.size + 10))
        assert layout.read(offset, length) == whole[offset : offset + length]
    again = Layout.decoded(layout.encoded())
    assert (again.read(0, again.size), again.identity) == (whole, layout.identity)
    layout.close()
    again.close()


def test_five_thousand_ranges(tmp_path: Path) -> None:
    tensors = {
        f"l.{n}.{d}": (d, (7, 8), _random(d, 56, n)) for n in range(9) for d in ("F32", "BF16", "U8", "F4")
    }
    items = list(tensors.items())
    layout = _merged(tmp_path, [dict(items[at::3]) for at in range(3)])
    whole = _library(tensors, {"format": "pt"})
    dice = random.Random(7)
    for _ in range(5_000):
        offset = dice.randrange(len(whole))
        length = dice.choice((1, 7, 64, 1000, len(whole)))
        assert layout.read(offset, length) == whole[offset : offset + length]


def test_a_source_that_is_that_file_is_itself(tmp_path: Path) -> None:
    # Not as the library would write it: other order, no padding, own spacing.
    data = _shard({"b": ("U8", (3,), b"123"), "a": ("F32", (1,), b"4567")})
    (tmp_path / NAME).write_bytes(data)
    (tmp_path / "config.json").write_text("{}")
    model = read(tmp_path)
    plan = merged(model)
    assert isinstance(plan, Plan)
    layout = plan.layout()
    assert layout.read(0, layout.size) == data
    assert layout.files == model.files[:1]
    (part,) = layout.slices
    assert (part.range, part.file, part.offset) == (ByteRange(0, len(data)), 0, 0)


def test_nothing_is_translated_and_side_files_do_not_count(tmp_path: Path) -> None:
    tensors: Tensors = {"a": ("F32", (4,), _random("F32", 4, 0)), "b": ("U8", (5,), b"12345")}
    layout = _merged(tmp_path, [{"a": tensors["a"]}, {"b": tensors["b"]}])
    assert layout.translated == 0
    assert sum(part.range.length for part in layout.slices) == 21
    identity = layout.identity
    (tmp_path / "README.md").write_text("new")
    plan = merged(read(tmp_path))
    assert isinstance(plan, Plan)
    assert plan.layout().identity == identity


def test_a_changed_shard_is_told(tmp_path: Path) -> None:
    layout = _merged(tmp_path, [{"a": ("U8", (4,), b"1234")}, {"b": ("U8", (4,), b"5678")}])
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(_shard({"b": ("U8", (5,), b"56789")}))
    with pytest.raises(SourceChanged):
        layout.read(0, layout.size)


def test_layout_of_recipes() -> None:
    values = np.arange(12, dtype=np.float32) / 3
    recipe = Literal(values.tobytes(), "F32", (3, 4))
    layout = layout_of((), [("x", cast(recipe, BF16)), ("y", recipe)], {"format": "pt"})
    bits = values.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()
    expected = _library(
        {"x": ("BF16", (3, 4), rounded), "y": ("F32", (3, 4), values.tobytes())}, {"format": "pt"}
    )
    assert layout.read(0, layout.size) == expected


def test_block_types_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(handmade.gguf([], [handmade.info("w", [32], 8, 0)], bytes(34)))
    refusal = merged(gguf.read(path.parent, [path.name], "m"))
    assert isinstance(refusal, Refusal)
    assert "Q8_0" in refusal.reason
    assert "'w'" in refusal.reason
    with pytest.raises(Unsupported, match="Q8_0"):
        layout_of((), [("w", Literal(bytes(34), "Q8_0", (32,)))], {})


def test_a_header_beyond_the_formats_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "HEADER_LIMIT", 100)
    tensors = {name: Tensor(name, DTYPES["U8"], (1,), Extent(0, 0, 1)) for name in "abc"}
    model = Model(tmp_path, "m", "safetensors", (), 0, tensors)
    refusal = merged(model)
    assert isinstance(refusal, Refusal)
    assert "header" in refusal.reason
