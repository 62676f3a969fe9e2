"""A GGUF whose key-values are of other kinds than they should be has no Hugging Face folder, and says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

import translators
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from translators.keyvalues import Value, ValueType, array, scalar, string

_NAME = "Qwen3-0.6B"


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> translators.Model:
    """A tiny model's own GGUF, opened as a source."""
    root = tmp_path_factory.mktemp("gguf")
    folder = build(MODELS[_NAME], root)
    plan = translators.plans(translators.open_model(folder))["model.gguf-bf16"]
    assert isinstance(plan, translators.Plan)
    layout = plan.layout()
    path = root / "tiny.gguf"
    path.write_bytes(layout.read(0, layout.size))
    layout.close()
    return translators.open_model(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("qwen3.rope.freq_base", string("x")),
        ("qwen3.rope.freq_base", array(ValueType.F32, [])),
        ("qwen3.rope.freq_base", scalar(ValueType.F32, float("nan"))),
        ("qwen3.attention.key_length", array(ValueType.F32, [7.0])),
        ("qwen3.attention.key_length", string("128")),
        ("tokenizer.ggml.eos_token_id", array(ValueType.I32, [1, 2])),
        ("general.sampling.top_p", string("0.9")),
        ("general.sampling.temp", scalar(ValueType.F32, float("inf"))),
    ],
)
def test_key_values_of_another_kind_are_refused(gguf: translators.Model, key: str, value: Value) -> None:
    assert gguf.key_values is not None
    changed = gguf.key_values.copy()
    changed.set(key, value)
    plan = translators.plans(replace(gguf, key_values=changed))["model.safetensors"]
    assert isinstance(plan, translators.Refusal)
    assert key in plan.reason
