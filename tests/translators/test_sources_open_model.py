"""open_model: a directory, a file, a shard of a set; and paths that hold no model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.translators.handmade import gguf, info, shard, u16, write_index
from translators.errors import MissingSource, Unsupported
from translators.sources import open_model

ONE = gguf([], [info("w", [8], 24, 0)], b"12345678")


def _split(number: int) -> bytes:
    pairs = [u16("split.no", number), u16("split.count", 2)]
    return gguf(pairs, [info(f"w{number}", [8], 24, 0)], b"12345678")


def test_a_directory_of_safetensors(tmp_path: Path) -> None:
    root = tmp_path / "A-Model"
    root.mkdir()
    (root / "model.safetensors").write_bytes(shard({"t": b"1"}))
    (root / "a.gguf").write_bytes(ONE)
    model = open_model(root)
    assert (model.name, model.format, list(model.tensors)) == ("A-Model", "safetensors", ["t"])
    assert open_model(str(root) + "/").name == "A-Model"
    assert open_model(root / "model.safetensors").name == "A-Model"
    assert open_model(root / "a.gguf").name == "a"


def test_any_shard_selects_its_set(tmp_path: Path) -> None:
    for number in (0, 1):
        (tmp_path / f"m-0000{number + 1}-of-00002.gguf").write_bytes(_split(number))
        (tmp_path / f"x-0000{number + 1}-of-00002.safetensors").write_bytes(shard({f"t{number}": b"1"}))
        (tmp_path / f"y-0000{number + 1}-of-00002.safetensors").write_bytes(shard({f"t{number}": b"1"}))
    write_index(tmp_path, {f"t{n}": f"y-0000{n + 1}-of-00002.safetensors" for n in (0, 1)}, "y")
    for number in (1, 2):
        model = open_model(tmp_path / f"m-0000{number}-of-00002.gguf")
        assert (model.name, list(model.tensors)) == ("m", ["w0", "w1"])
        for stem in ("x", "y"):
            model = open_model(tmp_path / f"{stem}-0000{number}-of-00002.safetensors")
            assert (model.name, list(model.tensors)) == (stem, ["t0", "t1"])
    with pytest.raises(Unsupported, match="holds 2 models: x, y"):
        open_model(tmp_path)


def test_a_directory_with_one_gguf_has_its_own_name(tmp_path: Path) -> None:
    root = tmp_path / "Quantised"
    root.mkdir()
    (root / "file-q4.gguf").write_bytes(ONE)
    (root / "mmproj-f16.gguf").write_bytes(b"not opened")
    assert open_model(root).name == "Quantised"
    assert open_model(root / "file-q4.gguf").name == "file-q4"


def test_several_ggufs_must_be_named(tmp_path: Path) -> None:
    for name in ("b.gguf", "a.gguf"):
        (tmp_path / name).write_bytes(ONE)
    with pytest.raises(Unsupported, match="holds 2 models: a, b") as caught:
        open_model(tmp_path)
    assert "name the file" in caught.value.remedy
    assert open_model(tmp_path / "b.gguf").name == "b"


def test_an_index_without_shards(tmp_path: Path) -> None:
    write_index(tmp_path, {"t": "model-00001-of-00001.safetensors"})
    for path in (tmp_path, tmp_path / "model.safetensors.index.json"):
        with pytest.raises(MissingSource, match="model-00001-of-00001"):
            open_model(path)


def test_paths_that_hold_no_model(tmp_path: Path) -> None:
    with pytest.raises(MissingSource, match="no weights"):
        open_model(tmp_path)
    with pytest.raises(MissingSource, match="is not there"):
        open_model(tmp_path / "absent")
    with pytest.raises(MissingSource, match="is not there"):
        open_model(tmp_path / "absent.gguf")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(Unsupported, match="holds no weights that are read here"):
        open_model(tmp_path / "notes.txt")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(MissingSource, match="symbolic link"):
        open_model(tmp_path / "loop")


def test_the_working_directory_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "Here-1B"
    root.mkdir()
    (root / "model.safetensors").write_bytes(shard({"t": b"1"}))
    monkeypatch.chdir(root)
    model = open_model(".")
    assert model.name == "Here-1B"
    assert model.files[0].path == os.fsencode(root / "model.safetensors")
    assert open_model("model.safetensors").name == "Here-1B"
