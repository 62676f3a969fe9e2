"""Folders of transformers' Flax and TensorFlow classes: in PyTorch's names, or with a reason in their own."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.oracle.renamed.check import GOLDEN, differing, state_of
from translators import Plan, Refusal, open_model, plans
from translators.dtypes import DTYPES
from translators.model import Extent, FileIdentity, Model, Tensor
from translators.plan import Folder
from translators.recipes import Stored, stored, transpose2d
from translators.sources.renamed import FLAX, GOOGLE, KERAS, Framework, renamed
from translators.targets import folders

# What transformers 4.57.6's PyTorch classes make of each folder: digests, shapes, shared storages.
STATES: dict[str, dict[str, list[Any]]] = json.loads((GOLDEN / "states.json").read_text())
BERT = {"model_type": "bert", "architectures": ["BertForMaskedLM"]}
QUERY = "bert/encoder/layer/0/attention/self/query"
KERAS_QUERY = "bert/encoder/layer_._0/attention/self/query"


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("golden")
    with zipfile.ZipFile(GOLDEN / "folders.zip") as archive:
        archive.extractall(directory)
    return directory


def named(
    root: Path, framework: Framework, tensors: dict[str, tuple[int, ...]], config: object = BERT
) -> Model:
    """A model of tensors of these names and shapes, beside that configuration."""
    if config is not None:
        (root / "config.json").write_text(json.dumps(config))
    made = {name: Tensor(name, DTYPES["F32"], shape, Extent(0, 0, 4)) for name, shape in tensors.items()}
    return renamed(Model(root, "m", "flax", (FileIdentity(b"/m", 4, 0, 0),), 1, made), framework)


def shapes(model: Model) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in model.tensors.items()}


@pytest.mark.parametrize("name", STATES)
def test_tensors_are_those_of_pytorchs_class(golden: Path, name: str) -> None:
    model = open_model(golden / name)
    assert (model.unrenamed, model.config["model_type"]) == (None, model.config["model_type"])
    assert differing(state_of(model), STATES[name]) == []
    assert list(model.tensors) == sorted(model.tensors)
    assert all(name == tensor.name for name, tensor in model.tensors.items())


def test_every_target_of_a_checkpoint_follows(golden: Path) -> None:
    model = open_model(golden / "flax/LlamaForCausalLM")
    found = {name for name, each in folders(model).items() if isinstance(each, Folder)}
    assert {"hf-bf16", "mlx-4bit", "pytorch"} <= found
    # All that the GGUF lacks is a tokenizer.
    refusal = plans(model)["model.gguf-*"]
    assert isinstance(refusal, Refusal)
    assert "tokenizer.model" in refusal.reason


def test_a_folder_of_an_unknown_kind_keeps_its_names_and_says_why(golden: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(golden / "flax/BertForPreTraining", tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "wav2vec2"}))
    model = open_model(folder)
    assert "bert/embeddings/LayerNorm/scale" in model.tensors
    found = plans(model)
    assert isinstance(found["model.safetensors"], Plan)
    refused = (found["model.gguf-*"], folders(model)["hf-bf16/"])
    for each in refused:
        assert isinstance(each, Refusal)
        assert "what PyTorch calls the tensors of a model of type 'wav2vec2' is not known" in each.reason
    assert "from_flax=True" in refused[0].remedy  # type: ignore[union-attr]


def test_a_transpose_is_undone_where_a_family_transposes(tmp_path: Path) -> None:
    model = named(tmp_path, FLAX, {f"{QUERY}/kernel": (4, 6)})
    (tensor,) = model.tensors.values()
    assert (tensor.shape, tensor.name) == ((6, 4), f"{QUERY}/weight".replace("/", "."))
    undone = transpose2d(stored(tensor))
    assert isinstance(undone, Stored)
    assert undone.shape == (4, 6)


def test_a_base_models_file_gets_the_prefix_of_a_class_with_a_head(tmp_path: Path) -> None:
    found = named(tmp_path, FLAX, {"embeddings/LayerNorm/scale": (4,), "pooler/dense/bias": (4,)})
    assert list(found.tensors) == ["bert.embeddings.LayerNorm.weight", "bert.pooler.dense.bias"]


@pytest.mark.parametrize(
    ("framework", "name"),
    [(FLAX, "bert/embeddings/LayerNorm/scale"), (KERAS, "tf_bert_1/bert/embeddings/LayerNorm/gamma:0")],
)
def test_a_file_with_a_head_loses_the_prefix_for_the_base_models_class(
    tmp_path: Path, framework: Framework, name: str
) -> None:
    found = named(tmp_path, framework, {name: (4,)}, {**BERT, "architectures": ["BertModel"]})
    assert list(found.tensors) == ["embeddings.LayerNorm.weight"]


def test_of_several_copies_of_a_variable_the_last_counts(tmp_path: Path) -> None:
    names = [f"{layer}/{KERAS_QUERY}/kernel:0" for layer in ("m", "n")]
    found = named(tmp_path, KERAS, dict.fromkeys(names, (4, 6)))
    assert shapes(found) == {f"{QUERY}/weight".replace("/", "."): (6, 4)}


@pytest.mark.parametrize(
    ("framework", "tensors", "reason"),
    [
        (FLAX, {f"{QUERY}/kernel": (2, 4, 4)}, "3 axes are not those of one layer's 'kernel'"),
        (FLAX, {"bert/encoder/layer/LayerNorm/scale": (2, 4)}, "2 axes are not those of one layer's 'scale'"),
        (FLAX, {f"params/{QUERY}/kernel": (4, 4)}, "transformers has no such tensor"),
        (FLAX, {f"{QUERY}/kernel": (4, 4), f"opt_state/0/mu/{QUERY}/kernel": (4, 4)}, "no such tensor"),
        (FLAX, {f"{QUERY}/kernel": (4, 4), "embeddings/LayerNorm/scale": (4,), "x/scale": (4,)}, "no such"),
        (FLAX, {f"{QUERY}/lora_a": (4, 4)}, "what PyTorch calls 'lora_a' is not known here"),
        (FLAX, {f"{QUERY}/scale": (4,), f"{QUERY}/weight": (4,)}, "another tensor is"),
        (KERAS, {f"m/{KERAS_QUERY}/kernel:0": (1, 2, 3, 4)}, "4 axes"),
        (KERAS, {f"m/{KERAS_QUERY}/bias:0": (2, 4)}, "a bias of 2 rows"),
        (KERAS, {f"m{each}/{KERAS_QUERY}/bias:0": (each + 3,) for each in range(2)}, "another tensor is"),
        (KERAS, {"dense_1/kernel:0": (4, 4)}, "transformers has no such tensor"),
        (KERAS, {"": (4, 4)}, "what PyTorch calls '' is not known here"),
        (KERAS, {"a/b/c/": (4,)}, "what PyTorch calls '' is not known here"),
    ],
)
def test_what_is_not_certain_is_not_guessed(
    tmp_path: Path, framework: Framework, tensors: dict[str, tuple[int, ...]], reason: str
) -> None:
    model = named(tmp_path, framework, tensors)
    assert model.unrenamed is not None
    assert reason in model.unrenamed.reason
    assert model.unrenamed.place
    assert framework.option in model.unrenamed.remedy
    assert (shapes(model), model.config) == (tensors, {})


@pytest.mark.parametrize(
    "config", [{}, {"model_type": 3}, {"model_type": None}, {"model_type": "x" * 9000}, []]
)
def test_configurations_that_tell_nothing(tmp_path: Path, config: object) -> None:
    model = named(tmp_path, FLAX, {f"{QUERY}/bias": (4,)}, config)
    assert (model.unrenamed is None) == (config == {})
    assert list(model.tensors) == [f"{QUERY}/bias"]
    assert len(str(model.unrenamed)) < 500


def test_without_a_configuration_there_is_nothing_to_say(tmp_path: Path) -> None:
    model = named(tmp_path, FLAX, {f"{QUERY}/bias": (4,)}, None)
    assert (model.unrenamed, model.config) == (None, {})


@pytest.mark.parametrize("classes", [None, [], "BertModel", [3], {}])
def test_odd_architectures_are_not_a_base_model(tmp_path: Path, classes: object) -> None:
    model = named(tmp_path, KERAS, {f"m/{KERAS_QUERY}/bias:0": (4,)}, {**BERT, "architectures": classes})
    assert list(model.tensors) == [f"{QUERY}/bias".replace("/", ".")]


def test_googles_bert_is_a_folder_of_transformers(golden: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(golden / "google/BertForPreTraining", tmp_path / "m")
    model = open_model(folder)
    assert {os.fsdecode(file.path).rpartition("/")[2] for file in model.files} >= {"bert_config.json"}
    found = plans(model)
    assert json.loads(whole(found["config.json"])) == model.config
    assert model.config["architectures"] == ["BertForMaskedLM"]
    assert json.loads(whole(found["tokenizer_config.json"]))["do_lower_case"] is True
    assert isinstance(folders(model)["hf-f16"], Folder)
    (folder / "vocab.txt").write_text("[PAD]\n<S>\nBerlin\n")
    assert json.loads(whole(plans(open_model(folder))["tokenizer_config.json"]))["do_lower_case"] is False
    # What lies there is taken as it is.
    (folder / "tokenizer_config.json").write_text("{}")
    assert "tokenizer_config.json" not in plans(open_model(folder))
    (folder / "config.json").write_text(json.dumps({**BERT, "architectures": ["BertModel"]}))
    model = open_model(folder)
    assert ("embeddings.LayerNorm.bias" in model.tensors, model.made) == (True, {})


def test_a_checkpoint_of_something_else_beside_berts_configuration(golden: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(golden / "google/BertForPreTraining", tmp_path / "m")
    for told, reason in (("[1]", "no JSON object"), ('{"model_type": "gpt2"}', "")):
        (folder / "bert_config.json").write_text(told)
        model = open_model(folder)
        assert reason == "" or (model.unrenamed is not None and reason in model.unrenamed.reason)
    (folder / "bert_config.json").unlink()
    model = open_model(folder)
    assert (model.unrenamed, model.config) == (None, {})
    assert "bert/embeddings/word_embeddings/adam_m" in model.tensors
    found = named(tmp_path, GOOGLE, {"output_weights": (2, 4)})
    assert found.unrenamed is not None
    assert "no such tensor" in found.unrenamed.reason
    found = named(tmp_path, GOOGLE, {"bert/embeddings/word_embeddings": (4,)})
    assert found.unrenamed is not None
    assert "1 axes are not" in found.unrenamed.reason


def whole(plan: object) -> bytes:
    assert isinstance(plan, Plan)
    with closing(plan.layout()) as layout:
        return layout.read(0, layout.size)
