"""Side files of what models see by: types of tensors, and what is said where there can be none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import translators
from tests.oracle.families.variant import load, variants_by_name
from tests.tiny_models import TinyModel, build
from tests.tiny_variants import MODELS
from translators.dtypes import DTYPES
from translators.families.mmproj.qwen_vl import QWEN2_VL
from translators.families.types import type_in_side_file

NAME = "Qwen2-VL-2B-Instruct"
Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("name", "shape", "types"),
    [
        ("v.blk.0.attn_q.weight", (64, 64), "F32 F16 BF16 Q8_0"),
        ("v.blk.0.attn_q.weight", (64, 48), "F32 F16 BF16 F16"),  # no whole blocks
        ("v.blk.0.attn_q.bias", (64,), "F32 F32 F32 F32"),
        ("v.patch_embd.weight", (64, 3, 8, 8), "F32 F16 F32 F32"),
        ("v.patch_embd.weight.1", (64, 3, 8, 8), "F32 F16 F32 F32"),
        ("mm.patch_merger.weight", (64, 64), "F32 F16 F32 F32"),
        ("v.position_embd.weight", (64, 64), "F32 F32 F32 F32"),
        ("v.class_embd", (1, 64), "F32 F32 F32 F32"),
        ("mm.soft_emb_norm.weight", (2, 64), "F32 F32 F32 F32"),
        ("mm.input_projection.weight", (64, 64), "F16 F16 F16 F16"),
        ("mm.own.weight", (64, 64), "F32 F16 BF16 Q8_0"),
    ],
)
def test_types(name: str, shape: tuple[int, ...], types: str) -> None:
    kept = {"input_projection.weight": "F16", "own.weight": ""}
    files = (DTYPES[kind] for kind in ("F32", "F16", "BF16", "Q8_0"))
    assert [type_in_side_file(name, shape, own, kept).name for own in files] == types.split()


def test_only_what_sees_is_kept() -> None:
    kept = {name: QWEN2_VL.kept(name, {}) for name in ("visual.a", "model.a", "language_model.visual.a")}
    assert kept == {"visual.a": "visual.a", "model.a": None, "language_model.visual.a": None}


def test_a_model_of_text_alone_has_none(tmp_path: Path) -> None:
    model: TinyModel = next(iter(MODELS.values()))
    assert not [
        name for name in translators.plans(translators.open_model(build(model, tmp_path))) if "mmproj" in name
    ]


def _eyes(**changes: object) -> Change:
    return lambda config: config["vision_config"].update(changes)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_eyes(depth=4), "missing"),
        (_eyes(depth=2), "there are 3 layers of weights"),
        (_eyes(depth=10**9), "missing"),
        (_eyes(depth="3"), "is no"),
        (_eyes(patch_size=-1), "not between"),
        (_eyes(num_heads=None), "not told"),
        (lambda config: config.update(hidden_size="wide"), "width"),
        (lambda config: config.update(architectures=["NobodyKnows"]), "NobodyKnows"),
        (lambda config: config.update(architectures=[]), "has no translation"),
        (lambda config: config.update(vision_config=[3]), "no JSON object"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path: Path, change: Change, reason: str) -> None:
    folder = _built(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    assert reason in _refusal(folder)


@pytest.mark.parametrize("told", ["{}", '{"image_mean": 3}', '{"image_mean": [0.5, "a"]}', "[", "[1]"])
def test_a_preprocessor_that_does_not_tell_enough(tmp_path: Path, told: str) -> None:
    folder = _built(tmp_path)
    (folder / "preprocessor_config.json").write_text(told)
    assert "preprocessor_config.json" in _refusal(folder)


def _built(directory: Path) -> Path:
    variant = variants_by_name()[NAME]
    return variant.build(directory, load(variant)["inventory"])


def _refusal(folder: Path) -> str:
    plans = translators.plans(translators.open_model(folder))
    (refused,) = [plan for name, plan in plans.items() if name.startswith("mmproj-")]
    assert isinstance(refused, translators.Refusal), refused
    assert refused.name == "mmproj-*.gguf"
    return refused.reason
