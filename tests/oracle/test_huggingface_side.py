"""The Hugging Face side of a GGUF gives back what the GGUF was made of: no tensor and no figure is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import deserialize

import translators
from tests.oracle.conftest import Folder, Planned, Plans
from tests.oracle.goldens import load
from tests.oracle.huggingface import write_folder
from tests.tiny_smollm2 import NAMES
from tests.tiny_variants import MODELS

# Sources of one dtype, whose norms come back exactly from the F32 that a GGUF holds them in. A GGUF keeps no
# order of merges for a byte-fallback BPE, so of those no folder can be made.
_UNIFORM = [
    name for name, model in MODELS.items() if not model.dtypes and not model.vectors and "gte" not in name
]
_MERGES_LOST = [name for name in _UNIFORM if "tokenizer.json" in MODELS[name].files]
_COME_BACK = [name for name in (*_UNIFORM, NAMES[0]) if name not in _MERGES_LOST]

_FIGURES = (
    "architectures", "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
    "num_attention_heads", "max_position_embeddings", "rms_norm_eps", "rope_theta",
)  # fmt: skip


@pytest.mark.parametrize("name", _COME_BACK)
def test_a_folder_becomes_a_gguf_becomes_the_folder(
    folder: Folder, planned: Planned, tmp_path: Path, name: str
) -> None:
    source = folder(name)
    first = _own_gguf(planned(name), name, tmp_path / "first.gguf")
    made = write_folder(first, tmp_path / "made")

    assert _tensors(made) == _tensors(source)

    before: dict[str, Any] = json.loads((source / "config.json").read_text())
    after: dict[str, Any] = json.loads((made / "config.json").read_text())
    wanted = {"rope_theta": 10000.0, **before}
    if before["model_type"] == "mistral":  # one architecture in a GGUF: what made it is not kept
        wanted |= {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    for key in _FIGURES:
        if key == "rms_norm_eps":  # a GGUF holds it in 32 bits
            assert after[key] == pytest.approx(wanted[key], rel=1e-6)
        else:
            assert after[key] == wanted[key], key
    assert after["num_key_value_heads"] == before.get("num_key_value_heads", before["num_attention_heads"])
    assert after.get("tie_word_embeddings", False) == before.get("tie_word_embeddings", False)

    plans = translators.plans(translators.open_model(made))
    second = _own_gguf(plans, name, tmp_path / "second.gguf")
    assert _contents(second) == _contents(first)


@pytest.mark.parametrize("name", _MERGES_LOST)
def test_a_folder_that_cannot_be_right_is_refused(planned: Planned, tmp_path: Path, name: str) -> None:
    gguf = _own_gguf(planned(name), name, tmp_path / "first.gguf")
    refused = translators.plans(translators.open_model(gguf))["model.safetensors"]
    assert isinstance(refused, translators.Refusal)
    assert "order of merging is lost" in refused.reason


def _own_gguf(plans: Plans, name: str, path: Path) -> Path:
    """Write the GGUF of a model's own precision."""
    plan = plans[f"model.gguf-{load(name)['own']}"]
    assert isinstance(plan, translators.Plan), f"refused: {plan}"
    path.write_bytes(plan.layout().read(0, plan.size))
    return path


def _tensors(folder: Path) -> dict[str, Any]:
    """Every tensor of a folder's shards: dtype, shape and bytes, as the safetensors library reads them."""
    tensors: dict[str, Any] = {}
    for shard in folder.glob("*.safetensors"):
        tensors.update(deserialize(shard.read_bytes()))  # type: ignore[no-untyped-call]
    return tensors


def _contents(path: Path) -> dict[str, Any]:
    """The tensors and the vocabulary of a GGUF, without the order of tensors and the metadata of its name."""
    model = translators.open_model(path)
    assert model.key_values is not None
    whole = path.read_bytes()
    tensors = {
        tensor.name: (tensor.dtype, tensor.shape, whole[tensor.extent.offset :][: tensor.extent.length])
        for tensor in model.tensors.values()
    }
    keys = ("tokens", "token_type", "scores", "merges", "model", "pre", "bos_token_id", "eos_token_id")
    return {**tensors, **{key: model.key_values.get(f"tokenizer.ggml.{key}") for key in keys}}
