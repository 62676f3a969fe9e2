"""Checkpoints whose tensors are named in other ways; hyper-parameters that make no rotary frequencies."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import translators
from tests.tiny_models import build
from tests.tiny_variants import MODELS

_TIED = "TinyLlama_v1.1-Chat"
_SCALED = "Tiny-Llama-3-8B-Instruct-v0.2"


def _own(folder: Path) -> translators.Plan | translators.Refusal:
    found = translators.plans(translators.open_model(folder)).values()
    plans = [plan for plan in found if plan.name.startswith("model.gguf")]
    return next((plan for plan in plans if isinstance(plan, translators.Plan) and plan.own), plans[0])


def _bytes(folder: Path) -> bytes:
    plan = _own(folder)
    assert isinstance(plan, translators.Plan), plan
    layout = plan.layout()
    try:
        return layout.read(0, layout.size)
    finally:
        layout.close()


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Replace the header of the folder's safetensors file."""
    path = folder / "model.safetensors"
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.dumps(change(json.loads(data[8 : 8 + length]))).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + length :])


@pytest.mark.parametrize("name", ["Qwen3-0.6B", "Qwen2.5-0.5B-Instruct", _TIED])
def test_names_may_lack_their_first_part_or_have_one_more(tmp_path: Path, name: str) -> None:
    """As Qwen3-Embedding, and as language models taken out of multimodal ones."""
    folder = build(MODELS[name], tmp_path)
    expected = _bytes(folder)
    _rewrite(folder, lambda header: {key.removeprefix("model."): value for key, value in header.items()})
    assert _bytes(folder) == expected
    _rewrite(folder, lambda header: {f"language_model.model.{key}": value for key, value in header.items()
                                     if key != "__metadata__"})  # fmt: skip
    assert _bytes(folder) == expected


def test_tensors_of_other_modalities_are_left_out(tmp_path: Path) -> None:
    folder = build(MODELS[_TIED], tmp_path)
    expected = _bytes(folder)
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    _rewrite(
        folder, lambda header: {**header, "vision_tower.a.weight": empty, "multi_modal_projector.b": empty}
    )
    assert _bytes(folder) == expected


def test_two_tensors_of_one_meaning_are_refused(tmp_path: Path) -> None:
    folder = build(MODELS[_TIED], tmp_path)
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    _rewrite(folder, lambda header: {**header, "norm.weight": empty})
    plan = _own(folder)
    assert isinstance(plan, translators.Refusal)
    assert "output_norm.weight as well" in plan.reason


@pytest.mark.parametrize("theta", ["x", -1, 0, True, [1], 1e300, 10**400])
def test_a_theta_that_makes_no_frequencies_is_refused(tmp_path: Path, theta: object) -> None:
    model = MODELS[_SCALED]
    plan = _own(build(replace(model, config={**model.config, "rope_theta": theta}), tmp_path))
    assert isinstance(plan, translators.Refusal)
    assert "rope_theta" in plan.reason


@pytest.mark.parametrize("scaling", [5, "llama3", [1]])
def test_rope_parameters_that_are_no_objects_are_refused(tmp_path: Path, scaling: object) -> None:
    model = MODELS[_SCALED]
    config = {**model.config, "rope_parameters": {"full_attention": scaling}}
    assert isinstance(_own(build(replace(model, config=config), tmp_path)), translators.Refusal)


def test_a_huge_head_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    folder = build(MODELS[_SCALED], tmp_path)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "head_dim": 1 << 30}))
    plan = _own(folder)
    assert isinstance(plan, translators.Refusal)
    assert "head_dim" in plan.reason
