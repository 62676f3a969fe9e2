"""weights-only/: NumPy reads its own format, zip programs test it; flax's bytes are flax's (digests)."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_models import build
from tests.tiny_variants import MODELS
from tests.translators.memory import Memory
from tests.translators.test_sources_npz import content
from tests.translators.test_target_folders import CHECKPOINTS, floats, tensors, written
from translators import Plan, Refusal, folders, open_model, plans
from translators.dtypes import BF16, DTYPES, F16, F32
from translators.layout import Layout
from translators.recipes import Recipe, fill, nbytes, read_bytes, sealed, transpose2d
from translators.recipes.checksums import SEAL
from translators.sources.flax import TYPES
from translators.targets import flax_file, npz_file
from translators.targets.weights_only import NAME

# What flax 0.12 wrote of the same tensors, whole and with chunks of 4096 bytes.
FLAX = json.loads((Path(__file__).resolve().parent / "golden_flax" / "written.json").read_text())
_NUMPY = {"F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "BF16"}


@pytest.fixture(scope="module", params=CHECKPOINTS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(MODELS[str(request.param)], tmp_path_factory.mktemp("source"))


def as_numpy_has_it(kind: str, data: bytes) -> bytes:
    return floats(kind, data).tobytes() if kind == "BF16" else data


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(folder, NAME, tmp_path_factory.mktemp("made"))


def whole(layout: Layout) -> bytes:
    return layout.read(0, layout.size)


def test_numpy_reads_the_sources_values(folder: Path, made: Path) -> None:
    before = tensors(folder)
    with np.load(made / "model.npz") as arrays:
        assert set(arrays.files) == set(before)
        assert list(arrays.files) == list(open_model(folder).tensors)
        for name, (kind, shape, data) in before.items():
            assert list(arrays[name].shape) == shape
            assert arrays[name].dtype == (np.float16 if kind == "F16" else np.float32)
            assert arrays[name].tobytes() == as_numpy_has_it(kind, data)


def test_zip_programs_find_every_checksum_right(made: Path) -> None:
    with zipfile.ZipFile(made / "model.npz") as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            assert zlib.crc32(archive.read(entry)) == entry.CRC == SEAL
    data = bytearray((made / "model.npz").read_bytes())
    data[2000] ^= 1
    (made / "broken.npz").write_bytes(data)
    with zipfile.ZipFile(made / "broken.npz") as archive:
        assert archive.testzip() is not None


def test_there_and_back(folder: Path, made: Path) -> None:
    before = tensors(folder)
    flax = open_model(made / "flax_model.msgpack")
    assert content(flax) == {name: data for name, (_, _, data) in before.items()}
    as_numpys = {name: as_numpy_has_it(kind, data) for name, (kind, _, data) in before.items()}
    assert content(open_model(made / "model.npz")) == as_numpys
    assert content(open_model(made / "model.h5")) == as_numpys


@pytest.mark.parametrize("form", ["model.npz", "model.h5"])
def test_an_archive_beside_a_configuration_is_the_same_model(
    folder: Path, made: Path, tmp_path: Path, form: str
) -> None:
    again = tmp_path / folder.name
    again.mkdir()
    for path in folder.iterdir():
        if "safetensors" not in path.name:
            (again / path.name).write_bytes(path.read_bytes())
    (again / form).write_bytes((made / form).read_bytes())
    before, after = (plans(open_model(each))["model.gguf-q8_0"] for each in (folder, again))
    assert isinstance(before, Plan)
    assert isinstance(after, Plan)
    assert before.layout().read(0, before.size) == after.layout().read(0, after.size)


def every() -> dict[str, Recipe]:
    """What golden_flax/regenerate.py has as well."""
    found: dict[str, Recipe] = {
        f"of.{name}": fill((2, 3), DTYPES[type_])
        for name, type_ in TYPES.items()
        if type_ not in ("F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ")
    }
    found["scalar"] = fill((), F32, 2.5)
    found["empty"] = fill((0, 4), F16)
    found["gewicht.ü.重"] = fill((300,), BF16, 1.0)
    found["deep"] = fill((1, 2, 3, 4, 7000), F16, 0.5)
    for size in (1, 2, 4, 8, 100, 116, 118, 200, 256, 300, 65_530, 65_536):
        found[f"bytes.{size}"] = fill((size,), DTYPES["U8"])
    found["tree/of/a"], found["tree/b"] = fill((3,), DTYPES["I8"]), fill((4,), DTYPES["I8"])
    return found


@pytest.mark.parametrize(("form", "chunk"), [("whole", flax_file.CHUNK), ("chunked", 4096)])
def test_flax_files_are_flaxs(form: str, chunk: int) -> None:
    data = whole(flax_file.layout_of((), every().items(), chunk))
    assert [len(data), hashlib.sha256(data).hexdigest()] == FLAX[form]


def test_numpy_reads_every_type_that_it_has(tmp_path: Path) -> None:
    recipes = {name: recipe for name, recipe in every().items() if recipe.dtype.name not in _NUMPY}
    recipes["bf16"] = fill((3, 5), BF16, 1.5)
    assert not npz_file.refused(recipes)
    (tmp_path / "m.npz").write_bytes(whole(npz_file.layout_of((), recipes.items())))
    with np.load(tmp_path / "m.npz") as arrays:
        for name, recipe in recipes.items():
            assert arrays[name].shape == recipe.shape
        assert arrays["bf16"].dtype == np.float32
        assert set(arrays["bf16"].reshape(-1)) == {np.float32(1.5)}
        assert arrays["scalar"] == np.float32(2.5)
    assert zipfile.ZipFile(tmp_path / "m.npz").testzip() is None


def test_archives_beyond_4_gib(tmp_path: Path) -> None:
    """Sizes and offsets in the wide fields; nothing of the large ones is read."""
    large = fill((1 << 30, 5), F32)
    layout = npz_file.layout_of((), [("a", large), ("b", fill((3,), F32, 1.5)), ("c", large)])
    path, rest = tmp_path / "m.npz", 4096
    # Behind the second large one lie its checksum, which would cost a pass over it, and the directory.
    position = layout.size - layout.segments[-1].length
    with path.open("wb") as file:
        file.write(layout.read(0, rest))
        start = nbytes(large) + layout.segments[0].length + 4
        file.seek(start)
        file.write(layout.read(start, rest))
        file.seek(position)
        file.write(layout.read(position, layout.size - position))
    with np.load(path) as arrays:
        assert list(arrays["b"]) == [1.5] * 3
    extents = open_model(path).tensors
    assert [each.shape for each in extents.values()] == [(1 << 30, 5), (3,), (1 << 30, 5)]


def test_large_arrays_are_chunks_of_a_gibibyte() -> None:
    layout = flax_file.layout_of((), [("w", fill((3, 1 << 28), F32))])
    lengths = [segment.length for segment in layout.segments if segment.length > 1000]
    assert lengths == [1 << 30] * 3
    single = flax_file.layout_of((), [("w", fill((1 << 28,), F32))])
    assert max(segment.length for segment in single.segments) == 1 << 30


def test_a_tail_makes_every_checksum_the_same() -> None:
    memory = Memory()
    array = np.random.default_rng(5).integers(0, 256, (1500, 3000), np.uint8)
    recipe = transpose2d(memory.put(array))
    tail = bytes(read_bytes(sealed(recipe, b"before"), 0, 4, memory))
    assert zlib.crc32(b"before" + array.T.tobytes() + tail) == SEAL
    for offset in range(4):
        assert bytes(read_bytes(sealed(recipe, b"before"), offset, 1, memory)) == tail[offset : offset + 1]


def test_what_a_format_has_not_is_refused_by_name() -> None:
    packed = Memory().put(np.zeros(34, np.uint8), "Q8_0", (32,))
    assert "no type for Q8_0" in npz_file.refused({"w": packed})
    assert "no type for Q8_0" in flax_file.refused({"w": packed})
    one = fill((1,), F32)
    assert "no type for F8_E4M3" in npz_file.refused({"w": fill((1,), DTYPES["F8_E4M3"])})
    assert "two tensors for one" in npz_file.refused({"a": one, "a.npy": one})
    assert "cannot be a file's" in npz_file.refused({"a\0b": one})
    assert "cannot be a file's" in npz_file.refused({"a" * 70_000: one})
    assert "no text" in flax_file.refused({"\ud800": one})


def test_names_on_the_way_to_others_make_a_flat_tree() -> None:
    one = fill((1,), DTYPES["U8"])
    data = whole(flax_file.layout_of((), [("a", one), ("a/b", one)]))
    assert b"\xa1a" in data
    assert b"\xa3a/b" in data
    assert data == whole(flax_file.layout_of((), [("a/b", one), ("a", one)]))


def test_which_models_have_it(folder: Path, tmp_path: Path) -> None:
    assert NAME in folders(open_model(folder))
    (tmp_path / "model.safetensors").write_bytes(next(folder.glob("*.safetensors")).read_bytes())
    found = plans(open_model(tmp_path), NAME)
    assert list(found) == [f"{NAME}/{form}" for form in ("model.npz", "model.h5", "flax_model.msgpack")]
    for plan in found.values():
        assert isinstance(plan, Plan)
        assert "weights only" in plan.describe
    assert not any(isinstance(plan, Refusal) for plan in found.values())
