"""Quantised checkpoints equal their reference libraries bit for bit, and upstream's converter, in any range.

Digests: tests/translators/golden_quantised, made by bitsandbytes, compressed-tensors, autoawq, auto-gptq and
llama.cpp's `conversion.base` from the same folders.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.tiny_quantised import CASES, Case, integers, write
from translators.dtypes import DTYPES, F32
from translators.errors import SourceChanged
from translators.layout import Layout, TensorBytes
from translators.model import Model
from translators.quantised import Logical, logical
from translators.reading import SourceFiles
from translators.recipes import Recipe, cast, nbytes, read_bytes, slice_, stored, transposed
from translators.sources import safetensors

GOLDEN = json.loads(Path(__file__).with_name("golden_quantised").joinpath("digests.json").read_text())
# Upstream leaves the zero points aside, and then stumbles over them.
WRONG_UPSTREAM = {"ct-int-zero"}
MADE_UPSTREAM = [
    name for name, case in GOLDEN.items() if "tensors" in case["upstream"] and name not in WRONG_UPSTREAM
]


def read(directory: Path, name: str) -> tuple[Model, Logical]:
    model = safetensors.read(write(CASES[name], directory))
    return model, logical(model)


def digest(model: Model, recipe: Recipe) -> str:
    sources = SourceFiles(model.files)
    try:
        return sha256(read_bytes(recipe, 0, nbytes(recipe), sources).tobytes()).hexdigest()
    finally:
        sources.close()


def split(tensors: dict[str, Recipe]) -> dict[str, Recipe]:
    """gpt-oss's family divides the rows of gate and up, which alternate; upstream does so at once."""
    divided: dict[str, Recipe] = {}
    for name, recipe in tensors.items():
        if name.endswith(".gate_up_proj.weight"):
            rows = recipe.shape[1]
            divided[name.replace("gate_up", "gate")] = slice_(recipe, 1, 0, rows, 2)
            divided[name.replace("gate_up", "up")] = slice_(recipe, 1, 1, rows, 2)
        else:
            divided[name] = recipe
    return divided


def test_every_case_has_a_digest() -> None:
    assert list(GOLDEN) == list(CASES)
    assert all(case["library"] or "tensors" in case["upstream"] or name in UNCOMPARED
               for name, case in GOLDEN.items())  # fmt: skip


# No library dequantises these on a CPU: `test_formula` has their formula.
UNCOMPARED = {"fp8-fbgemm", "gptq-without-index"}


@pytest.mark.parametrize("name", [name for name, case in GOLDEN.items() if case["library"]])
def test_weights_equal_those_of_the_reference_library(name: str, tmp_path: Path) -> None:
    model, found = read(tmp_path, name)
    for tensor, (dtype, expected) in GOLDEN[name]["library"].items():
        assert digest(model, cast(found.tensors[tensor], DTYPES[dtype])) == expected, tensor


@pytest.mark.parametrize("name", MADE_UPSTREAM)
def test_tensors_equal_those_of_upstreams_converter_in_name_order_and_bytes(
    name: str, tmp_path: Path
) -> None:
    model, found = read(tmp_path, name)
    tensors, expected = split(dict(found.tensors)), GOLDEN[name]["upstream"]["tensors"]
    assert list(tensors) == list(expected)
    for tensor, recipe in tensors.items():
        recipe = recipe if recipe.dtype.is_quantised else cast(recipe, F32)
        assert digest(model, recipe) == expected[tensor][1], tensor
    assert sorted(found.unhurried) == GOLDEN[name]["upstream"]["precision"]


def test_formula_of_what_no_library_computes_on_a_cpu(tmp_path: Path) -> None:
    model, found = read(tmp_path, "fp8-fbgemm")
    parts = CASES["fp8-fbgemm"].parts
    table = cast(found.tensors["a.weight"], F32)
    whole = read_bytes(table, 0, nbytes(table), SourceFiles(model.files)).view(np.float32).reshape(50, 60)
    scale = np.frombuffer(parts["a.weight_scale"].data, np.float32)
    codes = np.frombuffer(parts["a.weight"].data, np.uint8).reshape(50, 60)
    assert whole[3, 5] == np.float32(e4m3(int(codes[3, 5]))) * scale[3]
    assert list(found.tensors) == ["a.weight"]
    # Without an index, groups follow one another: the same as with one that says so.
    model, found = read(tmp_path, "gptq-without-index")
    indexed = CASES["gptq-without-index"].parts | {}
    assert found.tensors["a.weight"].shape == (32, 64)
    assert "a.g_idx" not in indexed


def e4m3(code: int) -> float:
    sign = -1.0 if code & 0x80 else 1.0
    exponent, mantissa = code >> 3 & 15, code & 7
    return sign * (mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7))


@pytest.mark.parametrize("name", list(CASES))
def test_any_range_equals_that_range_of_the_whole(name: str, tmp_path: Path) -> None:
    model, found = read(tmp_path, name)
    sources = SourceFiles(model.files)
    random = np.random.Generator(np.random.PCG64(9))
    for tensor, recipe in found.tensors.items():
        for made in (recipe, *([cast(recipe, DTYPES["BF16"])] if not recipe.dtype.is_quantised else [])):
            whole = read_bytes(made, 0, nbytes(made), sources)
            for _ in range(24):
                start = int(random.integers(0, whole.size))
                length = int(random.integers(1, whole.size - start + 1))
                assert (read_bytes(made, start, length, sources) == whole[start : start + length]).all(), (
                    tensor
                )
    sources.close()


@pytest.mark.parametrize("name", list(CASES))
def test_a_layout_of_it_crosses_a_process_boundary(name: str, tmp_path: Path) -> None:
    model, found = read(tmp_path, name)
    layout = Layout(
        model.files, tuple(TensorBytes(tensor, recipe) for tensor, recipe in found.tensors.items())
    )
    again = Layout.decoded(layout.encoded())
    assert again.read(0, again.size) == layout.read(0, layout.size)
    assert again.identity == layout.identity
    assert msgspec.msgpack.encode(again.segments) == msgspec.msgpack.encode(layout.segments)


def test_a_wide_transposed_matrix_is_read_in_pieces_and_equals_a_narrow_one(tmp_path: Path) -> None:
    """Columns far apart are read one by one; those near each other with what lies between."""
    wide = np.arange(5 * 9000, dtype=np.int32).reshape(5, 9000)
    model = safetensors.read(write(Case("wide", {}, {"a": integers("I32", wide)}), tmp_path))
    recipe = transposed(stored(model.tensors["a"]))
    expected = np.ascontiguousarray(wide.T).view(np.uint8).reshape(-1)
    sources = SourceFiles(model.files)
    for start, length in ((0, 20), (4000, 60), (17_990, 8), (179_980, 20), (0, 180_000), (300, 170_000)):
        assert (read_bytes(recipe, start, length, sources) == expected[start : start + length]).all()
    sources.close()
    before = sources.bytes_read
    read_bytes(recipe, 0, 20 * 100, sources)
    read_bytes(recipe, 20 * 100, 20 * 924, sources)
    assert sources.bytes_read - before == 5 * 4096  # a strip is as wide as a page, and kept
    sources.close()


def test_a_transposed_matrix_of_a_file_that_shrank_is_an_error(tmp_path: Path) -> None:
    folder = write(Case("shrunk", {}, {"a": integers("I32", np.zeros((5, 9000), np.int32))}), tmp_path)
    model = safetensors.read(folder)
    recipe = transposed(stored(model.tensors["a"]))
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(100_000)
    with pytest.raises(SourceChanged):
        read_bytes(recipe, 0, 20, SourceFiles(model.files))
