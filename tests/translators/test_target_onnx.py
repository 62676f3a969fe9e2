"""Folders for ONNX Runtime: run by it, digests of what `make onnx-check` found equal, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.oracle.families.variant import load, variants_by_name
from tests.oracle.onnx.check import FOLDERS, digests, written
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from translators import Plan, Refusal, folders, open_model, plans
from translators.errors import MalformedSource, TranslationError, Unsupported
from translators.plan import Folder

GOLDEN = json.loads(FOLDERS.read_text())
# One of each family; llama3, linear and YaRN; tied, biased, windowed, in shards.
NAMES = (
    "Tiny-Llama-3-8B-Instruct-v0.2", "TinyLlama_v1.1-Chat", "Biased-llama-1.5b", "Llama-2-13B-yarn-64K",
    "Mistral-7B-Instruct-v0.1", "Qwen2.5-0.5B-Instruct", "Qwen3-0.6B", "all-MiniLM-L6-v2", "bge-m3",
)  # fmt: skip
FORMS = ("onnx-fp32", "onnx-fp16", "onnx-int4")
TOLERANCE = {"onnx-fp32": 1e-4, "onnx-fp16": 4e-3, "onnx-int4": 1e-4}


def made(name: str, directory: Path) -> Path:
    if name in MODELS:
        return build(MODELS[name], directory)
    variant = variants_by_name()[name]
    return variant.build(directory, load(variant)["inventory"])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("llama-mha", tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(str(request.param), tmp_path_factory.mktemp("source"))


def numbers(folder: Path) -> np.ndarray:
    """What ONNX Runtime computes of the last of the tokens that transformers was given."""
    config = json.loads((folder / "config.json").read_text())
    length = 24
    if (folder / "genai_config.json").exists():
        window = config.get("sliding_window") or 0
        length = window + 40 if 0 < window < 660 else 48
    count = np.arange(3, 3 + length, dtype=np.int64)
    ids = (count * 7919 % config["vocab_size"])[None, :]
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    feeds: dict[str, np.ndarray] = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    for each in session.get_inputs():
        if each.name == "token_type_ids":
            feeds[each.name] = (np.arange(length)[None, :] % 24 > 12).astype(np.int64)
        elif each.name.startswith("past"):
            kind = np.float16 if each.type == "tensor(float16)" else np.float32
            feeds[each.name] = np.zeros((1, each.shape[1], 0, each.shape[3]), kind)
    first = session.get_outputs()[0].name
    answer: Any = session.run([first], feeds)[0]
    return answer[0, -1].astype(np.float32)


def test_onnxruntime_computes_what_transformers_does(model: Path, tmp_path: Path) -> None:
    golden = GOLDEN[model.name]
    for form, told in golden.items():
        folder = written(model, form, tmp_path)
        assert digests(folder) == told["files"], form
        found = numbers(folder)[: len(told["last"])]
        assert np.abs(found - np.array(told["last"])).max() < TOLERANCE[form], form
        (folder / "model.onnx.data").unlink()


def test_ranges_are_those_of_the_whole(source: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    for form in FORMS:
        whole = (written(source, form, tmp_path) / "model.onnx.data").read_bytes()
        plan = plans(open_model(source), form)[f"{form}/model.onnx.data"]
        assert isinstance(plan, Plan)
        layout = plan.layout()
        for start in random.integers(0, len(whole), 60):
            length = int(random.choice((1, 4096, 70_001)))
            assert layout.read(int(start), length) == whole[start : start + length]
        layout.close()


def test_a_gguf_gives_the_same_graph_and_weights(source: Path, tmp_path: Path) -> None:
    form = plans(open_model(source))["model.gguf-f16"]
    assert isinstance(form, Plan)
    layout = form.layout()
    gguf = tmp_path / "made.gguf"
    gguf.write_bytes(layout.read(0, layout.size))
    layout.close()
    ours = digests(written(gguf, "onnx-fp32", tmp_path / "gguf"))
    theirs = digests(written(source, "onnx-fp32", tmp_path / "folder"))
    assert {name: each for name, each in ours.items() if name.startswith("model")} == {
        name: each for name, each in theirs.items() if name.startswith("model")
    }


def test_both_ways_to_write_a_rotation_are_one(source: Path, tmp_path: Path) -> None:
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}
    old = copied(source, tmp_path / "a" / "m", rope_scaling=scaling, rope_theta=50000.0)
    new = copied(source, tmp_path / "b" / "m", rope_parameters={**scaling, "rope_theta": 50000.0})
    files = [digests(written(each, "onnx-fp32", each / "made")) for each in (old, new)]
    assert files[0] == files[1]
    plain = digests(written(source, "onnx-fp32", tmp_path / "plain"))
    assert plain["model.onnx.data"] != files[0]["model.onnx.data"]


def test_what_genai_is_told(source: Path, tmp_path: Path) -> None:
    advice = {"eos_token_id": [2, 5], "temperature": 0.6, "top_k": None, "do_sample": True, "top_p": "x"}
    changed = copied(source, tmp_path / "changed", pad_token_id=None, bos_token_id=1)
    (changed / "generation_config.json").write_text(json.dumps(advice))
    told = json.loads((written(changed, "onnx-int4", tmp_path) / "genai_config.json").read_text())
    assert told["model"]["eos_token_id"] == [2, 5]
    assert told["model"]["pad_token_id"] == 2
    assert told["model"]["bos_token_id"] == 1
    assert told["model"]["type"] == "llama"
    assert told["model"]["decoder"]["filename"] == "model.onnx"
    assert told["search"]["temperature"] == 0.6
    assert told["search"]["do_sample"] is True
    assert (told["search"]["top_k"], told["search"]["top_p"]) == (50, 1.0)
    assert told["search"]["max_length"] == told["model"]["context_length"] == 2048


def copied(source: Path, folder: Path, **changes: Any) -> Path:
    """The model with another configuration; a change to None removes the key."""
    folder.mkdir(parents=True)
    for file in source.iterdir():
        if file.name != "config.json" and file.is_file():
            (folder / file.name).symlink_to(file)
    config = json.loads((source / "config.json").read_text()) | changes
    config = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_which_directories_there_are(source: Path, tmp_path: Path) -> None:
    found = folders(open_model(source))
    assert all(isinstance(found[form], Folder) for form in FORMS)
    assert plans(open_model(source), "onnx-int8") == {}
    encoder = folders(open_model(made("all-MiniLM-L6-v2", tmp_path)))
    assert isinstance(encoder["onnx-fp32"], Folder)
    assert isinstance(encoder["onnx-int4/"], Refusal)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architectures": ["GemmaForCausalLM"], "model_type": "gemma"}, "GemmaForCausalLM"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "LlamaForSequenceClassification"),
        ({"architectures": None}, "no ONNX graph"),
        ({"model_type": "mistral"}, "of type 'mistral'"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
        ({"partial_rotary_factor": 0.5}, "a part of a head"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": -1.0}}, "factor"),
        ({"num_key_value_heads": 3}, "heads"),
        ({"num_attention_heads": 32}, "no multiple of 16"),
        ({"max_position_embeddings": 1 << 40}, "positions"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps"),
        ({"num_hidden_layers": True}, "num_hidden_layers"),
    ],
)
def test_what_has_no_graph_says_why(
    source: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    model = open_model(copied(source, tmp_path / "changed", **changes))
    for form in FORMS:
        refusal = folders(model)[f"{form}/"]
        assert isinstance(refusal, Refusal)
        assert reason in refusal.reason
        assert plans(model, form) == {}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"num_hidden_layers": 3}, MalformedSource),
        ({"num_hidden_layers": 1}, Unsupported),
        ({"intermediate_size": 512}, MalformedSource),
        ({"vocab_size": 17}, MalformedSource),
        ({"mlp_bias": True}, MalformedSource),
        ({"num_hidden_layers": 9999}, MalformedSource),
    ],
)
def test_tensors_that_do_not_fit_are_an_error(
    source: Path, tmp_path: Path, changes: dict[str, Any], error: type[TranslationError]
) -> None:
    model = open_model(copied(source, tmp_path / "changed", **changes))
    for form in FORMS:
        with pytest.raises(error):
            plans(model, form)
