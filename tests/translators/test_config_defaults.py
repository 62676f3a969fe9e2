"""config.json as transformers completes it: against transformers' own answers, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.translators.golden_metadata.configurations import GOLDEN, seen
from translators.errors import MalformedSource, Unsupported
from translators.families.defaults import CLASSES, completed
from translators.families.transformers_names import MODEL_TYPES

_ROWS: list[list[Any]] = json.loads(GOLDEN.read_text())


def test_random_configurations_are_completed_as_by_transformers() -> None:
    assert len(_ROWS) >= 100
    for name, config, expected in _ROWS:
        assert seen(completed(config, Path("models", name))) == expected, json.dumps([name, config])


def test_the_configuration_itself_stays_as_it_is() -> None:
    config = {"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 2.0}}
    before = json.dumps(config)
    whole = completed(config)
    assert json.dumps(config) == before
    assert whole["rope_scaling"]["rope_type"] == "linear"


def test_what_a_bare_llama_gains() -> None:
    whole = completed({"model_type": "llama", "hidden_size": 512, "num_attention_heads": 8})
    assert (whole["head_dim"], whole["num_key_value_heads"], whole["rope_theta"]) == (64, 8, 10000.0)


def test_origin_stays_that_of_the_file() -> None:
    assert completed({"model_type": "qwen3", "_name_or_path": "o/m"}, Path("d"))["_name_or_path"] == "o/m"
    assert "_name_or_path" not in completed({"model_type": "qwen3"}, Path("d"))


def test_a_type_of_transformers_without_known_defaults_is_refused_by_name() -> None:
    for kind in set(MODEL_TYPES) - set(CLASSES):
        with pytest.raises(Unsupported, match=kind):
            completed({"model_type": kind})


def test_a_missing_type_is_looked_for_in_the_directory_name_only() -> None:
    assert "rope_theta" not in completed({}, Path("/data/llama/x7"))
    assert completed({}, Path("/data/x/llama-7b"))["model_type"] == "llama"
    with pytest.raises(Unsupported, match="reformer"):
        completed({}, Path("/data/x/my-reformer"))


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"model_type": "qwen2", "num_hidden_layers": 10**30}, MalformedSource),
        ({"model_type": "ministral", "num_hidden_layers": 10**9, "layer_types": None}, MalformedSource),
        ({"model_type": "llama", "text_config": 5}, MalformedSource),
        ({"model_type": "llama", "configuration_files": ["config.4.0.0.json"]}, Unsupported),
    ],
)
def test_hostile_configurations_are_refused(config: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"config\.json"):
        completed(config)


def test_a_configuration_of_great_depth_stays_as_it_is() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert "rope_theta" not in completed({"model_type": "llama", "extra": deep})
