"""Adapters of quantised models: merged as into a folder of the weights that these mean, in any range."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

import translators
from tests.oracle.families.side_files import PRINTS
from tests.oracle.lora.comparing import digest
from tests.tiny_adapters import TinyAdapter, build
from tests.tiny_bases import BASES
from tests.tiny_quantised import Part, save
from translators.errors import Unsupported
from translators.model import Model
from translators.quantised.plain import plain
from translators.reading import SourceFiles
from translators.recipes import nbytes, read_bytes, stored
from translators.vocab.pretokenizers import NAMES

MOE = ("q_proj", "mlp.experts.1.down_proj", "mlp.experts.3.gate_proj")
BLOCKS = [name for name in BASES if "nvfp4" in name]


def whole(model: Model, name: str) -> translators.Layout:
    """The layout of a form."""
    plan = translators.plans(model)[name]
    assert isinstance(plan, translators.Plan), f"{name}: {plan.reason}"
    return plan.layout()


def dequantised(base: Path, folder: Path) -> None:
    """Write a base as a plain folder: its weights as they are meant, without a word of quantisation."""
    model = translators.open_model(base)
    sources = SourceFiles(model.files)
    parts = {
        name: Part(recipe.dtype.name, recipe.shape, read_bytes(recipe, 0, nbytes(recipe), sources).tobytes())
        for name, recipe in sorted(plain(model).tensors.items())
    }
    sources.close()
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors", "hf_quant_config.json"))
    save(folder / "model.safetensors", parts)
    config = json.loads((base / "config.json").read_text())
    del config["quantization_config"]
    own = {"F16": "float16", "BF16": "bfloat16"}[parts["model.embed_tokens.weight"].dtype]
    (folder / "config.json").write_text(json.dumps({**config, "torch_dtype": own}))


@pytest.fixture(autouse=True)
def vocabularies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders' tiny vocabularies, which no converter knows."""
    for fingerprint, name in PRINTS.items():
        monkeypatch.setitem(NAMES, fingerprint, name)


@pytest.mark.parametrize("name", [name for name in BASES if name not in BLOCKS])
def test_a_quantised_base_is_merged_into_as_one_that_nobody_quantised(name: str, tmp_path: Path) -> None:
    adapter = TinyAdapter("adapter", base=name, targets=MOE if "moe" in name else ("q_proj", "down_proj"))
    folder = build(adapter, tmp_path)
    merged = translators.open_model(folder)
    dequantised(tmp_path / name, tmp_path / "plain" / name)
    reference = translators.open_model(folder, base=tmp_path / "plain" / name)
    assert merged.config == reference.config
    layout, expected = whole(merged, "model.safetensors"), whole(reference, "model.safetensors")
    everything, choose = layout.read(0, layout.size), random.Random(name)
    assert everything == expected.read(0, expected.size)
    for _ in range(20):
        start, length = choose.randrange(layout.size), choose.choice((1, 7, 4096, 131072))
        assert layout.read(start, length) == everything[start : start + length], (start, length)
    # Weights that the adapter does not touch are those of the dequantised model, and no others.
    alone = translators.open_model(tmp_path / "plain" / name)
    changed = [each for each in sorted(merged.tensors) if adapted(each, adapter)]
    kept = sorted(set(merged.tensors) - set(changed))
    assert digest(merged, kept) == digest(alone, kept)
    assert all(digest(merged, [each]) != digest(alone, [each]) for each in changed)
    own = "model.gguf-" + alone.tensors["model.embed_tokens.weight"].dtype.name.lower()
    forms = (own,) if "moe" in name else (own, "adapter.gguf-f16")
    for ours, its in ((whole(merged, form), whole(reference, form)) for form in forms):
        assert ours.read(0, ours.size) == its.read(0, its.size)


def test_a_folder_of_mlx_is_a_quantised_base_too(tmp_path: Path) -> None:
    adapter = TinyAdapter("adapter", targets=("q_proj", "down_proj"))
    folder = build(adapter, tmp_path)
    original = translators.open_model(tmp_path / adapter.base)
    for name, plan in translators.plans(original, "mlx-4bit").items():
        assert isinstance(plan, translators.Plan)
        layout = plan.layout()
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(layout.read(0, layout.size))
    base = translators.open_model(tmp_path / "mlx-4bit")
    merged = translators.open_model(folder, base=tmp_path / "mlx-4bit")
    assert not {"quantization", "quantization_config"} & merged.config.keys()
    parts = plain(base).tensors
    assert {name: each.shape for name, each in merged.tensors.items()} == {
        name: each.shape for name, each in original.tensors.items()
    }
    kept = "model.layers.1.mlp.up_proj.weight"
    recipe, changed = stored(merged.tensors[kept]), stored(merged.tensors[kept.replace("up", "down")])
    sources = SourceFiles(merged.files)
    expected = read_bytes(parts[kept], 0, nbytes(parts[kept]), sources)
    assert np.array_equal(read_bytes(recipe, 0, nbytes(recipe), sources), expected)
    before = parts[kept.replace("up", "down")]
    assert not np.array_equal(
        read_bytes(changed, 0, nbytes(changed), sources), read_bytes(before, 0, nbytes(before), sources)
    )
    sources.close()


def adapted(weight: str, adapter: TinyAdapter) -> bool:
    return weight.removesuffix(".weight").endswith(tuple(f".{target}" for target in adapter.targets))


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_that_only_a_gguf_has_are_refused_by_name(name: str, tmp_path: Path) -> None:
    folder = build(TinyAdapter("adapter", base=name), tmp_path)
    with pytest.raises(Unsupported, match="NVFP4") as caught:
        translators.open_model(folder)
    assert "own precision" in (caught.value.remedy or "") and name in (caught.value.path or "")


def test_a_way_of_quantisation_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    folder = build(TinyAdapter("adapter", base="tiny-awq"), tmp_path)
    path = tmp_path / "tiny-awq" / "config.json"
    config = json.loads(path.read_text())
    for key, method in (
        ("quantization_config", {"quant_method": "x"}),
        ("compression_config", {"format": "x"}),
    ):
        path.write_text(json.dumps({**config, "quantization_config": None, key: method}))
        with pytest.raises(Unsupported, match="quantised"):
            translators.open_model(folder)


def test_what_modelopt_says_beside_the_base_is_not_said_of_the_merged_model(tmp_path: Path) -> None:
    """Neither in the folder's configuration, nor in that of a model within it, nor as a file."""
    name = "tiny-fp8-modelopt"
    folder = build(TinyAdapter("adapter", base=name, targets=("q_proj",)), tmp_path)
    path = tmp_path / name / "config.json"
    config = json.loads(path.read_text())
    settings = config.pop("quantization_config")
    told = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8"}}
    (tmp_path / name / "hf_quant_config.json").write_text(json.dumps(told))
    path.write_text(json.dumps(config))
    expected = translators.open_model(folder)
    digests = digest(expected, sorted(expected.tensors))
    assert "hf-bf16/config.json" in translators.plans(expected, "hf-bf16")
    assert "hf-bf16/hf_quant_config.json" not in translators.plans(expected, "hf-bf16")
    (tmp_path / name / "hf_quant_config.json").unlink()
    path.write_text(json.dumps({**config, "text_config": {"quantization_config": settings}}))
    merged = translators.open_model(folder)
    assert merged.config["text_config"] == {}
    assert digest(merged, sorted(merged.tensors)) == digests
