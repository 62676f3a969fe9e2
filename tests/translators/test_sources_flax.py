"""Flax's files: what flax wrote is read as flax reads it; and everything hostile."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.translators.test_sources_npz import content
from translators import Plan, Refusal, open_model, plans
from translators.errors import MalformedSource, MissingSource, TranslationError, Unsupported
from translators.model import Model, Tensor
from translators.sources import flax
from translators.sources.flax import TYPES
from translators.sources.recognise import Found, recognise

GOLDEN = Path(__file__).resolve().parent / "golden_flax"
DIGESTS = json.loads((GOLDEN / "digests.json").read_text())
MEMORY = 8 << 20


def read(path: Path, data: bytes = b"") -> Model:
    if data:
        path.write_bytes(data)
    return flax.read(path.parent, [path.name], "m")


def text(value: str) -> bytes:
    return bytes([0xD9, len(value.encode())]) + value.encode()


def extension(data: bytes, kind: int = 1, length: int | None = None) -> bytes:
    told = len(data) if length is None else length
    return b"\xc9" + told.to_bytes(4, "big") + bytes([kind]) + data


def array(shape: bytes, name: str, data: bytes, length: int | None = None) -> bytes:
    told = len(data) if length is None else length
    return b"\x93" + shape + text(name) + b"\xc6" + told.to_bytes(4, "big") + data


FOUR = extension(array(b"\x91\x04", "uint8", b"abcd"))


def of(*values: bytes) -> bytes:
    """A file of a map of these values."""
    return bytes([0x80 | len(values)]) + b"".join(
        text(f"w{number}") + value for number, value in enumerate(values)
    )


@pytest.mark.parametrize("name", DIGESTS)
def test_what_flax_wrote_is_read_as_flax_reads_it(name: str) -> None:
    model = read(GOLDEN / name)
    data = content(model)
    found = {
        key: [each.dtype.name, list(each.shape), hashlib.sha256(data[key]).hexdigest()[:32]]
        for key, each in model.tensors.items()
    }
    assert found == {key: [TYPES[kind], *rest] for key, (kind, *rest) in DIGESTS[name].items()}
    assert list(found) == list(DIGESTS[name])


def test_whole_arrays_are_read_in_place() -> None:
    assert all(isinstance(each, Tensor) for each in read(GOLDEN / "plain.msgpack").tensors.values())


def test_a_directory_is_a_model_of_weights_alone(tmp_path: Path) -> None:
    (tmp_path / "flax_model.msgpack").write_bytes((GOLDEN / "plain.msgpack").read_bytes())
    (tmp_path / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    found = plans(open_model(tmp_path))
    assert isinstance(found["model.safetensors"], Plan)
    # Its names are not those that config.json speaks of.
    assert isinstance(found["model.gguf-*"], Refusal)


def test_shards_and_their_index(tmp_path: Path) -> None:
    names = [f"flax_model-0000{number}-of-00002.msgpack" for number in (1, 2)]
    (tmp_path / names[0]).write_bytes(of(FOUR))
    (tmp_path / names[1]).write_bytes(b"\x81" + text("other") + FOUR)
    index = tmp_path / "flax_model.msgpack.index.json"
    index.write_text(json.dumps({"weight_map": {"w0": names[0], "other": names[1]}}))
    assert recognise(path.name for path in tmp_path.iterdir()) == [Found("flax", "", (index.name, *names))]
    model = open_model(tmp_path)
    assert content(model) == {"w0": b"abcd", "other": b"abcd"}
    index.write_text(json.dumps({"weight_map": {"w0": names[0], "nothing": names[1]}}))
    with pytest.raises(MalformedSource, match="not in"):
        open_model(tmp_path)
    (tmp_path / names[1]).unlink()
    index.unlink()
    with pytest.raises(MissingSource, match="shard 2"):
        open_model(tmp_path)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"flax_model-0000{number}-of-00002.msgpack").write_bytes(of(FOUR))
    with pytest.raises(MalformedSource, match="another shard"):
        open_model(tmp_path)


def chunked(shape: bytes, chunks: bytes) -> bytes:
    return b"\x83" + text(flax.CHUNKED) + b"\xc3" + text("shape") + shape + text("chunks") + chunks


HOSTILE = {
    "empty map": of(),
    "no map": b"\x01",
    "cut": of(FOUR)[:-1],
    "more behind": of(FOUR) + b"\x00",
    "reserved": of(b"\xc1"),
    "long map": b"\xdf\xff\xff\xff\xff",
    "long array": of(b"\xdd\xff\xff\xff\xff"),
    "long string": of(b"\xdb\xff\xff\xff\xff"),
    "long bytes": of(b"\xc6\xff\xff\xff\xff"),
    "long extension": of(b"\xc9\xff\xff\xff\xff\x01"),
    "extension beyond": of(extension(array(b"\x91\x04", "uint8", b"abcd"), length=200)),
    "extension too short": of(extension(array(b"\x91\x04", "uint8", b"abcd"), length=5)),
    "extension too long": of(extension(array(b"\x91\x04", "uint8", b"abcd") + b"\x00")),
    "bytes beyond array": of(extension(array(b"\x91\x04", "uint8", b"abcd", length=90)), FOUR),
    "deep": b"\x81\xa0" * 5000 + b"\x80",
    "deep arrays": of(b"\x91" * 5000 + b"\x00"),
    "deep extensions": of(b"".join(extension(b"", length=5990 - 6 * n) for n in range(999)) + bytes(9)),
    "twice": b"\x82" + text("w") + FOUR + text("w") + FOUR,
    "twice by number": b"\x82\x01" + FOUR + text("1") + FOUR,
    "a name twice": b"\x82" + text("a/b") + FOUR + text("a") + b"\x81" + text("b") + FOUR,
    "key": b"\x81\xc0" + FOUR,
    "utf-8": of(b"\xa1\xff"),
    "shape lies": of(extension(array(b"\x91\x05", "uint8", b"abcd"))),
    "shape overflows": of(extension(array(b"\x92" + (b"\xcf" + b"\x3f" * 8) * 2, "uint8", b"abcd"))),
    "shape negative": of(extension(array(b"\x92\xff\xfc", "uint8", b"abcd"))),
    "shape true": of(extension(array(b"\x91\xc3", "uint8", b"a"))),
    "shape none": of(extension(array(b"\xc0", "uint8", b"a"))),
    "two parts": of(extension(b"\x92\x90" + text("uint8"))),
    "no chunks": of(chunked(b"\x80", b"\x80")),
    "chunks no map": of(chunked(b"\x80", b"\x90")),
    "chunks lack one": of(chunked(b"\x81\xa10\x04", b"\x81\xa11" + FOUR)),
    "chunks too few": of(chunked(b"\x81\xa10\x05", b"\x81\xa10" + FOUR)),
    "chunks no arrays": of(chunked(b"\x81\xa10\x04", b"\x81\xa10\x04")),
    "chunks of types": of(
        chunked(
            b"\x81\xa10\x08",
            b"\x82\xa10" + FOUR + b"\xa11" + extension(array(b"\x91\x04", "int8", b"abcd")),
        )
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_lies_is_refused(name: str, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MalformedSource):
            read(tmp_path / "flax_model.msgpack", HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def test_types_of_no_number_are_refused(tmp_path: Path) -> None:
    for kind in ("object", "datetime64[ns]", "x" * 255, "<f4"):
        with pytest.raises(Unsupported, match="of type") as raised:
            read(tmp_path / "m.msgpack", of(extension(array(b"\x91\x04", kind, b"abcd"))))
        assert raised.value.path
        assert raised.value.place == "tensor 'w0'"


def test_counts_are_bounded(tmp_path: Path) -> None:
    many = 600_000
    data = of(b"\xdd" + many.to_bytes(4, "big") + bytes(many))
    with pytest.raises(MalformedSource, match="values"):
        read(tmp_path / "m.msgpack", data)


VALID = of(FOUR, chunked(b"\x82\xa10\x02\xa11\x04", b"\x82\xa10" + FOUR + b"\xa11" + FOUR))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=6), st.data())
def test_no_change_of_bytes_does_harm(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    changed = bytearray(VALID)
    for at, value in changes:
        changed[at] = value
    end = data.draw(st.one_of(st.just(len(changed)), st.integers(1, len(changed))))
    path = tmp_path_factory.getbasetemp() / "mutated.msgpack"
    with contextlib.suppress(TranslationError):
        content(read(path, bytes(changed[:end])))


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_no_bytes_do_harm(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    with contextlib.suppress(TranslationError):
        content(read(tmp_path_factory.getbasetemp() / "random.msgpack", data))
