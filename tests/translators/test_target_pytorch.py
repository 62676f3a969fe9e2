"""pytorch/: files as torch.save lays them out, read back; torch itself read the same ones (digests)."""

from __future__ import annotations

import hashlib
import json
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_models import build
from tests.tiny_variants import MODELS
from tests.translators.memory import Memory
from tests.translators.test_target_folders import tensors, written
from translators import Plan, Refusal, folders, open_model, plans
from translators.dtypes import BF16, DTYPES, F16, F32
from translators.errors import Unsupported
from translators.layout import Layout
from translators.reading import SourceFiles
from translators.recipes import fill, nbytes, read_bytes, stored
from translators.sources import pytorch as source
from translators.targets import pytorch
from translators.targets.hf_folders import sharded
from translators.targets.pytorch import NAME
from translators.targets.torch_file import layout_of

# What torch 2.13 loaded from this file, with weights_only, mapped and not, had the values below.
EVERY = Path(__file__).resolve().parent / "golden_pytorch" / "written.json"
MODEL = "llama-mha"
_TYPES = (
    "F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "C64", "F8_E4M3", "F8_E5M2",
    "F8_E8M0", "U16", "U32", "U64",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(MODELS[MODEL], tmp_path_factory.mktemp("source"))


def every_type() -> Layout:
    """A file of zeros of every type, and of odd shapes and names, without any source."""
    made = [(f"of.{name}", fill((2, 3), DTYPES[name])) for name in _TYPES]
    odd = [
        ("scalar", fill((), F32, 2.5)),
        ("empty", fill((0, 4), F16)),
        ("gewicht.ü.重", fill((300,), BF16, 1.0)),
    ]
    many = [("deep", fill((1, 2, 3, 4, 7_000), F16, 0.5))]
    return layout_of((), [*made, *odd, *many], "pytorch_model")


def test_a_file_is_the_one_that_torch_read() -> None:
    layout, golden = every_type(), json.loads(EVERY.read_text())
    data = layout.read(0, layout.size)
    assert [len(data), hashlib.sha256(data).hexdigest()] == [golden["size"], golden["sha256"]]


def test_weights_are_the_sources(folder: Path, tmp_path: Path) -> None:
    made = written(folder, NAME, tmp_path)
    before = tensors(folder)
    model = open_model(made)
    files = SourceFiles(model.files)
    for name, each in model.tensors.items():
        recipe = stored(each)
        data = bytes(read_bytes(recipe, 0, nbytes(recipe), files))
        assert (each.dtype.name, list(each.shape), data) == before[name]
    files.close()
    assert list(model.tensors) == list(open_model(folder).tensors)
    rest = {path.name for path in folder.iterdir() if "safetensors" not in path.name}
    assert {path.name for path in made.iterdir()} == rest | {"pytorch_model.bin"}


def test_there_and_back_is_the_same_gguf(folder: Path, tmp_path: Path) -> None:
    made = written(folder, NAME, tmp_path)
    again = made.rename(tmp_path / folder.name)
    before, after = plans(open_model(folder)), plans(open_model(again))
    names = [name for name in before if name.startswith("model.gguf-") and isinstance(before[name], Plan)]
    for name in (each for each in names if each.endswith(("bf16", "q8_0", "f32"))):
        one, other = before[name], after[name]
        assert isinstance(one, Plan)
        assert isinstance(other, Plan)
        assert one.layout().read(0, one.size) == other.layout().read(0, other.size)


def test_records_are_plain_aligned_and_where_the_directory_says(folder: Path, tmp_path: Path) -> None:
    path = written(folder, NAME, tmp_path) / "pytorch_model.bin"
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            if "/data/" not in entry.filename:
                assert archive.read(entry)
            else:
                assert entry.CRC == 0
    model = source.read(path.parent, [path.name], "m")
    assert {each.extent.offset % 64 for each in model.tensors.values()} == {0}


def test_archives_beyond_4_gib(tmp_path: Path) -> None:
    """Sizes and offsets in the wide fields; nothing of the data is read."""
    large = fill((1 << 30, 5), F32)
    layout = layout_of((), [("a", large), ("b", fill((3,), F32, 1.5)), ("c", large)], "x")
    path, rest = tmp_path / "m.bin", 8192
    tail = layout.read(layout.size - rest, rest)
    with path.open("wb") as file:
        file.write(layout.read(0, rest))
        file.truncate(layout.size - rest)
        file.seek(nbytes(large))
        file.write(layout.read(nbytes(large), rest))
        file.seek(layout.size - rest)
        file.write(tail)
    model = source.read(tmp_path, [path.name], "m")
    extents = {name: each.extent for name, each in model.tensors.items()}
    assert [extents[name].length for name in "abc"] == [nbytes(large), 12, nbytes(large)]
    assert all(extent.offset % 64 == 0 for extent in extents.values())
    assert layout.read(extents["b"].offset, 12) == bytes.fromhex("0000c03f") * 3


def test_shards_have_an_index(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pytorch, "sharded", partial(sharded, limit=500_000))
    made = written(folder, NAME, tmp_path)
    shards = sorted(path.name for path in made.glob("*.bin"))
    assert len(shards) > 1
    assert shards[0] == f"pytorch_model-00001-of-{len(shards):05d}.bin"
    model = open_model(made)
    assert (model.weights, list(model.tensors)) == (len(shards), list(open_model(folder).tensors))


def test_what_torch_has_not_is_refused() -> None:
    packed = Memory().put(np.zeros(34, np.uint8), "Q8_0", (32,))
    with pytest.raises(Unsupported, match="no type for Q8_0"):
        layout_of((), [("w", packed)], "x")


def test_which_models_have_it(folder: Path, tmp_path: Path) -> None:
    assert NAME in folders(open_model(folder))
    bare = tmp_path / "model.safetensors"
    bare.write_bytes(next(folder.glob("*.safetensors")).read_bytes())
    assert folders(open_model(tmp_path))["pytorch/"] == Refusal("pytorch/", "there is no config.json")
