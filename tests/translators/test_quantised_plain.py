"""Quantised checkpoints as if nobody had quantised them: precision, configuration, experts of blocks."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import translators
from tests.oracle.quantised.folders import build
from tests.tiny_adapters import TinyAdapter, build_base
from tests.tiny_bases import BASES, BLOCKS
from tests.tiny_quantised import Part, codes, positive, save
from translators.dtypes import F32
from translators.errors import Unsupported
from translators.model import Model
from translators.quantised.plain import plain
from translators.reading import SourceFiles
from translators.recipes import Recipe, cast, nbytes, read_bytes, slice_, stored

_FOUR_BITS = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)


def raw(model: Model, recipe: Recipe) -> npt.NDArray[np.uint8]:
    """All bytes of a recipe."""
    sources = SourceFiles(model.files)
    try:
        return read_bytes(recipe, 0, nbytes(recipe), sources)
    finally:
        sources.close()


def test_experts_in_blocks_are_the_matrices_that_transformers_makes_of_them(tmp_path: Path) -> None:
    model = translators.open_model(build_base(TinyAdapter("", base=BLOCKS), tmp_path))
    found = plain(model)
    assert not [name for name in found.tensors if name.endswith(("_blocks", "_scales"))]
    name = "model.layers.1.mlp.experts.gate_up_proj"
    pairs = raw(model, stored(model.tensors[f"{name}_blocks"])).reshape(11, 1024, 8, 16)
    scales = raw(model, stored(model.tensors[f"{name}_scales"])).reshape(11, 1024, 8, 1)
    both = np.concatenate((_FOUR_BITS, -_FOUR_BITS))
    numbers = both[np.stack((pairs & 15, pairs >> 4), -1).reshape(11, 1024, 8, 32)]
    expected = (numbers * np.exp2(scales.astype(np.float32) - 127)).reshape(11, 1024, 256).transpose(0, 2, 1)
    recipe = found.tensors[name]
    assert recipe.dtype.name == "BF16" and recipe.shape == expected.shape
    assert np.array_equal(raw(model, cast(recipe, F32)).view(np.float32), expected.reshape(-1))


def test_whole_rows_of_blocks_are_cut_as_their_parts_are(tmp_path: Path) -> None:
    """A range of the experts is a part of each row of what is stored: whole rows are computed for it."""
    model = translators.open_model(build_base(TinyAdapter("", base=BLOCKS), tmp_path))
    recipe = plain(model).tensors["model.layers.0.mlp.experts.down_proj"]
    some, whole = slice_(recipe, 0, 2, 9), raw(model, recipe)
    first, end = (nbytes(recipe) * expert // 11 for expert in (2, 9))
    choose, sources = random.Random(1), SourceFiles(model.files)
    for each, expected in ((recipe, whole), (some, whole[first:end])):
        for _ in range(20):
            start = choose.randrange(len(expected))
            length = min(choose.choice((1, 2, 700, 50_000, 500_000)), len(expected) - start)
            assert np.array_equal(read_bytes(each, start, length, sources), expected[start : start + length])
    sources.close()


def test_folders_and_weights_of_experts_in_blocks_are_those_matrices(tmp_path: Path) -> None:
    model = translators.open_model(build_base(TinyAdapter("", base=BLOCKS), tmp_path))
    plans = translators.plans(model, "hf-bf16")
    plan = plans["hf-bf16/config.json"]
    assert isinstance(plan, translators.Plan)
    layout = plan.layout()
    assert "quantization_config" not in json.loads(layout.read(0, layout.size))
    weights = plans["hf-bf16/model.safetensors"]
    assert isinstance(weights, translators.Plan)
    experts = 2 * 11 * (256 * 1024 + 512 * 256)
    assert experts * 2 < weights.layout().size < experts * 2.2


def test_nvfp4_is_for_gguf_files_alone(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="NVFP4"):
        plain(translators.open_model(build(BASES["tiny-nvfp4"], tmp_path)))


def test_what_nobody_quantised_stays_and_tells_the_precision_of_the_rest(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    parts = {
        "a.SCB": positive("s", "F32", 24, around=0.5),
        "a.weight": codes("w", "I8", 24, 40),
        "norm.weight": positive("n", "F32", 40),
        "z.weight": positive("z", "F16", 8, 40),
    }
    assert isinstance(parts["a.weight"], Part)
    save(tmp_path / "model.safetensors", parts)
    inner = {"torch_dtype": "bfloat16", "quantization_config": settings}
    config = {"dtype": "bfloat16", "quantization_config": settings, "text_config": inner}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = translators.open_model(tmp_path)
    found = plain(model)
    assert {name: each.dtype.name for name, each in found.tensors.items()} == {
        "a.weight": "F16", "norm.weight": "F32", "z.weight": "F16",
    }  # fmt: skip
    assert found.config == {"dtype": "float16", "text_config": {"torch_dtype": "float16"}}
    assert model.config == config
    asked = plain(model, F32)
    assert {each.dtype.name for each in asked.tensors.values()} == {"F32"}
    assert asked.config == {"dtype": "float32", "text_config": {"torch_dtype": "float32"}}
