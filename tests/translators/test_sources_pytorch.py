"""PyTorch files: what torch wrote is read as torch reads it; and everything hostile."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.translators.torch_files import (
    archive,
    called,
    items,
    legacy,
    named,
    number,
    pickled,
    several,
    storage,
    tensor,
    text,
)
from translators import open_model
from translators.errors import MalformedSource, MissingSource, TranslationError, Unsupported
from translators.model import Model
from translators.ranges import ElementRange
from translators.reading import SourceFiles
from translators.recipes import nbytes, piece, read_bytes, stored
from translators.sources import pytorch

GOLDEN = Path(__file__).resolve().parent / "golden_pytorch"
DIGESTS = json.loads((GOLDEN / "digests.json").read_text())
_TYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL", "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2", "uint16": "U16", "uint32": "U32",
}  # fmt: skip


def read(path: Path, data: bytes = b"") -> Model:
    if data:
        path.write_bytes(data)
    return pytorch.read(path.parent, [path.name], "m")


def content(model: Model) -> dict[str, bytes]:
    files = SourceFiles(model.files)
    try:
        return {
            name: bytes(read_bytes(recipe, 0, nbytes(recipe), files))
            for name, recipe in ((name, stored(each)) for name, each in model.tensors.items())
        }
    finally:
        files.close()


@pytest.mark.parametrize("name", DIGESTS)
def test_what_torch_wrote_is_read_as_torch_reads_it(name: str) -> None:
    model = read(GOLDEN / name)
    data = content(model)
    found = {
        key: [each.dtype.name, list(each.shape), hashlib.sha256(data[key]).hexdigest()[:32]]
        for key, each in model.tensors.items()
    }
    expected = {key: [_TYPES[kind], *rest] for key, (kind, *rest) in DIGESTS[name].items()}
    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize("name", ["views.pt", "views_legacy.pt"])
def test_any_part_of_a_view_is_that_part_of_the_whole(name: str) -> None:
    model = read(GOLDEN / name)
    whole, files = content(model), SourceFiles(model.files)
    for key, each in model.tensors.items():
        recipe, size = stored(each), each.dtype.size
        for first in range(each.elements):
            for count in (1, 3, each.elements - first):
                part = ElementRange(first, min(count, each.elements - first))
                expected = whole[key][first * size : (first + part.count) * size]
                assert bytes(piece(recipe, part, files)) == expected, (key, part)
    files.close()


def test_a_view_reads_about_as_much_as_it_has(tmp_path: Path) -> None:
    data = np.arange(4 << 20, dtype="<f4").tobytes()
    view = tensor((1 << 10, 16), (1 << 12, 1), 8, of=storage(elements=4 << 20))
    model = read(tmp_path / "m.pt", archive(pickled(items(w=view)), {"0": data}))
    asked: list[int] = []

    class Counted(SourceFiles):
        def read(self, file: int, offset: int, length: int) -> memoryview:
            asked.append(length)
            return super().read(file, offset, length)

    files = Counted(model.files)
    found = np.frombuffer(read_bytes(stored(model.tensors["w"]), 0, 1 << 16, files), "<f4")
    files.close()
    assert (found.reshape(1 << 10, 16)[:, 0] == np.arange(1 << 10) * 4096 + 8).all()
    assert sum(asked) < 4 * (1 << 16)


def test_a_directory_is_a_model_and_shards_are_visited_in_order(tmp_path: Path) -> None:
    names = [f"pytorch_model-{each:05d}-of-00002.bin" for each in (1, 2)]
    (tmp_path / names[0]).write_bytes(archive(pickled(items(z=tensor(), a=tensor((2,), (1,))))))
    (tmp_path / names[1]).write_bytes(legacy(items(b=tensor((2, 2), (2, 1)))))
    model = open_model(tmp_path)
    assert (model.format, model.weights, list(model.tensors)) == ("pytorch", 2, ["z", "a", "b"])
    assert content(model) == {"z": bytes(range(16)), "a": bytes(range(8)), "b": bytes(range(16))}
    index = {"weight_map": {"z": names[0], "a": names[0], "b": names[1]}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert list(open_model(tmp_path).tensors) == ["z", "a", "b"]
    index["weight_map"]["gone"] = names[1]
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(MalformedSource, match="is not in 'pytorch_model-00002"):
        open_model(tmp_path)
    (tmp_path / "pytorch_model.bin.index.json").write_text('{"weight_map": {"z": "../secret.bin"}}')
    with pytest.raises(MalformedSource, match="not the plain name"):
        open_model(tmp_path)
    (tmp_path / "pytorch_model.bin.index.json").unlink()
    (tmp_path / names[0]).unlink()
    with pytest.raises(MissingSource, match="shard 1 of 2"):
        open_model(tmp_path)


def test_one_name_in_two_shards(tmp_path: Path) -> None:
    for each in (1, 2):
        (tmp_path / f"pytorch_model-{each:05d}-of-00002.bin").write_bytes(archive())
    with pytest.raises(MalformedSource, match="another shard"):
        open_model(tmp_path)


def test_what_would_run_is_never_called(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    system = called("posix", "system", text(f"touch {mark}"))
    evaluate = called("builtins", "eval", text(f"open({str(mark)!r}, 'w')"))
    found = items(a=system, b=evaluate, w=tensor(), c=called("os", "remove", text(str(tmp_path))))
    for data in (archive(pickled(found)), legacy(found)):
        model = read(tmp_path / "m.bin", data)
        assert list(model.tensors) == ["w"]
        assert content(model)["w"] == bytes(range(16))
    assert not mark.exists()
    assert tmp_path.exists()


def _doubled(times: int) -> bytes:
    """A list that holds itself twice, so many times over."""
    return b"]" + b"".join(b"q\x00](h\x00h\x00e" for _ in range(times))


_CYCLE = b"}q\x00" + text("model") + b"h\x00s"
_LONG = b"](" + b"K\x01" * 200_000 + b"eq\x00"
_NESTED = b"]" * 100_000 + b"a" * 99_999
_NO_TORCH = "no file that torch.save wrote"


HOSTILE: dict[str, tuple[bytes, type[TranslationError], str]] = {
    "no pickle": (b"\x93NUMPY" + bytes(600), MalformedSource, _NO_TORCH),
    "another pickle": (pickled(number(7)), MalformedSource, _NO_TORCH),
    "tar of old": (bytes(257) + b"ustar" + bytes(600), Unsupported, "tar archive"),
    "another protocol": (legacy(version=1002), Unsupported, "another protocol"),
    "big-endian, of old": (
        legacy(system=pickled(b"}" + text("little_endian") + b"\x89s")), Unsupported, "big-endian",
    ),
    "big-endian": (archive(byteorder=b"big"), Unsupported, "big-endian"),
    "cut": (legacy()[:-1], MalformedSource, "ends behind the file"),
    "no list of keys": (legacy(keys=b"}"), MalformedSource, "list of storages"),
    "a key of nothing": (legacy(keys=b"]" + text("9") + b"a"), MalformedSource, "no tensor has"),
    "no key": (legacy(keys=b"]"), MalformedSource, "storage is missing"),
    "2**63 elements": (legacy(data=b"\xff" * 8 + bytes(16)), MalformedSource, "ends behind the file"),
    "an empty archive": (archive()[-22:], MalformedSource, _NO_TORCH),
    "an archive cut": (archive()[:-30], MalformedSource, "no usable zip"),
    "no pickle in it": (
        archive().replace(b"archive/data.pkl", b"archive/dada.pkl"), MalformedSource, "data.pkl",
    ),
    "no storage": (archive(storages={"1": bytes(16)}), MalformedSource, "storage is missing"),
    "a member twice": (
        archive(versiom=b"1").replace(b"versiom", b"version"), MalformedSource, "is there twice",
    ),
    "compressed": (archive(compression=zipfile.ZIP_DEFLATED), Unsupported, "is compressed"),
    "no tensor": (archive(pickled(b"}")), MalformedSource, "no tensor in it"),
    "beyond the storage": (archive(pickled(items(w=tensor((5,))))), MalformedSource, "does not exist"),
    "steps beyond it": (
        archive(pickled(items(w=tensor((2, 2), (3, 1))))), MalformedSource, "element 4 of a storage",
    ),
    "offset beyond it": (archive(pickled(items(w=tensor(offset=1)))), MalformedSource, "does not exist"),
    "a negative size": (archive(pickled(items(w=tensor((-4,))))), MalformedSource, "without storage"),
    "a negative step": (archive(pickled(items(w=tensor(steps=(-1,))))), MalformedSource, "without storage"),
    "a size of 2**100": (archive(pickled(items(w=tensor((1 << 100,))))), MalformedSource, "without storage"),
    "a negative key": (
        archive(pickled(items(w=tensor(of=several(text("storage"), named("torch", "FloatStorage"), number(-1),
        text("cpu"), number(4)) + b"Q")))), MalformedSource, "no count",
    ),
    "2**120 bytes out of one": (
        archive(pickled(items(w=tensor((1 << 60, 1 << 60), (0, 0))))), MalformedSource, "than any disk",
    ),
    "shape and steps differ": (
        archive(pickled(items(w=tensor((2, 2), (1,))))), MalformedSource, "no view",
    ),
    "65 dimensions": (
        archive(pickled(items(w=tensor((1,) * 65, (1,) * 65)))), MalformedSource, "without storage",
    ),
    "a tensor of no storage": (archive(pickled(items(w=tensor(of=b"N")))), MalformedSource, "without stor"),
    "an odd storage": (
        archive(pickled(items(w=tensor(of=storage(kind="QInt8Storage" + "x" * 9999))))), Unsupported, "QInt8",
    ),
    "an odd type": (
        archive(pickled(items(w=tensor(more=named("torch", "quint4x2"))))), Unsupported, "quint4x2",
    ),
    "negated": (archive(pickled(items(w=tensor(more=items(neg=b"\x88"))))), Unsupported, "resolve_neg"),
    "sparse": (
        archive(pickled(items(w=tensor(function="_rebuild_sparse_tensor")))), Unsupported, "sparse_tensor",
    ),
    "arguments missing": (
        archive(pickled(items(w=called("torch._utils", "_rebuild_tensor_v2", storage())))), MalformedSource,
        "no usable pickle",
    ),
    "a stack that is empty": (archive(pickled(b"0")), MalformedSource, "no usable pickle"),
    "no mark": (archive(pickled(b"Nt")), MalformedSource, "no usable pickle"),
    "a memo of nothing": (archive(pickled(b"h\x07")), MalformedSource, "no usable pickle"),
    "a memo without bounds": (archive(pickled(b"Np" + b"9" * 4000 + b"\n")), MalformedSource, "bounds"),
    "an unknown opcode": (archive(b"\x80\x02\xff."), MalformedSource, "no usable pickle"),
    "an extension": (archive(pickled(b"\x82\x01")), Unsupported, "opcode EXT1"),
    "no end": (archive(b"\x80\x02}"), MalformedSource, "no usable pickle|without an end"),
    "a text of 4 GB": (archive(b"\x80\x02X\xff\xff\xff\xff"), MalformedSource, "argument of 4,294"),
    "a text of 2**63": (archive(b"\x80\x04\x8d" + b"\xff" * 8), MalformedSource, "argument of|usable"),
    "a line without an end": (archive(b"\x80\x02cx"), MalformedSource, "line without an end"),
    "nested": (archive(pickled(_NESTED)), MalformedSource, "nested deeper|RecursionError|usable"),
    "calls of calls": (archive(pickled(b"N" + b"\x85R" * 100_000)), MalformedSource, "usable|nested|no ten"),
    "doubled": (archive(pickled(_doubled(60))), MalformedSource, "things to look at"),
    "a cycle": (archive(pickled(_CYCLE)), MalformedSource, "nested deeper"),
    "a cycle with a tensor": (
        archive(pickled(b"}q\x00(" + text("x") + b"]" + tensor() + b"a" + text("model") + b"h\x00u")),
        MalformedSource, "nested deeper",
    ),
    "a copy of a long list, over and over": (
        archive(pickled(_LONG + (named("torch", "Size") + b"h\x00\x85R0") * 10_000)), MalformedSource,
        "opcodes",
    ),
    "a name of a megabyte": (
        archive(pickled(b"}" + text("x" * 50_000) + tensor() + b"s")), MalformedSource, "50,000 characters",
    ),
    "a key that is costly to hash": (
        archive(pickled(b"N" + b"q\x00h\x00\x86" * 60 + b"q\x01}h\x01Ns")), MalformedSource, "no tensor",
    ),
    "two of one name": (
        archive(pickled(b"}(" + b"K\x01" + tensor() + text("1") + tensor((2,)) + b"u")), MalformedSource,
        "two tensors of one name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files(tmp_path: Path, case: str) -> None:
    data, kind, words = HOSTILE[case]
    path = tmp_path / "m.bin"
    path.write_bytes(data)
    start = time.process_time()
    with pytest.raises(kind, match=words) as caught:
        read(path)
    assert time.process_time() - start < 30
    assert caught.value.path == str(path)
    assert len(str(caught.value)) < 1000


def test_the_longest_pickle_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translators.sources.pytorch.pickled.MOST_OPCODES", 50_000)
    with pytest.raises(MalformedSource, match="50,000 opcodes"):
        read(tmp_path / "m.pt", archive(pickled(b"N0" * 30_000)))
    read(tmp_path / "m.pt", archive(pickled(b"N0" * 20_000 + items(w=tensor()))))


def _central(data: bytes, name: bytes, offset: int, form: str, value: int) -> bytes:
    """The archive with a field of the central directory's entry of `name` set."""
    at = data.rindex(name) - 46 + offset
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


_STORAGE = b"archive/data/0"
_TWO = archive(storages={"0": bytes(16), "1": bytes(16)})
LYING = {
    "beyond the archive": (_central(archive(), _STORAGE, 42, "<I", 1 << 30), "outside|not lie|usable"),
    "another local header": (_central(archive(), _STORAGE, 42, "<I", 3), "not lie"),
    "a larger size": (_central(archive(), _STORAGE, 24, "<I", 1 << 30), "two sizes"),
    "both sizes larger": (
        _central(_central(archive(), _STORAGE, 24, "<I", 1 << 30), _STORAGE, 20, "<I", 1 << 30), "not lie",
    ),
    "another member's bytes": (
        _central(_central(archive(), _STORAGE, 24, "<I", 200), _STORAGE, 20, "<I", 200),
        "reaches into the directory",
    ),
    "another member's storage": (
        _central(_central(_TWO, b"archive/data/1", 20, "<I", 16), b"archive/data/1", 42, "<I", _TWO.index(
            b"archive/data/0") - 30), "shares bytes",
    ),
    "a smaller storage": (
        _central(_central(archive(), _STORAGE, 24, "<I", 12), _STORAGE, 20, "<I", 12), "does not exist",
    ),
    "an encrypted member": (_central(archive(), _STORAGE, 8, "<H", 1), "encrypted"),
    "a smaller pickle": (
        _central(archive(compression=zipfile.ZIP_DEFLATED), b"archive/data.pkl", 24, "<I", 9), "its size",
    ),
    "a pickle of 4 GB": (
        _central(archive(compression=zipfile.ZIP_DEFLATED), b"archive/data.pkl", 24, "<I", 0xFFFFFFF0),
        "too many",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LYING)
def test_a_central_directory_that_lies(tmp_path: Path, case: str) -> None:
    data, words = LYING[case]
    with pytest.raises(TranslationError, match=words):
        read(tmp_path / "m.pt", data)


def test_a_pickle_that_unpacks_to_more_than_it_says(tmp_path: Path) -> None:
    bomb = archive(b"N" * (1 << 20), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(MalformedSource, match="its size"):
        read(tmp_path / "m.pt", _central(bomb, b"archive/data.pkl", 24, "<I", 100))


def test_a_compressed_pickle_is_read_where_storages_are_plain(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("x/data.pkl", pickled(items(w=tensor())), zipfile.ZIP_DEFLATED)
        target.writestr("x/data/0", bytes(range(16)), zipfile.ZIP_STORED)
    assert content(read(path)) == {"w": bytes(range(16))}


def test_members_of_a_sparse_file_are_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    head = legacy(items(w=tensor((1 << 30,), of=storage(elements=1 << 30))), data=struct.pack("<q", 1 << 30))
    path.write_bytes(head)
    os.truncate(path, len(head) + (4 << 30))
    tracemalloc.start()
    model = read(path)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    assert nbytes(stored(model.tensors["w"])) == 4 << 30


_WHOLE = (
    archive(pickled(items(w=tensor((2, 2), (1, 2)), b=tensor((2,), (1,), 2)))),
    legacy(items(w=tensor((2, 2), (1, 2)), b=tensor((2,), (1,), 2))),
    (GOLDEN / "views.pt").read_bytes(),
    (GOLDEN / "new_types.pt").read_bytes(),
)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "m.bin"
    whole = bytearray(data.draw(st.sampled_from(_WHOLE)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(1, len(whole))) :]
    path.write_bytes(whole)
    try:
        model = read(path)
    except TranslationError:
        return
    if sum(nbytes(stored(each)) for each in model.tensors.values()) < 1 << 20:
        content(model)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_pickle_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "m.bin"
    try:
        read(path, archive(b"\x80\x02" + data + b"."))
    except TranslationError:
        return
