"""Where values decide what a GGUF holds: a head that is the embedding once more, biases that are zero."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

import translators
from tests.oracle.families.comparison import whole
from tests.oracle.families.side_files import PRINTS
from tests.oracle.families.variant import Variant, load, variants_by_name
from translators.families.defaults import completed
from translators.vocab.pretokenizers import NAMES

_EMBEDDING = "backbone.embeddings.weight"


def _build(variant: Variant, directory: Path) -> Path:
    return variant.build(directory, load(variant)["inventory"])


def _plans(folder: Path) -> dict[str, translators.Plan | translators.Refusal]:
    with patch.dict(NAMES, PRINTS):
        return translators.plans(translators.open_model(folder))


def _stored(folder: Path, name: str) -> tuple[dict[str, object], bytes]:
    data = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    entry = json.loads(data[8 : 8 + length])[name]
    start, stop = entry["data_offsets"]
    return entry, data[8 + length + start : 8 + length + stop]


def _add(folder: Path, name: str, entry: dict[str, object], content: bytes) -> None:
    """One tensor more, its data behind all others."""
    path = folder / "model.safetensors"
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    header[name] = {**entry, "data_offsets": [len(rest), len(rest) + len(content)]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest + content)


def test_a_head_that_is_the_embedding_is_left_out(tmp_path: Path) -> None:
    variant = variants_by_name()["mamba-130m-hf"]
    without = whole(_plans(_build(variant, tmp_path / "without")), "model.gguf-f32")
    folder = _build(variant, tmp_path / "with")
    _add(folder, "lm_head.weight", *_stored(folder, _EMBEDDING))
    assert whole(_plans(folder), "model.gguf-f32") == without


def test_a_head_that_differs_in_its_last_value_is_kept(tmp_path: Path) -> None:
    folder = _build(variants_by_name()["mamba-130m-hf"], tmp_path)
    entry, content = _stored(folder, _EMBEDDING)
    values = np.frombuffer(content, np.float32).copy()
    values[-1] += 1
    _add(folder, "lm_head.weight", entry, values.tobytes())
    assert b"output.weight" in whole(_plans(folder), "model.gguf-f32")


def test_biases_of_zero_are_left_out(tmp_path: Path) -> None:
    variant = variants_by_name()["cohere2-f32"]
    without = whole(_plans(_build(variant, tmp_path / "without")), "model.gguf-f32")
    folder = _build(variant, tmp_path / "with")
    _add(folder, "model.layers.0.self_attn.q_proj.bias", {"dtype": "F32", "shape": [256]}, bytes(1024))
    assert whole(_plans(folder), "model.gguf-f32") == without


def test_a_bias_that_is_not_zero_is_refused(tmp_path: Path) -> None:
    folder = _build(variants_by_name()["cohere2-f32"], tmp_path)
    values = np.zeros(256, np.float32)
    values[77] = 0.5
    name = "model.layers.1.self_attn.k_proj.bias"
    _add(folder, name, {"dtype": "F32", "shape": [256]}, values.tobytes())
    plan = _plans(folder)["model.gguf-*"]
    assert isinstance(plan, translators.Refusal)
    assert name in plan.reason


@pytest.mark.parametrize("model_type", ["granite", "granitemoe", "cohere", "cohere2"])
def test_a_scaling_under_its_old_name_alone_leaves_a_configuration_as_it_is(model_type: str) -> None:
    """transformers refuses it there, so that nothing is filled in."""
    scaling = {"type": "linear", "factor": 2.0}
    config = {"model_type": model_type, "num_hidden_layers": 2, "rope_scaling": scaling}
    assert completed(config) == config
    told = {**config, "rope_scaling": {**scaling, "rope_type": "linear"}}
    assert "num_key_value_heads" in completed(told)
    assert "num_key_value_heads" in completed({**config, "model_type": "smollm3"})


@pytest.mark.parametrize(
    ("name", "key"), [("falcon-7b", "num_kv_heads"), ("EXAONE-3.5-2.4B-Instruct", "rms_norm_eps")]
)
def test_what_upstream_must_be_told_is_known(tmp_path: Path, name: str, key: str) -> None:
    """Published configurations lack the key, and upstream goes wrong; told it, it writes the same file."""
    variant = variants_by_name()[name]
    target = f"model.gguf-{load(variant)['own']}"
    told = whole(_plans(_build(variant, tmp_path / "told")), target)
    config = {each: value for each, value in variant.config.items() if each != key}
    assert whole(_plans(_build(replace(variant, config=config), tmp_path / "untold")), target) == told
