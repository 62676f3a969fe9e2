"""llama.cpp's files of before GGUF: the GGUF that upstream makes of each; and everything hostile."""

from __future__ import annotations

import contextlib
import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle import legacy
from tests.tiny_ggml import FILES, REFUSED, WORDS, Legacy, write, written
from tests.translators.test_sources_tensorflow import bounded
from translators import Plan, open_model, plans
from translators.errors import TranslationError, Unsupported
from translators.model import Model
from translators.sources import ggml

GOLDEN = json.loads(legacy.GOLDEN.read_text())
F16 = FILES["ggjt1-f16.bin"]


@pytest.mark.parametrize("name", FILES)
def test_the_gguf_is_upstreams(name: str, tmp_path: Path) -> None:
    assert legacy.own(write(FILES[name], tmp_path)) == GOLDEN[name]


@pytest.mark.parametrize("of", REFUSED, ids=lambda of: of.name)
def test_blocks_of_another_layout_are_refused(of: Legacy, tmp_path: Path) -> None:
    assert GOLDEN[of.name] is None
    with pytest.raises(Unsupported, match="was another layout in gg"):
        open_model(write(of, tmp_path))


def test_a_file_appears_as_everything(tmp_path: Path) -> None:
    path = write(F16, tmp_path)
    model = open_model(tmp_path)
    assert (model.format, model.name) == ("ggml", tmp_path.name)
    found = plans(model)
    for name in ("model.gguf-f16", "model.gguf-q4_0", "model.safetensors", "config.json", "tokenizer.json"):
        assert isinstance(found[name], Plan), name
    own, f32 = found["model.gguf-f16"], found["model.gguf-f32"]
    assert isinstance(own, Plan)
    assert isinstance(f32, Plan)
    assert own.own
    assert own.size != path.stat().st_size
    made = tmp_path / "made.gguf"
    made.write_bytes(own.layout().read(0, own.size))
    again = plans(open_model(made))["model.gguf-f32"]
    assert isinstance(again, Plan)
    assert f32.layout().read(0, f32.size) == again.layout().read(0, again.size)


def test_what_a_file_does_not_tell_is_in_its_configuration(tmp_path: Path) -> None:
    write(F16, tmp_path)
    plain = open_model(tmp_path).key_values
    (tmp_path / "config.json").write_text('{"rms_norm_eps": 1e-05, "max_position_embeddings": 4096}')
    told = open_model(tmp_path).key_values
    assert plain is not None
    assert told is not None
    epsilon, length = "llama.attention.layer_norm_rms_epsilon", "llama.context_length"
    assert (plain.get(length), told.get(length)) == (2048, 4096)
    assert (round(plain.get(epsilon), 9), round(told.get(epsilon), 9)) == (5e-06, 1e-05)
    assert list(plain) == list(told)


def read(root: Path, data: bytes) -> Model:
    (root / "ggml-model.bin").write_bytes(data)
    with bounded():
        return ggml.read(root, ["ggml-model.bin"], "m")


WHOLE = written(F16)
# Where the words end and the tensors begin.
TENSORS = 8 + 28 + sum(8 + len(word) for word in WORDS)


def head(**other: int) -> bytes:
    """The file with other hyper-parameters."""
    numbers = dict(
        zip(
            ("vocab", "embd", "mult", "head", "layer", "rot", "type"),
            (263, 64, 256, 4, 2, 16, 1),
            strict=True,
        )
    )
    return WHOLE[:8] + struct.pack("<7I", *(numbers | other).values()) + WHOLE[36:]


def tensor(
    name: str, *dims: int, kind: int = 0, dimensions: int | None = None, length: int | None = None
) -> bytes:
    """A file whose only tensor this is, without data."""
    counts = (len(dims) if dimensions is None else dimensions, len(name) if length is None else length, kind)
    return WHOLE[:TENSORS] + struct.pack(f"<3I{len(dims)}I", *counts, *dims) + name.encode()


HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "ends after 0 bytes"),
    "another file": (b"GGUF" + WHOLE[4:], "does not begin as"),
    "version": (WHOLE[:4] + b"\4\0\0\0" + WHOLE[8:], "ggjt version 4"),
    "no words": (head(vocab=2), "no LLaMA model"),
    "many words": (head(vocab=0xFFFF_FFFF), "no LLaMA model"),
    "no heads": (head(head=0), "no LLaMA model"),
    "another architecture": (head(rot=8), "no LLaMA model"),
    "type": (head(type=99), "no LLaMA model"),
    "words": (WHOLE[:36] + b"\xff\xff\xff\xff" + WHOLE[40:], "a word of 4,294,967,295 bytes"),
    "cut in words": (WHOLE[:200], "ends after 200 bytes"),
    "cut in a tensor": (WHOLE[:-8], "the tensor at"),
    "no tensors": (WHOLE[:TENSORS], "no first layer"),
    "name": (tensor("transformer.h.0.weight", 4), "is no tensor of a LLaMA model"),
    "layer": (tensor("layers.0.norm.weight", 4), "is no tensor of a LLaMA model"),
    "no layer": (tensor("ffn_norm.weight", 4), "is no tensor of a LLaMA model"),
    "long name": (tensor("n", 4, length=5000), "a name of 5,000 bytes"),
    "dimensions": (tensor("norm.weight", 4, dimensions=0), "0 dimensions"),
    "many dimensions": (tensor("norm.weight", 4, dimensions=1 << 31), "2,147,483,648 dimensions"),
    "kind": (tensor("norm.weight", 4, kind=77), "ggml type 77"),
    "great": (tensor("norm.weight", *[0xFFFF_FFFF] * 4), "is impossible"),
    "none": (tensor("norm.weight", 0), "is impossible"),
    "beyond": (tensor("norm.weight", 1 << 30), "the tensor at"),
    "twice": (WHOLE + WHOLE[TENSORS:], "no LLaMA model|there twice|is impossible|dimensions"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name: str, tmp_path: Path) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises(TranslationError, match=reason) as told:
        read(tmp_path, data)
    assert told.value.path.endswith("ggml-model.bin")


def test_heads_that_are_none(tmp_path: Path) -> None:
    wide = replace(F16, key_heads=8)
    with pytest.raises(TranslationError, match="are no heads of 16"):
        read(tmp_path, written(wide))


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_damaged_files(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever bytes of the headers change: a model or an error of ours, in bounded memory."""
    raw = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, TENSORS + 100))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(TranslationError):
        read(tmp_path_factory.mktemp("damaged"), bytes(raw))
