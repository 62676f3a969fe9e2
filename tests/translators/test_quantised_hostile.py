"""Quantised checkpoints that lie: refused while planning if a header tells, by a named error where values do.

Whatever is wrong with a part or a setting, nothing but a TranslationError comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny_quantised import CASES, Case, Part, eight_bit, integers, positive, random_bytes, text, write
from translators.errors import BadValues, MalformedSource, TranslationError, Unsupported
from translators.layout import Layout, TensorBytes
from translators.quantised import logical
from translators.sources import safetensors

WIDTH = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "I64": 8, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1}


# One of each way to store weights.
KINDS = (
    "fp8-block", "fp8-experts", "fp8-modelopt", "ct-float-block", "ct-int-zero", "ct-packed-4-zero", "gptq-4",
    "awq", "bnb-nf4", "bnb-int8", "bitnet", "mxfp4", "nvfp4-experts", "nvfp4-compressed",
)  # fmt: skip


def layout_of(case: Case, directory: Path) -> Layout:
    model = safetensors.read(write(case, directory))
    found = logical(model)
    return Layout(model.files, tuple(TensorBytes(name, recipe) for name, recipe in found.tensors.items()))


def changed(case: Case, name: str, part: Part | None) -> Case:
    parts = {key: value for key, value in case.parts.items() if key != name}
    return replace(case, parts=parts if part is None else {**parts, name: part})


def resized(part: Part, dtype: str, shape: tuple[int, ...]) -> Part:
    size = prod(shape) * WIDTH[dtype]
    data = (
        part.data * (-(-size // max(1, len(part.data))))
        if part.data
        else random_bytes("more", size).tobytes()
    )
    return Part(dtype, shape, data[:size])


def wrong_parts(part: Part) -> Iterator[Part | None]:
    yield None
    shape = part.shape
    for axis in range(len(shape)):
        for length in (0, shape[axis] + 1, 2 * shape[axis]):
            yield resized(part, part.dtype, (*shape[:axis], max(0, length), *shape[axis + 1 :]))
    yield resized(part, part.dtype, (prod(shape),))
    yield resized(part, part.dtype, ())
    yield resized(part, part.dtype, (1, *shape))
    for dtype in ("I64", "F16"):
        yield resized(part, dtype, shape)


@pytest.mark.parametrize("name", KINDS)
def test_a_wrong_part_is_refused_or_harmless(name: str, tmp_path: Path) -> None:
    for key, part in CASES[name].parts.items():
        for wrong in wrong_parts(part):
            try:
                layout = layout_of(changed(CASES[name], key, wrong), tmp_path)
                assert len(layout.read(0, layout.size)) == layout.size
            except TranslationError as error:
                assert error.reason  # what else is raised fails the test


@pytest.mark.parametrize("name", KINDS)
def test_a_wrong_setting_is_refused_or_harmless(name: str, tmp_path: Path) -> None:
    case = CASES[name]

    def settings_with(wrong: Any) -> Iterator[dict[str, Any]]:
        for key in case.settings:
            yield {**case.settings, key: wrong}
        group = case.settings.get("config_groups", {}).get("group_0")
        if group:
            yield {**case.settings, "config_groups": {"group_0": wrong}}
            for key in group["weights"]:
                weights = {**group["weights"], key: wrong}
                yield {**case.settings, "config_groups": {"group_0": {**group, "weights": weights}}}

    for wrong in (None, -7, 3, 10**30, "x", [0, 0], {"x": []}):
        for settings in settings_with(wrong):
            try:
                layout = layout_of(replace(case, settings=settings), tmp_path)
                assert len(layout.read(0, layout.size)) == layout.size
            except TranslationError as error:
                assert error.reason


@pytest.mark.parametrize("settings", [[], "fp8", 7, {"quant_method": ["fp8"]}])
def test_what_describes_no_quantisation_is_malformed(settings: Any, tmp_path: Path) -> None:
    with pytest.raises(MalformedSource, match="quantization_config"):
        layout_of(replace(CASES["fp8-block"], settings=settings), tmp_path)


@pytest.mark.parametrize("method", ["hqq", "aqlm", "quanto", "torchao", "eetq", "x" * 10_000])
def test_an_unknown_method_is_unsupported_by_name(method: str, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=method[:40]) as caught:
        layout_of(replace(CASES["fp8-block"], settings={"quant_method": method}), tmp_path)
    assert len(str(caught.value)) < 300
    assert "BF16" in caught.value.remedy


@pytest.mark.parametrize("number", [-1, 8, 2**31 - 1, -(2**31)])
def test_an_input_of_no_group_is_an_error_that_names_the_tensor(number: int, tmp_path: Path) -> None:
    case = CASES["gptq-4-act-order"]
    index = np.frombuffer(case.parts["a.g_idx"].data, "<i4").copy()
    index[100] = number
    layout = layout_of(changed(case, "a.g_idx", integers("I32", index)), tmp_path)
    with pytest.raises(BadValues, match=r"tensor a\.weight.*g_idx"):
        layout.read(0, layout.size)


@pytest.mark.parametrize(
    "shape", [[0, 96], [-48, 96], [48, 97], [48, 2**60], [2**62, 2**62], [47, 96], [96, 48], [48, 88]]
)
def test_a_lie_about_the_shape_is_found_while_planning(shape: list[int], tmp_path: Path) -> None:
    case = changed(CASES["ct-packed-4"], "a.weight_shape", integers("I64", shape))
    with pytest.raises(MalformedSource, match=r"a\.weight"):
        layout_of(case, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [48, 2**50]}, {"shape": [2**39, 2**39]}, {"shape": [-48, -96]}, {"shape": []},
        {"shape": 4608}, {"blocksize": 0}, {"blocksize": 63}, {"blocksize": 2**40}, {"blocksize": "64"},
        {"dtype": "float8"}, {"quant_type": "af4"}, {"nested_blocksize": 1}, {"nested_offset": "x"},
        {"shape": [48] * 100_000},
    ],
)  # fmt: skip
def test_a_lie_of_bitsandbytes_state_is_found_while_planning(change: dict[str, Any], tmp_path: Path) -> None:
    state = {
        "quant_type": "nf4",
        "blocksize": 64,
        "dtype": "bfloat16",
        "shape": [48, 96],
        "nested_offset": 0.5,
    }
    name = "a.weight.quant_state.bitsandbytes__nf4"
    with pytest.raises(MalformedSource, match=r"a\.weight"):
        layout_of(changed(CASES["bnb-nf4"], name, text({**state, **change})), tmp_path)


@pytest.mark.parametrize("data", [b"", b"{", b"null", b"[" * 100_000, b"\xff\xfe", b'{"shape": NaN}'])
def test_state_that_is_no_json_is_malformed(data: bytes, tmp_path: Path) -> None:
    name = "a.weight.quant_state.bitsandbytes__nf4"
    with pytest.raises(MalformedSource, match="quant_state"):
        layout_of(changed(CASES["bnb-nf4"], name, Part("U8", (len(data),), data)), tmp_path)


def test_a_tensor_cannot_be_there_twice(tmp_path: Path) -> None:
    case = changed(CASES["gptq-4"], "a.weight", positive("again", "F16", 64, 128))
    with pytest.raises(MalformedSource, match=r"a\.weight"):
        layout_of(case, tmp_path)


def test_a_weight_cannot_be_scaled_twice(tmp_path: Path) -> None:
    case = CASES["fp8-tensor"]
    twice = changed(case, "a.qscale_weight", positive("again", "F32"))
    with pytest.raises(MalformedSource, match=r"a\.weight"):
        layout_of(twice, tmp_path)


def test_long_rows_of_a_transposed_matrix_are_refused_before_they_are_read(tmp_path: Path) -> None:
    inputs = (1 << 22) + 8
    parts = {
        "a.qweight": Part("I32", (inputs, 1), bytes(4 * inputs)),
        "a.qzeros": Part("I32", (1, 1), bytes(4)),
        "a.scales": positive("long", "F16", 1, 8),
    }
    settings = {"quant_method": "awq", "bits": 4, "group_size": -1}
    with pytest.raises(MalformedSource, match="too many"):
        layout_of(Case("long", settings, parts), tmp_path)


def test_nan_of_a_scale_is_passed_on_and_refused_by_who_refuses_it(tmp_path: Path) -> None:
    weight, scale = eight_bit("n", 32, 64), Part("F32", (), np.float32(np.nan).tobytes())
    parts = {"a.weight": weight, "a.weight_scale_inv": scale}
    layout = layout_of(Case("nan", {"quant_method": "fp8"}, parts), tmp_path)
    assert np.isnan(np.frombuffer(layout.read(0, layout.size), np.float32)).all()
