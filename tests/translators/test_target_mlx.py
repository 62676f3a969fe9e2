"""Folders for mlx-lm, and such folders as sources. That tensors are mlx-lm's own: `make mlx-check`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.oracle.families.variant import load, variants_by_name
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from tests.translators.test_target_folders import floats, tensors, written
from translators import Plan, Refusal, folders, open_model, plans
from translators.errors import MalformedSource, Unsupported
from translators.plan import Folder
from translators.quants.affine import BITS, dequantised, unpacked


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(MODELS["llama-mha"], tmp_path_factory.mktemp("dense") / "llama-mha")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    variant = variants_by_name()["Qwen3-30B-A3B"]
    return variant.build(tmp_path_factory.mktemp("mixed"), load(variant)["inventory"])


def test_two_are_listed_and_every_form_has_a_name(dense: Path) -> None:
    found = {name: each for name, each in folders(open_model(dense)).items() if name.startswith("mlx-")}
    assert [name for name, each in found.items() if isinstance(each, Folder) and each.listed] == [
        "mlx-4bit",
        "mlx-8bit",
    ]
    sizes = ("", "-g32", "-g64", "-g128")
    assert set(found) == {f"mlx-{bits}bit{size}" for bits in BITS for size in sizes}


def test_what_mlx_lm_does_not_run_is_refused_with_the_reason(dense: Path, tmp_path: Path) -> None:
    config = json.loads((dense / "config.json").read_text())
    for change in ({"model_type": "mamba"}, {"architectures": ["LlamaForSequenceClassification"]}):
        folder = tmp_path / str(next(iter(change)))
        folder.mkdir()
        for file in dense.glob("*.safetensors"):
            (folder / file.name).write_bytes(file.read_bytes())
        (folder / "config.json").write_text(json.dumps(config | change))
        model = open_model(folder)
        refusal = folders(model)["mlx-4bit/"]
        assert isinstance(refusal, Refusal)
        assert "mlx-lm" in refusal.reason
        assert plans(model, "mlx-4bit") == {}


def test_experts_are_stacked_and_come_back(mixed: Path, tmp_path: Path) -> None:
    ours = written(mixed, "mlx-4bit-g32", tmp_path)
    config = json.loads((ours / "config.json").read_text())
    assert config["quantization"] == config["quantization_config"]
    form = config["quantization"]
    assert (form["group_size"], form["bits"], form["mode"]) == (32, 4, "affine")
    assert form["model.layers.0.mlp.gate"] == {"group_size": 64, "bits": 8}
    held, source = tensors(ours), tensors(mixed)
    count = config["num_experts"]
    rows, columns = source["model.layers.0.mlp.experts.0.up_proj.weight"][1]
    stacked = "model.layers.0.mlp.switch_mlp.up_proj"
    assert held[f"{stacked}.weight"][:2] == ("U32", [count, rows, columns // 8])
    assert held[f"{stacked}.scales"][:2] == ("BF16", [count, rows, columns // 32])
    back = tensors(written(ours, "hf-f32", tmp_path / "back"))
    assert {name: each[1] for name, each in back.items()} == {name: each[1] for name, each in source.items()}
    for number in range(count):
        name = f"model.layers.0.mlp.experts.{number}.up_proj.weight"
        exact, found = (floats(each[0], each[2]) for each in (source[name], back[name]))
        step = (exact.max() - exact.min()) / 15
        assert np.abs(exact - found).max() < step


def test_a_quantised_folder_gives_what_its_numbers_say(dense: Path, tmp_path: Path) -> None:
    ours = written(dense, "mlx-3bit", tmp_path)
    held, back = tensors(ours), tensors(written(ours, "hf-f32", tmp_path / "back"))
    layer = "model.layers.1.mlp.down_proj"
    codes = unpacked(np.frombuffer(held[f"{layer}.weight"][2], np.uint8), 3).reshape(-1, 64)
    kind = held[f"{layer}.scales"][0]
    scales, biases = (floats(kind, held[f"{layer}.{part}"][2]) for part in ("scales", "biases"))
    assert back[f"{layer}.weight"][2] == dequantised(codes, scales, biases, kind).tobytes()
    gguf = plans(open_model(ours))["model.gguf-q4_k_m"]
    assert isinstance(gguf, Plan)
    assert gguf.size > 0


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"mode": "mxfp4"}, Unsupported),
        ({"bits": "4"}, MalformedSource),
        ({"bits": 8}, MalformedSource),
        ({"group_size": 0}, MalformedSource),
    ],
)
def test_what_is_not_understood_is_refused(
    dense: Path, tmp_path: Path, change: dict[str, object], error: type[Exception]
) -> None:
    ours = written(dense, "mlx-4bit", tmp_path)
    config = json.loads((ours / "config.json").read_text())
    config["quantization"] |= change
    (ours / "config.json").write_text(json.dumps(config))
    with pytest.raises(error):
        plans(open_model(ours), "hf-f32")
