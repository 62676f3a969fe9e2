"""Checkpoints that nobody should trust: nothing of them runs, memory stays bounded, a refusal says why.

Code that comes with a model, traps that want `trust_remote_code`, and configurations of absurd sizes. What a
configuration says need not be refused where upstream would write it too; it must never be more than a number.
"""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import translators
from tests.tiny_models import build
from tests.tiny_variants import MODELS

NAME = "llama-mha"  # heads decide about its rows
MEMORY = 96 << 20
CODE = """
import os, pathlib
pathlib.Path({marker!r}).write_text("ran")
os._exit(77)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build(MODELS[NAME], tmp_path)


def edit(folder: Path, changes: Mapping[str, Any], file: str = "config.json") -> None:
    path = folder / file
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, **changes}))


def outcome(folder: Path) -> dict[str, translators.Plan | translators.Refusal]:
    """What the folder can appear as, found out without importing anything of it."""
    modules = set(sys.modules)
    plans = translators.plans(translators.open_model(folder))
    for plan in plans.values():
        if isinstance(plan, translators.Plan) and plan.name in ("model.gguf-bf16", "model.gguf-q4_k_m"):
            plan.layout().close()
    assert not [name for name in set(sys.modules) - modules if "modeling" in name or "tokenization" in name]
    return plans


def refused(plans: Mapping[str, translators.Plan | translators.Refusal]) -> bool:
    """Whether there is no GGUF at all, while the weights still are there."""
    assert isinstance(plans["model.safetensors"], translators.Plan)
    return isinstance(plans.get("model.gguf-*"), translators.Refusal)


def test_code_beside_a_model_never_runs(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    code = CODE.format(marker=str(marker))
    for name in ("modeling_qwen3.py", "tokenization_qwen3.py", "__init__.py", "setup.py", "conftest.py"):
        (folder / name).write_text(code)
    where = {"AutoModelForCausalLM": "modeling_qwen3.LlamaForCausalLM", "AutoConfig": "configuration_qwen3.C"}
    edit(folder, {"auto_map": where, "trust_remote_code": True})
    edit(folder, {"auto_map": {"AutoTokenizer": ["tokenization_qwen3.T", None]}}, "tokenizer_config.json")
    plans = outcome(folder)
    assert not marker.exists()
    # The tables say what this architecture is; what the code says is nobody's business.
    assert isinstance(plans["model.gguf-bf16"], translators.Plan)


def test_a_tokenizer_that_is_code_alone_is_refused(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for name in ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer.model"):
        (folder / name).unlink(missing_ok=True)
    (folder / "tokenization_custom.py").write_text(CODE.format(marker=str(marker)))
    edit(folder, {"auto_map": {"AutoTokenizer": ["tokenization_custom.T", None]}}, "tokenizer_config.json")
    assert refused(outcome(folder))
    assert not marker.exists()


def test_an_architecture_that_is_code_alone_is_refused_by_name(folder: Path) -> None:
    edit(
        folder,
        {"architectures": ["EvilForCausalLM"], "auto_map": {"AutoModel": "evil--repo--m.EvilForCausalLM"}},
    )
    plans = outcome(folder)
    assert refused(plans)
    refusal = plans["model.gguf-*"]
    assert isinstance(refusal, translators.Refusal)
    assert "EvilForCausalLM" in refusal.reason


@pytest.mark.parametrize("key", ["num_hidden_layers", "num_attention_heads", "num_key_value_heads"])
def test_a_count_that_is_none_or_absurd_is_refused(folder: Path, key: str) -> None:
    content = (folder / "config.json").read_text()
    for value in (10**9, 2**31 - 1, 2**63, 10**400, -1, -(10**9), 0, 0.5, 1e308, "10", [], {}, True):
        (folder / "config.json").write_text(content)
        edit(folder, {key: value})
        assert refused(outcome(folder)), value


@pytest.mark.parametrize("change", [{"num_hidden_layers": 10**9}, {"num_attention_heads": 2**31 - 2}])
def test_absurd_counts_cost_no_memory(folder: Path, change: Mapping[str, Any]) -> None:
    edit(folder, change)
    tracemalloc.start()
    try:
        outcome(folder)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


KEYS = (
    "hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings", "head_dim", "rms_norm_eps",
    "rope_theta", "rope_scaling", "sliding_window", "bos_token_id", "architectures", "layer_types",
    "quantization_config", "text_config",
)  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_no_value_of_a_configuration_does_harm(folder: Path, key: str) -> None:
    content = (folder / "config.json").read_text()
    for value in (10**30, -1, 0, 1e308, "x" * 100_000, [0] * 10_000, [[]], {"a": {}}, None, True):
        (folder / "config.json").write_text(content)
        edit(folder, {key: value})
        assert "model.safetensors" in outcome(folder), value


@pytest.mark.parametrize("depth", [10_000, 1_000_000])
def test_deep_nesting_is_an_error_of_ours(folder: Path, depth: int) -> None:
    (folder / "config.json").write_text('{"architectures": ' + "[" * depth + "]" * depth + "}")
    with pytest.raises(translators.TranslationError):
        outcome(folder)


@pytest.mark.parametrize("settings", [{"_name_or_path": "/etc/passwd"}, {"tokenizer_class": "../../evil"}])
def test_paths_in_a_configuration_are_not_followed(folder: Path, settings: Mapping[str, Any]) -> None:
    edit(folder, settings)
    edit(folder, {**settings, "tokenizer_file": "/etc/shadow"}, "tokenizer_config.json")
    assert isinstance(outcome(folder)["model.gguf-bf16"], translators.Plan)
