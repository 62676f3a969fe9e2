"""Mistral's own form: under Hugging Face's names too, beside Hugging Face's files, and hostile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from tokenizers import Tokenizer

from tests.oracle.gguf_parts import take_apart
from tests.tiny_models import TinyModel, write_safetensors
from tests.tiny_natives import DIM, HEADS, NATIVES, TOKENS, build, shapes_of
from tests.tiny_tokenizers import sentencepiece
from tests.translators.originals import told, whole
from translators import Plan, Refusal, folders, open_model, plans
from translators.errors import MalformedSource, MissingSource, TranslationError
from translators.sources.recognise import recognise
from translators.vocab.pretokenizers import CHECK_TEXT, NAMES, fingerprint

PIECES, SHARDED, SCALED = "Mistral-7B-v0.3-native", "Mistral-Nemo-2407-native", "Ministral-3-3B-2512-native"
SEEING = "Pixtral-12B-2409-native"


@pytest.mark.parametrize("name", [PIECES, SHARDED, SCALED])
def test_the_folder_under_hugging_faces_names_is_the_same_model(name: str, tmp_path: Path) -> None:
    folder = build(NATIVES[name], tmp_path / "native")
    model = open_model(folder)
    copy = tmp_path / "hf" / name
    copy.mkdir(parents=True)
    for path, plan in plans(model, "hf-bf16").items():
        (copy / path.removeprefix("hf-bf16/")).write_bytes(whole(plan))
    assert not (copy / "params.json").exists()
    ids = Tokenizer.from_str((copy / "tokenizer.json").read_text()).encode(CHECK_TEXT).ids
    with patch.dict(NAMES, {fingerprint(ids): "tekken"}):
        made = [whole(plans(each)["model.gguf-bf16"]) for each in (model, open_model(copy))]
    native, huggingface = map(take_apart, made)
    assert {part.name: part.digest for part in native.tensors} == {
        part.name: part.digest for part in huggingface.tensors
    }
    for key, value in native.key_values.items():
        if "rope" in key or "length" in key or "count" in key or "epsilon" in key:
            assert huggingface.key_values[key] == value, key
    for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"):
        assert huggingface.key_values[key] == native.key_values[key]
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= plans(model).keys()
    config = json.loads(whole(plans(model)["config.json"]))
    assert config["architectures"] == ["Ministral3ForCausalLM" if name == SCALED else "MistralForCausalLM"]


def test_queries_lie_half_by_half_there(tmp_path: Path) -> None:
    native = NATIVES[SHARDED]
    folder = build(native, tmp_path)
    data = whole(plans(open_model(folder))["model.safetensors"])
    start = 8 + int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:start])["model.layers.1.self_attn.q_proj.weight"]
    first, end = entry["data_offsets"]
    ours = np.frombuffer(data[start + first : start + end], "<u2").reshape(HEADS, 2, -1, DIM)
    (path,) = (path for path in folder.glob("*.safetensors") if b"layers.1.attention.wq" in path.read_bytes())
    stored = path.read_bytes()
    begin = 8 + int.from_bytes(stored[:8], "little")
    at, until = json.loads(stored[8:begin])["layers.1.attention.wq.weight"]["data_offsets"]
    theirs = np.frombuffer(stored[begin + at : begin + until], "<u2").reshape(HEADS, -1, 2, DIM)
    assert np.array_equal(ours, theirs.transpose(0, 2, 1, 3))


def test_hugging_faces_files_beside_are_the_model() -> None:
    native = ["consolidated.safetensors", "params.json", "tekken.json"]
    assert [each.format for each in recognise(native)] == ["mistral"]
    for other in ("model.safetensors", "model-00001-of-00002.safetensors", "pytorch_model.bin"):
        (found,) = recognise([*native, other, "config.json"])
        assert found.files == (other,)
    assert recognise(["consolidated.safetensors", "config.json"])[0].format == "safetensors"
    shards = [f"consolidated-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = "consolidated.safetensors.index.json"
    assert recognise([*shards, index, "params.json"])[0].files == (index, *shards)


def test_a_model_that_sees_has_no_hugging_face_form(tmp_path: Path) -> None:
    model = open_model(build(NATIVES[SEEING], tmp_path))
    found = plans(model)
    refusal = found["model.safetensors"]
    assert isinstance(refusal, Refusal)
    assert "sees" in refusal.reason
    assert isinstance(found["mmproj-f16.gguf"], Plan)
    assert isinstance(folders(model)["hf-bf16/"], Refusal)
    assert "config.json" not in found
    told(
        tmp_path / SEEING,
        vision_encoder={**NATIVES[SEEING].params["vision_encoder"], "image_break_token_id": -1},
    )
    again = plans(open_model(tmp_path / SEEING))["mmproj-f16.gguf"]
    assert whole(again) == whole(found["mmproj-f16.gguf"])


def test_fp8_with_a_scale_for_each_matrix(tmp_path: Path) -> None:
    folder = tmp_path / "fp8-native"
    folder.mkdir()
    shapes = dict(shapes_of(NATIVES[PIECES]))
    params = {**NATIVES[PIECES].params, "quantization": {"qformat_weight": "fp8_e4m3"}}
    (folder / "params.json").write_text(json.dumps(params))
    (folder / "tokenizer.model.v3").write_bytes(sentencepiece())
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        name: ("BF16", shape) for name, shape in shapes.items()
    }
    for name, shape in shapes.items():
        if "attention.w" in name or "feed_forward" in name:
            tensors[name] = ("U8", shape)
            tensors[name.removesuffix("weight") + "qscale_weight"] = ("F32", ())
            tensors[name.removesuffix("weight") + "qscale_act"] = ("F32", ())
    path = folder / "consolidated.safetensors"
    write_safetensors(path, TinyModel("fp8-native", {}), tensors)
    data = path.read_bytes().replace(b'"U8"', b'"F8_E4M3"')
    length = data.index(b"}}") + 2 - 8
    text = data[8 : 8 + length].rstrip() + b" " * (-length % 8)
    start = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    path.write_bytes(len(text).to_bytes(8, "little") + text + path.read_bytes()[start:])
    model = open_model(folder)
    found = plans(model)
    parts = {part.name: part for part in take_apart(whole(found["model.gguf-bf16"])).tensors}
    assert parts["blk.0.attn_q.weight"].type == "BF16"
    assert not any("qscale" in name for name in parts)
    assert "model.layers.0.self_attn.q_proj.weight" in whole(found["model.safetensors"]).decode("latin-1")
    told(folder, quantization={"qformat_weight": "int3"})
    with pytest.raises(TranslationError, match="FP8"):
        open_model(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"n_layers": 3}, "missing"),
        ({"n_layers": 1}, "2 layers of weights"),
        ({"n_layers": 10**12}, "n_layers"),
        ({"dim": "wide", "head_dim": None}, "dim"),
        ({"n_heads": 0, "head_dim": None}, "n_heads"),
        ({"hidden_dim": -1}, "hidden_dim"),
        ({"rope_theta": "x"}, "rope_theta"),
        ({"yarn": 3}, "yarn"),
        ({"yarn": {}}, "yarn"),
        ({"llama_4_scaling": []}, "llama_4_scaling"),
        ({"moe": {"num_experts": 8}}, "mixture of experts"),
        ({"max_seq_len": -3}, "max_position_embeddings"),
    ],
)
def test_params_that_cannot_be(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    folder = build(NATIVES[PIECES], tmp_path)
    told(folder, **change)
    refusal = plans(open_model(folder))["model.gguf-*"]
    assert isinstance(refusal, Refusal)
    assert reason in refusal.reason, refusal


def _cut(folder: Path) -> None:
    (folder / "consolidated-00002-of-00002.safetensors").unlink()


def _no_object(folder: Path) -> None:
    (folder / "params.json").write_text("3")


@pytest.mark.parametrize(("change", "kind"), [(_cut, MissingSource), (_no_object, MalformedSource)])
def test_hostile(change: Callable[[Path], None], kind: type[TranslationError], tmp_path: Path) -> None:
    folder = build(NATIVES[SHARDED], tmp_path)
    change(folder)
    with pytest.raises(kind):
        open_model(folder)
    assert TOKENS > 256
