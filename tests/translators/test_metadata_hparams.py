"""Hyper-parameters against upstream's own answers, and the whole head of the tiny models' GGUFs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_variants import MODELS
from tests.translators.golden_metadata import cases
from tests.translators.golden_metadata.rows import folder, golden, key_values
from translators.errors import MalformedSource, TranslationError, Unsupported
from translators.families.defaults import completed
from translators.families.hparams import rope_parameters, write_hparams, write_llama
from translators.families.pooling import is_qwen3_reranker, write_qwen3_reranker, write_qwen_pooling
from translators.keyvalues import KeyValues
from translators.metadata import ParameterCount, write_general

_ARCH = {"Llama": "llama", "Mistral": "llama", "Mixtral": "llama", "Qwen2": "qwen2", "Qwen3": "qwen3"}
_HPARAMS, _TINY = dict(golden("hparams")), dict(golden("tiny"))
_F16 = 1


def _write(kv: KeyValues, root: Path, config: dict[str, Any], file_type: int) -> None:
    """What upstream's set_gguf_parameters writes, for the classes of the Llama and Qwen families."""
    whole = completed(config, root)
    arch = kv.get("general.architecture")
    write_hparams(kv, arch, whole, file_type)
    if arch == "llama":
        write_llama(kv, whole)
    else:
        write_qwen_pooling(kv, root, whole)
    if arch == "qwen3" and is_qwen3_reranker(root, root.name, whole):
        write_qwen3_reranker(kv)


def _started(config: dict[str, Any]) -> KeyValues:
    kv = KeyValues()
    kv.string("general.architecture", _ARCH[config["architectures"][0].split("For")[0].removesuffix("Model")])
    return kv


@pytest.mark.parametrize("key", cases.HPARAMS)
def test_hyper_parameters_are_upstreams(key: str, tmp_path: Path) -> None:
    case, expected = cases.HPARAMS[key], _HPARAMS[key]
    root, kv = folder(tmp_path, case), _started(case["config"])
    if expected is None:
        with pytest.raises(TranslationError) as refused:
            _write(kv, root, case["config"], _F16)
        assert "config.json" in refused.value.path
        return
    _write(kv, root, case["config"], _F16)
    assert kv.encoded() == key_values(expected).encoded()


@pytest.mark.parametrize("name", MODELS)
def test_the_head_of_a_tiny_models_gguf_is_upstreams(name: str, tmp_path: Path) -> None:
    expected, config = _TINY[name], dict(MODELS[name].config)
    root = tmp_path / name
    root.mkdir()
    for path, content in MODELS[name].files.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    kv = _started(config)
    write_general(kv, root, name, config, ParameterCount(*expected["parameters"]))
    _write(kv, root, config, expected["file_type"])
    kv.u32("general.quantization_version", 2)
    assert kv.encoded() == key_values(expected["key_values"]).encoded()


_WHOLE = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 9}
_BAD = (-1, 1.5, "7", 10**30, 2**32, float("nan"), float("inf"), [None], [2**31], ["a"], {})


@pytest.mark.parametrize(
    "key", ["num_hidden_layers", "hidden_size", "intermediate_size", "head_dim", "num_experts"]
)
@pytest.mark.parametrize("value", _BAD, ids=repr)
def test_a_count_that_is_none_is_refused(key: str, value: object) -> None:
    with pytest.raises(MalformedSource, match=rf"config\.json, {key}"):
        write_hparams(KeyValues(), "llama", {**_WHOLE, key: value}, 0)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 10**400, 4e38, "1e-5", [1.0], {}], ids=type)
@pytest.mark.parametrize("key", ["rms_norm_eps", "rope_theta", "layer_norm_eps"])
def test_a_number_that_is_none_is_refused(key: str, value: object) -> None:
    with pytest.raises(MalformedSource, match=rf"config\.json, {key}"):
        write_hparams(KeyValues(), "llama", {**_WHOLE, key: value}, 0)


@pytest.mark.parametrize(
    "rope",
    [
        5, "linear", [1], {"rope_type": 3}, {"rope_type": "yarn", "factor": "x"}, {"mrope_section": 7},
        {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": -1},
        {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 8, "beta_fast": {}},
        {"full_attention": 1}, {"sliding_attention": [2]}, {"mrope_section": [1, "2"]},
    ],
)  # fmt: skip
def test_rope_parameters_that_are_none_are_refused(rope: object) -> None:
    with pytest.raises(MalformedSource, match=r"config\.json"):
        write_hparams(KeyValues(), "llama", {**_WHOLE, "rope_parameters": rope}, 0)


@pytest.mark.parametrize(
    "changes", [{"num_attention_heads": 0}, {"hidden_size": "64"}, {"vocab_size": None}, {"head_dim": -4}]
)
def test_llama_numbers_that_are_none_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedSource, match=r"config\.json"):
        write_llama(KeyValues(), {**_WHOLE, **changes})


def test_rope_parameters_are_a_copy() -> None:
    scaling = {"type": "linear", "factor": 2.0}
    whole = rope_parameters({"rope_scaling": scaling, "rope_theta": 5.0})
    assert whole == {"type": "linear", "factor": 2.0, "rope_type": "linear", "rope_theta": 5.0}
    assert scaling == {"type": "linear", "factor": 2.0}


@pytest.mark.parametrize("path", ["/etc", "../other", "a/../../b", 5, None, "x\0y"])
def test_a_pooling_module_elsewhere_is_refused(path: object, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "x.Pooling", "path": path}]))
    with pytest.raises(Unsupported, match=r"modules\.json"):
        write_qwen_pooling(KeyValues(), tmp_path, {}, "qwen2")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '"\udc80"'])
def test_modules_that_are_no_json_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(MalformedSource, match=r"modules\.json"):
        write_qwen_pooling(KeyValues(), tmp_path, {}, "qwen2")


def test_golden_answers_cover_every_case() -> None:
    assert list(_HPARAMS) == list(cases.HPARAMS)
    assert sum(rows is not None for rows in _HPARAMS.values()) > 150
    assert list(_TINY) == list(MODELS)
