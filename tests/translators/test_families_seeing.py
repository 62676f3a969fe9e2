"""Side files of Gemma 3, Pixtral, InternVL and others: other names of the same tensors, and refusals."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import translators
from tests.oracle.families.comparison import plans_in, whole
from tests.oracle.families.variant import load, variants_by_name
from translators.errors import MalformedSource, Unsupported
from translators.families import architecture_of, family_of

_FILE = "mmproj-f16.gguf"


def _folder(name: str, directory: Path) -> Path:
    variant = variants_by_name()[name]
    return variant.build(directory, load(variant)["inventory"])


def _renamed(folder: Path, name: Callable[[str], str]) -> None:
    """Give every tensor of the folder another name, where it lies."""
    path = folder / "model.safetensors"
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = {name(key): value for key, value in json.loads(data[8 : 8 + length]).items()}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def _configured(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "config.json"
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


def _reason(folder: Path) -> str:
    plan = plans_in(folder)["mmproj-*.gguf"]
    assert isinstance(plan, translators.Refusal)
    return plan.reason


def _with_prefix(name: str) -> str:
    name = name.replace("language_model.model.", "language_model.")
    return name if name == "__metadata__" else f"model.{name}"


def _without_prefix(name: str) -> str:
    return name.removeprefix("model.")


@pytest.mark.parametrize(
    ("name", "renamed"),
    [("gemma-3-4b-it", _with_prefix), ("pixtral-12b", _with_prefix), ("InternVL3_5-1B-HF", _without_prefix)],
)
def test_names_of_several_versions_of_transformers(
    tmp_path: Path, name: str, renamed: Callable[[str], str]
) -> None:
    """Upstream makes an empty file of those that it does not look for."""
    folder = _folder(name, tmp_path)
    expected = whole(plans_in(folder), _FILE)
    _renamed(folder, renamed)
    assert whole(plans_in(folder), _FILE) == expected


def test_pixtral_needs_the_token_behind_each_row(tmp_path: Path) -> None:
    folder = _folder("pixtral-12b", tmp_path)
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace("[IMG_BREAK]", "[OTHER]"))
    assert "no token [IMG_BREAK]" in _reason(folder)


def test_mistrals_own_tokenizer_may_lie_alone_beside_the_weights(tmp_path: Path) -> None:
    folder = _folder("Mistral-Small-3.1-24B-Instruct-2503", tmp_path)
    expected = whole(plans_in(folder), _FILE)
    (folder / "tokenizer_config.json").unlink()
    special = [{"rank": number, "token_str": f"<{number}>"} for number in range(14)]
    special.append({"rank": 14, "token_str": "[IMG_BREAK]", "is_control": True})
    (folder / "tekken.json").write_text(json.dumps({"special_tokens": special}))
    assert whole(plans_in(folder), _FILE) == expected


def test_a_token_beyond_the_embedding_is_refused(tmp_path: Path) -> None:
    folder = _folder("pixtral-12b", tmp_path)
    path = folder / "tokenizer_config.json"
    told = json.loads(path.read_text()) | {"added_tokens_decoder": {"419": {"content": "[IMG_BREAK]"}}}
    path.write_text(json.dumps(told))
    assert "no row 419" in _reason(folder)


def test_llava_with_clip_has_its_language_model_alone(tmp_path: Path) -> None:
    folder = _folder("pixtral-12b", tmp_path)
    _configured(folder, lambda told: told.update(vision_config={"model_type": "clip_vision_model"}))
    assert "clip_vision_model" in _reason(folder)
    assert isinstance(plans_in(folder)["model.gguf-bf16"], translators.Plan)


@pytest.mark.parametrize(
    ("name", "part", "values"),
    [
        ("InternVL3-1B", "vision_config", {"hidden_act": "relu"}),
        ("InternVL3-1B", "", {"downsample_ratio": 0}),
        ("InternVL3-1B", "", {"downsample_ratio": 1e-300}),
        ("InternVL3-1B", "", {"max_dynamic_patch": "many"}),
        ("InternVL3-1B", "vision_config", {"image_size": []}),
        ("gemma-3-4b-it", "vision_config", {"patch_size": 0.5}),
        ("SmolVLM-256M-Instruct", "", {"scale_factor": -1}),
        ("Llama-4-Scout-17B-16E-Instruct", "vision_config", {"pixel_shuffle_ratio": float("nan")}),
        ("Llama-4-Scout-17B-16E-Instruct", "vision_config", {"hidden_act": "silu"}),
        ("Llama-4-Scout-17B-16E-Instruct", "vision_config", {"num_hidden_layers": 4}),
    ],
)
def test_what_a_configuration_cannot_say(
    tmp_path: Path, name: str, part: str, values: dict[str, Any]
) -> None:
    folder = _folder(name, tmp_path)
    _configured(folder, lambda told: (told[part] if part else told).update(values))
    assert _reason(folder)


def test_the_language_models_own_class_counts() -> None:
    told = {"architectures": ["InternVLChatModel"], "llm_config": {"architectures": ["Qwen3ForCausalLM"]}}
    assert architecture_of(told) == "Qwen3ForCausalLM"
    assert family_of(told).arch == "qwen3"


@pytest.mark.parametrize(
    "name", ["InternS1ForConditionalGeneration", "GlmasrModel", "DeepseekOCRForCausalLM"]
)
def test_but_not_where_upstream_makes_an_exception(name: str) -> None:
    with pytest.raises(Unsupported, match=name):
        family_of({"architectures": [name], "text_config": {"architectures": ["Qwen3ForCausalLM"]}})


def test_a_class_must_be_told() -> None:
    with pytest.raises(MalformedSource):
        architecture_of({"llm_config": {"architectures": []}})
