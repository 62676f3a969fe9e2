"""Archives of arrays: read as NumPy reads them; and everything hostile."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.translators.memory import Memory
from translators import Plan, open_model, plans
from translators.dtypes import DTYPES
from translators.errors import MalformedSource, TranslationError, Unsupported
from translators.model import Extent, Model, Tensor
from translators.reading import SourceFiles
from translators.recipes import Inflated, inflated, nbytes, read_bytes, stored
from translators.sources import npz

MEMORY = 24 << 20
ARRAYS: dict[str, np.ndarray] = {
    "layers.0.w": np.arange(600, dtype=np.float32).reshape(20, 30),
    "fortran": np.asfortranarray(np.arange(2 * 3 * 5, dtype=np.float16).reshape(2, 3, 5)),
    "scalar": np.array(2.5, np.float64),
    "empty": np.zeros((0, 4), np.int16),
    "path/to/ü": np.arange(5, dtype=np.uint8),
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j], np.complex64),
    "i8": np.arange(-3, 3, dtype=np.int64),
}


def saved(path: Path, arrays: Mapping[str, np.ndarray], *, packed: bool = False) -> Path:
    (np.savez_compressed if packed else np.savez)(path, **arrays)  # type: ignore[arg-type]
    return path


def content(model: Model) -> dict[str, bytes]:
    files = SourceFiles(model.files)
    try:
        return {
            name: bytes(read_bytes(recipe, 0, nbytes(recipe), files))
            for name, recipe in ((name, stored(each)) for name, each in model.tensors.items())
        }
    finally:
        files.close()


def read(path: Path) -> Model:
    return npz.read(path.parent, [path.name], "m")


def of_member(tmp_path: Path, data: bytes, *, packed: bool = False) -> Path:
    """An archive whose member `w.npy` is `data`."""
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        archive.writestr("w.npy", data)
    return path


def npy(header: str | bytes, data: bytes = b"", *, version: int = 1, length: int | None = None) -> bytes:
    """An .npy file of this header; `length` may lie."""
    raw = header.encode("latin-1") if isinstance(header, str) else header
    told = (len(raw) if length is None else length).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + told + raw + data


def described(descr: object = "<f4", shape: object = (2,), fortran: object = False) -> str:
    return repr({"descr": descr, "fortran_order": fortran, "shape": shape})


@pytest.mark.parametrize("packed", [False, True])
def test_what_numpy_wrote_is_read_as_numpy_reads_it(tmp_path: Path, packed: bool) -> None:
    model = read(saved(tmp_path / "m.npz", ARRAYS, packed=packed))
    data = content(model)
    assert list(model.tensors) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert model.tensors[name].shape == array.shape
        assert data[name] == array.tobytes("C"), name
    in_place = {name for name, each in model.tensors.items() if isinstance(each, Tensor)}
    assert in_place == (set() if packed else ARRAYS.keys() - {"fortran"})


@pytest.mark.parametrize("packed", [False, True])
def test_any_part_is_that_part_of_the_whole(tmp_path: Path, packed: bool) -> None:
    model = read(saved(tmp_path / "m.npz", ARRAYS, packed=packed))
    files = SourceFiles(model.files)
    for name in ("layers.0.w", "fortran"):
        recipe, whole = stored(model.tensors[name]), ARRAYS[name].tobytes("C")
        for offset in range(0, len(whole), 7):
            length = min(13, len(whole) - offset)
            assert bytes(read_bytes(recipe, offset, length, files)) == whole[offset : offset + length]
    files.close()


def test_a_compressed_array_is_decompressed_once(tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(0, 9, (700, 1000)).astype(np.float32)
    model = read(saved(tmp_path / "m.npz", {"w": array}, packed=True))
    recipe, files = stored(model.tensors["w"]), SourceFiles(model.files)
    assert isinstance(recipe, Inflated)
    for offset in range(0, array.nbytes, 1 << 17):
        part = read_bytes(recipe, offset, min(1 << 17, array.nbytes - offset), files)
        assert bytes(part) == array.tobytes()[offset : offset + (1 << 17)]
    assert files.bytes_read == recipe.extent.length
    files.close()


def test_a_directory_of_arrays_is_a_model(tmp_path: Path) -> None:
    saved(tmp_path / "net.npz", {"w": ARRAYS["layers.0.w"]})
    model = open_model(tmp_path)
    plan = plans(model)["model.safetensors"]
    assert model.format == "npz"
    assert isinstance(plan, Plan)
    assert plan.layout().read(0, plan.size).endswith(ARRAYS["layers.0.w"].tobytes())


def test_bfloat16_is_what_ml_dtypes_calls_two_bytes_of_void(tmp_path: Path) -> None:
    values = np.array([0x3F80, 0x4000], "<u2")
    model = read(saved(tmp_path / "m.npz", {"w": values.view("V2")}))
    assert model.tensors["w"].dtype.name == "BF16"
    assert content(model)["w"] == values.tobytes()


def test_text_and_other_members_are_no_tensors(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "m.npz", {"w": np.zeros(2), "names": np.array(["a", "bc"]), "b": np.array([b"x"])}
    )
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "hello")
    assert list(read(path).tensors) == ["w"]


def test_shapes_of_old_and_new_headers(tmp_path: Path) -> None:
    for version in (1, 2, 3):
        model = read(of_member(tmp_path, npy(described(), bytes(8), version=version)))
        assert model.tensors["w"].shape == (2,)


@pytest.mark.parametrize(
    ("descr", "reason"),
    [
        ("|O", "a pickle"),
        (">f4", "big-endian"),
        ([("a", "<f4")], "of type"),
        ("<M8[ns]", "of type"),
        ("<f16", "of type"),
        (7, "of type"),
        ("|V1", "of type"),
    ],
)
def test_types_that_are_no_tensors_are_refused(tmp_path: Path, descr: object, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason) as raised:
        read(of_member(tmp_path, npy(described(descr), bytes(64))))
    assert raised.value.remedy


LYING = {
    "too long": npy(described(shape=(1 << 40,)), bytes(64)),
    "overflow": npy(described(shape=(1 << 61, 1 << 61)), bytes(64)),
    "negative": npy(described(shape=(-2,)), bytes(64)),
    "true": npy(described(shape=(True,)), bytes(64)),
    "no tuple": npy(described(shape=[2]), bytes(64)),
    "many": npy(described(shape=(1,) * 65), bytes(64)),
    "order": npy(described(fortran=1), bytes(64)),
    "header": npy(described(), bytes(8), length=60_000),
    "header 2": npy(described(), bytes(8), length=(1 << 32) - 1, version=2),
    "version": npy(described(), bytes(8), version=9),
    "cut": b"\x93NUMPY\x01",
    "no dict": npy("[1, 2]", bytes(8)),
    "call": npy("__import__('os').system('true')", bytes(8)),
    "more keys": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", bytes(8)),
    "deep": npy("(" * 5000 + ")" * 5000, bytes(8)),
    "minus": npy("-" * 9000 + "1", bytes(8)),
    "sum": npy("1" + "+1j" * 3000, bytes(8)),
    "digits": npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'9' * 9000},)}}", bytes(8)),
    "null": npy("\0" * 100, bytes(8)),
    "utf-8": npy(b"\xff\xfe", bytes(8), version=3),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", LYING)
def test_headers_that_lie_are_refused(tmp_path: Path, name: str, packed: bool) -> None:
    with pytest.raises(MalformedSource):
        read(of_member(tmp_path, LYING[name], packed=packed))


def test_a_bomb_is_never_decompressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An array of more than the bound, in a few kilobytes: refused by its size."""
    monkeypatch.setattr(npz, "MOST_INFLATED", 16 << 20)
    size = 48 << 20
    path = of_member(tmp_path, npy(described("|u1", (size,)), bytes(size)), packed=True)
    tracemalloc.start()
    try:
        with pytest.raises(Unsupported, match="compressed array"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def test_a_stream_that_ends_early_or_is_none_is_an_error_of_ours() -> None:
    memory, noise = Memory(), np.random.default_rng(3).integers(0, 256, 5000, np.uint8)
    whole = np.frombuffer(zlib.compress(noise.tobytes(), wbits=-15), np.uint8)
    for data in (whole[:-2000], np.full(50, 0xFF, np.uint8), whole[:0]):
        extent = memory.put(data).extent
        with pytest.raises(MalformedSource, match="decompressed"):
            read_bytes(inflated(extent, 0, DTYPES["U8"], (5000,)), 0, 10, memory)
    recipe = inflated(memory.put(whole).extent, 1000, DTYPES["U8"], (4000,))
    assert bytes(read_bytes(recipe, 7, 100, memory)) == noise[1007:1107].tobytes()
    with pytest.raises(ValueError, match="cannot be kept"):
        inflated(Extent(0, 0, 8), 0, DTYPES["U8"], (1 << 30,))


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    path = of_member(tmp_path, npy(described(), bytes(8)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("w", npy(described(), bytes(8)))
    with pytest.raises(MalformedSource, match="twice"):
        read(path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY", b"PK\x05\x06" + bytes(18)])
def test_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(MalformedSource):
        read(tmp_path / "m.npz")


def _valid() -> bytes:
    whole = io.BytesIO()
    np.savez_compressed(whole, a=ARRAYS["fortran"])
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr("b.npy", npy(described(), bytes(8)))
    return whole.getvalue()


VALID = _valid()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=6), st.data())
def test_no_change_of_bytes_does_harm(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    changed = bytearray(VALID)
    for at, value in changes:
        changed[at] = value
    end = data.draw(st.one_of(st.just(len(changed)), st.integers(0, len(changed))))
    path = tmp_path_factory.getbasetemp() / "mutated.npz"
    path.write_bytes(changed[:end])
    with contextlib.suppress(TranslationError):
        content(read(path))
