"""LoRA adapters: merged as the formula says, whatever range is asked for; and what is refused, and why."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import translators
from fsd.planner.identity import identities
from tests.tiny_adapters import ADAPTERS, TinyAdapter, build, write
from translators.dtypes import F32
from translators.errors import MalformedSource, MissingSource, TranslationError, Unsupported
from translators.model import Model
from translators.reading import SourceFiles
from translators.recipes import cast, nbytes, read_bytes, stored

Floats = npt.NDArray[np.float32]
PLAIN = ADAPTERS["plain"]
PREFIX = "base_model.model."


def numbers(model: Model, name: str) -> Floats:
    """A tensor's values."""
    recipe = cast(stored(model.tensors[name]), F32)
    sources = SourceFiles(model.files)
    try:
        return read_bytes(recipe, 0, nbytes(recipe), sources).view(np.float32).reshape(recipe.shape)
    finally:
        sources.close()


def configured(folder: Path, **changes: Any) -> Path:
    """The adapter with another configuration."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def factors_of(folder: Path) -> Model:
    """The adapter's file, as a file of tensors."""
    copy = folder.parent / f"{folder.name}-alone"
    copy.mkdir(exist_ok=True)
    shutil.copy(folder / "adapter_model.safetensors", copy / "model.safetensors")
    return translators.open_model(copy)


@pytest.mark.parametrize("name", ["plain", "magnitudes", "rank-stabilised", "half-precision", "patterns"])
def test_a_merged_weight_is_what_the_formula_says(name: str, tmp_path: Path) -> None:
    adapter = ADAPTERS[name]
    folder = build(adapter, tmp_path)
    merged, base = translators.open_model(folder), translators.open_model(tmp_path / adapter.base)
    own = factors_of(folder)
    scales = {
        "plain": 16 / 8, "magnitudes": 16 / 8, "rank-stabilised": 4 / 8**0.5, "half-precision": 32 / 16,
        "patterns": 16 / 4,
    }  # fmt: skip
    module = "model.layers.1.self_attn.q_proj"
    a, b = (numbers(own, f"{PREFIX}{module}.lora_{part}.weight") for part in "AB")
    expected = numbers(base, f"{module}.weight") + (b @ a) * np.float32(scales[name])
    if name == "magnitudes":
        norm = np.linalg.norm(expected, axis=1)
        expected *= (numbers(own, f"{PREFIX}{module}.lora_magnitude_vector") / norm)[:, None]
    made = numbers(merged, f"{module}.weight")
    # Half a unit in the last place of the type that it was rounded to, and the product's own error.
    unit = 2.0**-8 if base.tensors[f"{module}.weight"].dtype.name == "BF16" else 2.0**-11
    assert np.all(np.abs(made - expected) <= unit * np.abs(expected) + 1e-7)
    assert np.mean(made != numbers(base, f"{module}.weight")) > 0.9


@pytest.mark.parametrize("name", ADAPTERS)
def test_any_range_has_the_same_bytes(name: str, tmp_path: Path) -> None:
    plan = translators.plans(translators.open_model(build(ADAPTERS[name], tmp_path)))["model.safetensors"]
    assert isinstance(plan, translators.Plan)
    layout = plan.layout()
    whole = layout.read(0, layout.size)
    choose = random.Random(name)
    for _ in range(25):
        start = choose.randrange(layout.size)
        length = choose.choice((1, 7, 4096, 131072))
        assert layout.read(start, length) == whole[start : start + length], (start, length)
    layout.close()


def test_saved_modules_replace_the_base_s_and_untouched_tensors_are_the_base_s(tmp_path: Path) -> None:
    folder = build(ADAPTERS["saved"], tmp_path)
    merged, own = translators.open_model(folder), factors_of(folder)
    base = translators.open_model(tmp_path / ADAPTERS["saved"].base)
    for name in ("model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"):
        # Stored in F32, and rounded to the base's type.
        assert np.allclose(numbers(merged, name), numbers(own, PREFIX + name), rtol=2.0**-8)
    untouched = "model.layers.0.mlp.up_proj.weight"
    assert merged.tensors[untouched] is not None
    assert np.array_equal(numbers(merged, untouched), numbers(base, untouched))


def test_a_resized_vocabulary_is_the_configuration_s_too(tmp_path: Path) -> None:
    merged = translators.open_model(build(ADAPTERS["resized"], tmp_path))
    assert merged.config["vocab_size"] == 432
    assert merged.tensors["model.embed_tokens.weight"].shape[0] == 432
    assert merged.tensors["lm_head.weight"].shape[0] == 432


def test_the_adapter_s_own_tokenizer_comes_first(tmp_path: Path) -> None:
    folder = build(PLAIN, tmp_path)
    assert translators.open_model(folder).tokenizer is None
    shutil.copy(tmp_path / PLAIN.base / "tokenizer.json", folder / "tokenizer.json")
    model = translators.open_model(folder)
    assert model.tokenizer == folder
    assert any(file.path.endswith(b"plain/tokenizer.json") for file in model.files)


def test_an_adapter_is_listed_in_every_format_and_by_itself(tmp_path: Path) -> None:
    plans = translators.plans(translators.open_model(build(PLAIN, tmp_path)))
    for name in (
        "model.safetensors",
        "model.gguf-bf16",
        "model.gguf-q4_k_m",
        "adapter.gguf-f16",
        "adapter.gguf-f32",
    ):
        assert isinstance(plans[name], translators.Plan), name
    plans = translators.plans(translators.open_model(build(ADAPTERS["magnitudes"], tmp_path)))
    refusal = plans["adapter.gguf-f16"]
    assert isinstance(refusal, translators.Refusal)
    assert "magnitudes" in refusal.reason


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("peft_type", "LOHA"), ("alora_invocation_tokens", [1, 2]), ("layer_replication", [[0, 2], [1, 2]]),
        ("trainable_token_indices", [3]), ("target_parameters", ["mlp.experts.gate_up_proj"]),
        ("use_qalora", True), ("init_lora_weights", "pissa_niter_4"), ("init_lora_weights", "olora"),
        ("a_key_of_tomorrow", 1), ("rank_pattern", {"(a+)+b": 4}),
    ],
)  # fmt: skip
def test_what_cannot_be_merged_exactly_is_refused_by_name(key: str, value: object, tmp_path: Path) -> None:
    folder = configured(build(PLAIN, tmp_path), **{key: value})
    with pytest.raises(Unsupported) as caught:
        translators.open_model(folder)
    assert caught.value.place == key


@pytest.mark.parametrize("rank", [10**9, 0, -1, 10**30, "8", True])
def test_a_rank_that_lies_is_told(rank: object, tmp_path: Path) -> None:
    folder = configured(build(PLAIN, tmp_path), r=rank)
    with pytest.raises(MalformedSource):
        translators.open_model(folder)


@pytest.mark.parametrize(
    "tensors",
    [
        {"model.layers.0.self_attn.q_proj.lora_A.weight": (8, 256)},
        {"model.layers.0.self_attn.q_proj.lora_A.weight": (8, 256), "model.layers.0.self_attn.q_proj.lora_B.weight": (256, 7)},
        {"model.layers.0.self_attn.q_proj.lora_A.weight": (8, 255), "model.layers.0.self_attn.q_proj.lora_B.weight": (256, 8)},
        {"model.layers.0.self_attn.q_proj.lora_A.weight": (8, 0), "model.layers.0.self_attn.q_proj.lora_B.weight": (256, 8)},
        {"model.layers.99.self_attn.q_proj.lora_A.weight": (8, 256), "model.layers.99.self_attn.q_proj.lora_B.weight": (256, 8)},
        {"model.norm.weight": (257,)},
        {"model.layers.0.self_attn.q_proj.weight": (300, 256)},
        {"nobody.knows.weight": (1,)},
        {"model.layers.0.self_attn.q_proj.lora_C.weight": (8, 256)},
    ],
)  # fmt: skip
def test_factors_that_do_not_fit_are_told(tensors: dict[str, tuple[int, ...]], tmp_path: Path) -> None:
    folder = build(PLAIN, tmp_path)
    write(
        folder / "adapter_model.safetensors", PLAIN, {PREFIX + name: shape for name, shape in tensors.items()}
    )
    with pytest.raises(TranslationError) as caught:
        translators.open_model(folder)
    assert caught.value.path


def placed(tmp_path: Path, name: str) -> Path:
    """An adapter in a directory of models, whose base is outside of it."""
    folder = build(TinyAdapter("adapter"), tmp_path / "models")
    shutil.move(tmp_path / "models" / PLAIN.base, tmp_path / "outside")
    return configured(folder, base_model_name_or_path=name)


@pytest.mark.parametrize(
    "name", ["../../outside", "../x/../../outside", "{}/outside", "..", ".", "", "a\0b", "../.."]
)
def test_a_base_is_never_looked_for_elsewhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = placed(tmp_path, name.format(tmp_path))
    with pytest.raises(MissingSource):
        translators.open_model(folder)
    # Where a person names it, it is taken.
    assert translators.open_model(folder, base=tmp_path / "outside").format == "peft"


@pytest.mark.parametrize(
    "name", ["../base", "someone/base", "/home/someone/models/base", "base", "{}/models/base"]
)
def test_a_base_is_found_beside_the_adapter(name: str, tmp_path: Path) -> None:
    folder = placed(tmp_path, name.format(tmp_path))
    shutil.move(tmp_path / "outside", tmp_path / "models" / "base")
    assert translators.open_model(folder).name == "adapter"


def test_a_base_is_found_in_the_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = placed(tmp_path, "someone/model")
    kept = tmp_path / "cache" / "models--someone--model"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("abc123")
    shutil.move(tmp_path / "outside", kept / "snapshots" / "abc123")
    assert translators.open_model(folder).tensors


def test_adapters_of_adapters_are_refused(tmp_path: Path) -> None:
    folder = build(PLAIN, tmp_path)
    shutil.copytree(folder, tmp_path / "other")
    (folder / "config.json").write_text("{}")
    with pytest.raises(Unsupported, match="adapter itself"):
        translators.open_model(configured(tmp_path / "other", base_model_name_or_path="../plain"))


def test_a_plan_is_of_the_base_s_version_too(tmp_path: Path) -> None:
    folder = build(PLAIN, tmp_path)
    weights = tmp_path / PLAIN.base / "model.safetensors"
    before = identities(str(folder))
    assert any(file.path == os.fsencode(weights) for file in before)
    with weights.open("r+b") as file:
        file.truncate(weights.stat().st_size - 1)
    assert identities(str(folder)) != before
