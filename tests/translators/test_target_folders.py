"""hf-bf16, hf-f16, hf-f32 of checkpoints and of GGUFs, read by the safetensors library."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors import deserialize

from tests.tiny_models import build, stored
from tests.tiny_variants import MODELS
from translators import Layout, Plan, Refusal, folders, open_model, plans
from translators.dtypes import BF16, F16
from translators.recipes import fill
from translators.sources.modules import LARGEST, module_files
from translators.targets.hf_folders import index_of, sharded

CHECKPOINTS = ("llama-mha", "Biased-llama-1.5b")
FOLDERS = ("hf-bf16", "hf-f16", "hf-f32")
_BITS = {"F16": np.float16, "F32": np.float32}


@pytest.fixture(scope="module", params=CHECKPOINTS)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name = str(request.param)
    return build(MODELS[name], tmp_path_factory.mktemp("source") / name)


def content(layout: Layout) -> bytes:
    data = bytearray(layout.size)
    layout.read_into(0, memoryview(data))
    layout.close()
    return bytes(data)


def written(source: Path, folder: str, directory: Path) -> Path:
    """A directory of the model at `source` as plain files."""
    for name, plan in plans(open_model(source), folder).items():
        assert isinstance(plan, Plan), plan
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content(plan.layout()))
        assert target.stat().st_size == plan.size
    return directory / folder


def tensors(folder: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """By name: type, shape and bytes, as the safetensors library reads the folder's weights."""
    return {
        name: (found["dtype"], found["shape"], bytes(found["data"]))
        for path in sorted(folder.glob("*.safetensors"))
        for name, found in deserialize(path.read_bytes())
    }


def floats(dtype: str, data: bytes) -> np.ndarray:
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, _BITS[dtype]).astype("<f4")


@pytest.mark.parametrize("folder", FOLDERS)
def test_weights_are_the_sources_rounded_once(source: Path, folder: str, tmp_path: Path) -> None:
    dtype = folder.removeprefix("hf-").upper()
    before, after = tensors(source), tensors(written(source, folder, tmp_path))
    assert set(before) == set(after)
    for name, (kind, shape, data) in before.items():
        assert after[name] == (dtype, shape, stored(floats(kind, data), dtype)), name


def test_the_configuration_tells_the_precision_and_everything_else_goes_along(
    source: Path, tmp_path: Path
) -> None:
    folder = written(source, "hf-f16", tmp_path)
    before = json.loads((source / "config.json").read_text())
    assert json.loads((folder / "config.json").read_text()) == before | {"torch_dtype": "float16"}
    rest = {path.name for path in source.iterdir() if "safetensors" not in path.name}
    assert {path.name for path in folder.iterdir()} == rest | {"model.safetensors"}
    for name in rest - {"config.json"}:
        assert (folder / name).read_bytes() == (source / name).read_bytes(), name


def test_a_gguf_gives_the_same_folder(source: Path, tmp_path: Path) -> None:
    form = next(plan for plan in plans(open_model(source)).values() if isinstance(plan, Plan) and plan.own
                and "gguf" in plan.name)  # fmt: skip
    gguf = tmp_path / "made.gguf"
    gguf.write_bytes(content(form.layout()))
    assert tensors(written(gguf, "hf-f32", tmp_path / "gguf")) == tensors(
        written(source, "hf-f32", tmp_path / "folder")
    )


def with_modules(folder: Path, *paths: object) -> Path:
    """A checkpoint whose modules.json names these paths."""
    source = build(MODELS["llama-mha"], folder)
    modules = [
        {"idx": number, "path": path, "type": "sentence_transformers.models.Dense"}
        for number, path in enumerate(paths)
    ]
    (source / "modules.json").write_text(json.dumps(modules))
    return source


@pytest.mark.parametrize("folder", ["hf-bf16", "pytorch", "onnx-fp32"])
def test_modules_of_sentence_transformers_go_along(folder: str, tmp_path: Path) -> None:
    source = with_modules(tmp_path / "source", "1_Pooling", "2_Dense/", "3_Normalize")
    along = {
        "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
        "2_Dense/config.json": b"{}",
        "2_Dense/model.safetensors": b"weights",
        "4_Other/config.json": b"{}",
        "2_Dense/.hidden.json": b"{}",
        "2_Dense/deep/config.json": b"{}",
        "2_Dense/optimizer.dat": b"large",
    }
    for name, data in along.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    with (source / "2_Dense" / "large.bin").open("wb") as file:
        file.truncate(LARGEST + 1)
    (source / "3_Normalize").mkdir()
    found = {
        name.removeprefix(f"{folder}/"): plan
        for name, plan in plans(open_model(source), folder).items()
        if name.removeprefix(f"{folder}/")[0].isdecimal()
    }
    expected = ["1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"]
    assert sorted(found) == expected
    for name, plan in found.items():
        assert isinstance(plan, Plan)
        assert content(plan.layout()) == along[name]
    named = {Path(file.shown).relative_to(source).as_posix() for file in open_model(source).files}
    assert set(expected) <= named


def test_modules_that_lead_elsewhere_stay_behind(tmp_path: Path) -> None:
    outside = tmp_path / "1_Outside"
    outside.mkdir()
    (outside / "config.json").write_text("{}")
    names = (
        "../1_Outside", str(outside), "1_Link", "1_A/../../1_Outside", "", ".", "1_\0", "1_File", 7, None
    )  # fmt: skip
    source = with_modules(tmp_path / "source", *names)
    (source / "1_Link").symlink_to(outside)
    (source / "1_File").write_text("{}")
    assert module_files(source) == ()
    for text in ("{", "[" * 100_000, "{}", "[1, [], null]", " " * (2 << 20) + "[]"):
        (source / "modules.json").write_text(text)
        assert module_files(source) == ()
    (source / "modules.json").unlink()
    os.mkfifo(source / "modules.json")
    assert module_files(source) == ()


def test_which_directories_there_are(source: Path, tmp_path: Path) -> None:
    assert set(FOLDERS) <= folders(open_model(source)).keys()
    assert plans(open_model(source), "hf-f64") == {}
    bare = tmp_path / "bare"
    bare.mkdir()
    weights = next(source.glob("*.safetensors"))
    (bare / "model.safetensors").write_bytes(weights.read_bytes())
    refusals = folders(open_model(bare))
    assert refusals["hf-bf16/"] == Refusal("hf-bf16/", "there is no config.json")
    assert plans(open_model(bare), "hf-bf16") == {}


def test_shards_hold_what_fits_and_the_index_says_where() -> None:
    made = {str(number): fill((size,), F16) for number, size in enumerate((4, 4, 9, 1, 4))}
    shards = sharded(made, "model", "safetensors", 16)
    assert [list(each) for each in shards.values()] == [["0", "1"], ["2"], ["3", "4"]]
    assert next(iter(shards)) == "model-00001-of-00003.safetensors"
    assert index_of(shards)["metadata"] == {"total_size": 44}
    assert sharded({"w": fill((64,), BF16)}, "model", "bin", 16) == {"model.bin": {"w": fill((64,), BF16)}}
