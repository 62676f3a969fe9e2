"""TensorFlow's files: read as TensorFlow reads them; and everything hostile."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.tensorflow import check
from tests.translators.sstables import Table, entry, header, message, number, row, shape, table, varint
from tests.translators.test_sources_npz import content
from translators import Plan, Refusal, open_model, plans
from translators.errors import MalformedSource, MissingSource, TranslationError, Unsupported
from translators.model import Model, Tensor
from translators.sources import tensorflow
from translators.sources.tensorflow import entries, sstable
from translators.sources.tensorflow.crc32c import crc32c
from translators.sources.tensorflow.entries import key_of_slice
from translators.sources.tensorflow.snappy import NoSnappy, unpacked

GOLDEN = json.loads(check.GOLDEN.read_text())
GRAPHS = [name for name in GOLDEN if not name.endswith(".tflite")]
MEMORY = 8 << 20


def digests(model: Model) -> dict[str, list[object]]:
    data = content(model)
    return {
        name: [each.dtype.name, list(each.shape), hashlib.sha256(data[name]).hexdigest()[:32]]
        for name, each in model.tensors.items()
    }


@pytest.mark.parametrize("name", GRAPHS)
def test_what_tensorflow_wrote_is_read_as_it_reads_it(name: str) -> None:
    model = open_model(check.SEEDS / name)
    assert digests(model) == GOLDEN[name]
    kinds = {"saved": "savedmodel", "constants": "savedmodel", "frozen": "graphdef"}
    assert model.format == kinds.get(name.partition("/")[0], "tensorflow")


@pytest.mark.parametrize("name", ["objects", "partitioned", "shards", "saved", "constants"])
def test_a_directory_is_a_model_of_weights_alone(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(check.SEEDS / name, tmp_path / name))
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    model = open_model(folder)
    assert model.name == name
    found = plans(model)
    assert isinstance(found["model.safetensors"], Plan)
    # Its names are not those that config.json speaks of.
    assert isinstance(found["model.gguf-*"], Refusal)
    assert isinstance(plans(model, "weights-only")["weights-only/flax_model.msgpack"], Plan)


def test_tensors_are_read_in_place_and_variables_joined() -> None:
    plain = open_model(check.SEEDS / "objects" / "ckpt-1.data-00000-of-00001")
    assert plain.name == "objects"
    assert all(isinstance(each, Tensor) for each in plain.tensors.values())
    joined = open_model(check.SEEDS / "shards").tensors
    assert {name: isinstance(each, Tensor) for name, each in joined.items()} == {
        "grid": False, "own/0": True, "own/1": True,
    }  # fmt: skip
    files = [Path(file.shown).name for file in open_model(check.SEEDS / "shards").files]
    assert files == ["model.data-00000-of-00002", "model.data-00001-of-00002", "model.index"]


def test_without_its_data_or_its_index(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(check.SEEDS / "shards", tmp_path / "m"))
    (folder / "model.data-00001-of-00002").unlink()
    with pytest.raises(MissingSource, match=r"model\.data-00001-of-00002, tensor 'grid': is not there"):
        open_model(folder)
    (folder / "model.index").unlink()
    with pytest.raises(MissingSource, match="data without its index"):
        open_model(folder / "model.data-00000-of-00002")
    with pytest.raises(MissingSource, match="holds no weights"):
        open_model(folder)


def read(root: Path, index: bytes, data: bytes = bytes(64)) -> Model:
    (root / "m.index").write_bytes(index)
    (root / "m.data-00000-of-00001").write_bytes(data)
    with bounded():
        return tensorflow.read_checkpoint(root, ["m.index", "m.data-00000-of-00001"], "m")


@contextlib.contextmanager
def bounded():  # type: ignore[no-untyped-def]
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


HEAD = row(b"", header())


def test_a_table_by_hand(tmp_path: Path) -> None:
    made = Table()
    made.block(HEAD, row(b"layer/a", entry([2], 0, 8)), row(b"b", entry([], 8, 4), shared=6), restarts=2)
    made.block(row(b"z", entry([0, 3], 12, 0)), row(b"zz", entry([], kind=7)))
    model = read(tmp_path, made.finished(), bytes(range(12)))
    assert {name: each.shape for name, each in model.tensors.items()} == {
        "layer/a": (2,), "layer/b": (), "z": (0, 3),
    }  # fmt: skip
    assert content(model) == {"layer/a": bytes(range(8)), "layer/b": bytes(range(8, 12)), "z": b""}


def test_a_block_that_is_packed(tmp_path: Path) -> None:
    plain = HEAD + row(b"a", entry([2], 0, 8)) + bytes(4) + b"\1\0\0\0"
    made = Table()
    made.block(kind=1, packed=varint(len(plain)) + bytes((len(plain) - 1 << 2,)) + plain)
    assert list(read(tmp_path, made.finished()).tensors) == ["a"]


def of_rows(*rows: bytes) -> Callable[[], bytes]:
    return lambda: table(HEAD, *rows)


def of_block(*rows: bytes, **options: object) -> Callable[[], bytes]:
    def made() -> bytes:
        blocks = Table()
        blocks.block(*rows, **options)  # type: ignore[arg-type]
        return blocks.finished()

    return made


def twice() -> bytes:
    made = Table()
    made.block(HEAD, row(b"a", entry([2], 0, 8)))
    return made.finished([made.handles[0], made.handles[0]])


def overlapping() -> bytes:
    made = Table()
    made.block(HEAD, row(b"a", entry([2], 0, 8)))
    return made.finished([made.handles[0], varint(3) + varint(9)])


def beyond() -> bytes:
    made = Table()
    made.block(HEAD)
    return made.finished([varint(0) + varint(1 << 40)])


def many_shared() -> bytes:
    """Keys that hold each other: the square of the file's length."""
    long = row(b"k" * 60_000, entry([], 0, 4))
    return table(HEAD, long, *(row(b"x", entry([], 0, 4), shared=60_000 + each) for each in range(2000)))


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "no index that TensorFlow wrote"),
    "another file": (lambda: bytes(100), "no index that TensorFlow wrote"),
    "no header": (lambda: table(row(b"a", entry([2], 0, 8))), "without a header"),
    "no blocks": (lambda: Table().finished([]), "without a header"),
    "checksum": (of_block(HEAD, wrong=1), "the checksum says"),
    "restarts": (of_block(HEAD, restarts=1 << 20), "more restarts"),
    "short block": (of_block(packed=b"\1"), "more restarts"),
    "method": (of_block(HEAD, kind=7), "packed by method 7"),
    "shared": (of_rows(row(b"a", b"", shared=3)), "shares 3 bytes of a key of 0"),
    "beyond its block": (of_rows(row(b"a", b"")[:2] + varint(99)), "beyond the end of its block"),
    "varint": (of_rows(b"\xff" * 20), "a number without end"),
    "order": (of_rows(row(b"b", entry([], 0, 4)), row(b"a", entry([], 0, 4))), "not in order"),
    "again": (of_rows(row(b"b", entry([], 0, 4)), row(b"b", entry([], 0, 4))), "not in order"),
    "block twice": (twice, "blocks that overlap"),
    "blocks overlap": (overlapping, "blocks that overlap"),
    "block beyond": (beyond, "beyond the end of all blocks"),
    "snappy": (of_block(kind=1, packed=b"\x05\x04ab"), "cannot be unpacked"),
    "snappy bomb": (of_block(kind=1, packed=varint(1 << 31)), "unfolds to more than"),
    "keys of keys": (many_shared, "unfolds to more than"),
    "big-endian": (lambda: table(row(b"", header(big=True))), "big-endian order"),
    "version": (lambda: table(row(b"", header(needed=9))), "needs version 9"),
    "no shards": (lambda: table(row(b"", header(0))), "0 files of data"),
    "many shards": (lambda: table(row(b"", header(1 << 31))), "files of data"),
    "no tensors": (of_rows(row(b"a", entry([], kind=7))), "no tensor of numbers"),
    "type": (of_rows(row(b"a", entry([], 0, 16, kind=18))), "type complex128"),
    "unknown type": (of_rows(row(b"a", entry([], 0, 4, kind=99))), "type number 99"),
    "size": (of_rows(row(b"a", entry([3], 0, 8))), r"8 bytes are no F32 of shape \[3\]"),
    "shape": (of_rows(row(b"a", entry([-3], 0, 8))), "a shape that is none"),
    "great shape": (of_rows(row(b"a", entry([1 << 40, 1 << 40], 0, 8))), "a shape that is none"),
    "unknown shape": (
        of_rows(row(b"a", number(1, 1) + message(2, number(3, 1)))), "a shape that is not known",
    ),
    "dimensions": (of_rows(row(b"a", entry([1] * 300, 0, 4))), "a shape that is none"),
    "offset": (of_rows(row(b"a", entry([2], 60, 8))), "ends after 64 bytes, 68 are needed"),
    "far offset": (of_rows(row(b"a", entry([2], 1 << 62, 8))), "ends after 64 bytes"),
    "before": (of_rows(row(b"a", entry([2], -8, 8))), "below zero"),
    "shard": (of_rows(row(b"a", entry([2], 0, 8, shard=1))), "file of data 1, where there are 1"),
    "no slice": (of_rows(row(b"a", entry([4], slices=[[(0, 4)]]))), "a slice is missing"),
    "slice beyond": (of_rows(row(b"a", entry([4], slices=[[(2, 4)]]))), "beyond shape"),
    "slice of axes": (of_rows(row(b"a", entry([4], slices=[[(0, 4), (0, 1)]]))), "along 2 of 1 axes"),
    "slice of nothing": (of_rows(row(b"a", entry([4], slices=[[(-1, 4)]]))), "a slice of nothing"),
    "entry": (of_rows(row(b"a", b"\x0a\x7f")), "127 bytes announced, 0 are left"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_indices(name: str, tmp_path: Path) -> None:
    make, reason = HOSTILE[name]
    with pytest.raises(TranslationError, match=reason) as told:
        read(tmp_path, make())
    assert "m.index" in told.value.path or "m.data" in told.value.path


def sliced(*places: tuple[tuple[int, int], ...], size: int = 4) -> bytes:
    """A variable `a` of 4 x 4 bytes, in these slices, all of the same data."""
    rows = sorted(
        (
            key_of_slice(b"a", place),
            entry([count for _, count in place], 0, place[0][1] * place[1][1], kind=4),
        )
        for place in set(places)
    )
    return table(HEAD, *(row(*each) for each in rows), row(b"a", entry([size, size], kind=4, slices=places)))


def test_slices_of_any_grid(tmp_path: Path) -> None:
    model = read(tmp_path, sliced(((0, 1), (0, 4)), ((1, 3), (0, 3)), ((1, 3), (3, 1))), bytes(range(16)))
    assert content(model)["a"] == bytes((0, 1, 2, 3, 0, 1, 2, 0, 3, 4, 5, 1, 6, 7, 8, 2))


@pytest.mark.parametrize(
    "places",
    [
        [((0, 1), (0, 4))],
        [((0, 2), (0, 4)), ((1, 3), (0, 4))],
        [((0, 4), (0, 2)), ((0, 4), (3, 1))],
        [((0, 2), (0, 4)), ((3, 1), (0, 4))],
        [((0, 4), (0, 4)), ((0, 4), (0, 3))],
    ],
)
def test_slices_that_are_no_grid(places: list[tuple[tuple[int, int], ...]], tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="slices that are no grid"):
        read(tmp_path, sliced(*places))


def test_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sliced(((0, 2), (0, 4)), ((2, 2), (0, 4)))
    monkeypatch.setattr(entries, "_MOST_SLICES", 1)
    with pytest.raises(MalformedSource, match="more than 1 slices"):
        read(tmp_path, whole)
    monkeypatch.setattr(sstable, "MOST_ENTRIES", 2)
    with pytest.raises(MalformedSource, match="more than 2 entries"):
        read(tmp_path, whole)
    monkeypatch.setattr(sstable, "MOST_BYTES", len(whole) - 1)
    with pytest.raises(MalformedSource, match="are the most"):
        read(tmp_path, whole)


def test_keys_of_slices() -> None:
    """As TensorFlow writes them: how long a number is, its first bits tell."""
    assert key_of_slice(b"ab", ((0, 4), (0, -1))) == b"\0ab\0\x01\x01\x02\x80\x84\x80\x7f"
    escaped = b"\0" + b"\0\xff\xff\0" + b"\0\x01" + b"\x01\x01"
    assert key_of_slice(b"\0\xff", ((64, 1 << 20),)) == escaped + b"\xc0\x40" + b"\xf0\x10\0\0"


def test_checksums() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "without end"),
        (b"\xff" * 9, "without end"),
        (b"\x04\x10abc", "ends within a literal"),
        (b"\x04\x06a", "ends within a length"),
        (b"\x04\xf4", "ends within a length"),
        (b"\x04\x01\x01", "a copy from 1 bytes back"),
        (b"\x08\x00a\x01\x00", "a copy from 0 bytes back"),
        (b"\x02\x00a\x1d\x01", "more than the 2 bytes"),
        (b"\x09\x00a", "9 are announced"),
    ],
)
def test_no_snappy(data: bytes, reason: str) -> None:
    with pytest.raises(NoSnappy, match=reason):
        unpacked(data)


def test_snappy_by_hand() -> None:
    assert unpacked(b"\x00") == b""
    # A literal, a copy of what it is just writing, and one by each longer kind of distance.
    packed = b"\x0e" + b"\x08abc" + b"\x09\x03" + b"\x06\x07\x00" + b"\x0b\x04\0\0\0"
    assert unpacked(packed) == b"abc" + b"abcabc" + b"ca" + b"bcc"


# Constants of a graph.


def constant(name: str, tensor: bytes) -> bytes:
    value = message(5, message(1, b"value") + message(2, message(8, tensor)))
    return message(1, message(1, name.encode()) + message(2, b"Const") + value)


def graph(root: Path, data: bytes) -> Model:
    (root / "graph.pb").write_bytes(data)
    with bounded():
        return tensorflow.read_graph(root, ["graph.pb"], "g")


def tensor(kind: int, *sizes: int) -> bytes:
    return number(1, kind) + message(2, shape(*sizes))


def test_numbers_that_are_packed_or_not(tmp_path: Path) -> None:
    """Of a field that comes again, in parts of both kinds."""
    one = (1).to_bytes(4, "little")
    data = constant("f", tensor(1, 4) + message(5, one * 2) + b"\x2d" + one)
    data += constant("i", tensor(3, 3) + number(7, -1) + message(7, b"\x02"))
    data += constant("u", tensor(22, 2) + message(16, b"\x05") + number(7, 9))
    data += message(1, message(1, b"other") + message(2, b"Add"))
    model = graph(tmp_path, data)
    assert content(model) == {
        "f": one * 4, "i": b"\xff" * 4 + b"\2\0\0\0" * 2, "u": b"\5\0\0\0" * 2,
    }  # fmt: skip
    assert {name: each.shape for name, each in model.tensors.items()} == {"f": (4,), "i": (3,), "u": (2,)}


WRONG_GRAPHS: dict[str, tuple[bytes, str]] = {
    "no message": (b"\xff" * 30, "does not end"),
    "onnx": (number(1, 8) + message(7, b""), "of kind 0, not 2"),
    "no constants": (message(1, message(1, b"x") + message(2, b"Add")), "no constant in it"),
    "content": (constant("a", tensor(1, 3) + message(4, bytes(8))), r"2 numbers are no F32 of shape \[3\]"),
    "odd content": (constant("a", tensor(1, 2) + message(4, bytes(7))), "7 bytes are no F32"),
    "too many": (constant("a", tensor(1, 1) + message(5, bytes(8))), "2 numbers are no F32"),
    "too great": (constant("a", tensor(1, 1 << 41) + message(5, bytes(4))), "are no F32 of shape"),
    "type": (constant("a", tensor(18, 1)), "type complex128"),
    "shape": (constant("a", tensor(1, -1)), "a shape that is none"),
    "twice": (constant("a", tensor(1)) * 2, "two constants of one name"),
}


@pytest.mark.parametrize("name", WRONG_GRAPHS)
def test_hostile_graphs(name: str, tmp_path: Path) -> None:
    data, reason = WRONG_GRAPHS[name]
    with pytest.raises(TranslationError, match=reason) as told:
        graph(tmp_path, data)
    assert told.value.path.endswith("graph.pb")


def test_numbers_that_are_unpacked_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorflow.constants, "MOST_UNPACKED", 10)
    assert graph(tmp_path, constant("a", tensor(3, 9) + message(7, b"\1" * 9))).tensors
    with pytest.raises(Unsupported, match="packed one by one"):
        graph(tmp_path, constant("a", tensor(3, 11) + message(7, b"\1" * 11)))


@pytest.mark.parametrize("name", ["objects/ckpt-1.index", "shards/model.index", "frozen/typed_graph.pb"])
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_damaged_files(name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever bytes change: a model or an error of ours, in bounded memory."""
    folder = tmp_path_factory.mktemp("damaged")
    for path in (check.SEEDS / name).parent.iterdir():
        shutil.copy(path, folder)
    path = folder / Path(name).name
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    path.write_bytes(
        raw[: data.draw(st.integers(len(raw) // 2, len(raw)))] if data.draw(st.booleans()) else raw
    )
    with bounded(), contextlib.suppress(TranslationError):
        open_model(path)
