"""SentencePiece models: read field by field, refused where the library refuses, written and read back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import tiny_tokenizers
from translators.errors import MalformedSource
from translators.vocab.sentencepiece import read_pieces, written_model
from translators.vocab.tokens import TokenType

MODEL = tiny_tokenizers.sentencepiece()


def test_reads_every_piece() -> None:
    found = [(piece.text.decode(), piece.score, int(piece.type)) for piece in read_pieces(MODEL, "m")]
    assert found == tiny_tokenizers.pieces()


def test_written_is_read_back() -> None:
    texts, scores, kinds = zip(*tiny_tokenizers.pieces(), strict=True)
    types = [TokenType(kind) for kind in kinds]
    data = written_model(list(texts), list(scores), types, space_prefix=True)
    assert data is not None
    found = [(piece.text.decode(), piece.score, int(piece.type)) for piece in read_pieces(data, "m")]
    assert found == tiny_tokenizers.pieces()


@pytest.mark.parametrize(
    "change",
    [
        lambda texts, types: texts.__setitem__(300, ""),
        lambda texts, types: texts.__setitem__(300, texts[301]),
        lambda texts, types: types.__setitem__(0, TokenType.CONTROL),
        lambda texts, types: types.__setitem__(300, TokenType.UNKNOWN),
        lambda texts, types: types.__setitem__(5, TokenType.NORMAL),
    ],
    ids=["empty", "twice", "no-unknown", "two-unknown", "byte-missing"],
)
def test_unfit_models_are_not_written(change: Callable[[list[str], list[TokenType]], None]) -> None:
    texts, scores, kinds = map(list, zip(*tiny_tokenizers.pieces(), strict=True))
    types = [TokenType(kind) for kind in kinds]
    change(texts, types)
    assert written_model(texts, scores, types, space_prefix=True) is None


def test_fields_of_other_versions_are_passed_over() -> None:
    unknown = b"\xa2\x06\x03abc" + b"\xa8\x06\x05" + b"\xad\x06\x00\x00\x00\x00" + b"\xa9\x06" + bytes(8)
    assert read_pieces(unknown + MODEL + unknown, "m") == read_pieces(MODEL, "m")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 unknown pieces"),
        (MODEL[:-1], "announced"),
        (b"\x0a" + b"\xff" * 12, "does not end"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + MODEL, "announced"),
        (b"\x0b" + MODEL, "wire type 3"),
        (b"\x0a\x06\x0a\x80\x80\x80\x80\x04", "announced"),
        (b"\x0a\x03\x10\x01\x01", "wire type"),
        (b"\x0a\x03\x0a\x01\xff" + MODEL, "not UTF-8"),
        (b"\x0a\x02\x0a\x00" + MODEL, "without text"),
        (MODEL + MODEL, "twice"),
        (b"IQ== 0\nIg== 1\n" * 100, "a tiktoken vocabulary"),
    ],
)
def test_hostile_models(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedSource, match=reason):
        read_pieces(data, "tokenizer.model")


@given(st.binary(max_size=200), st.integers(0, len(MODEL)))
def test_arbitrary_bytes_are_refused_or_read(data: bytes, cut: int) -> None:
    for candidate in (data, MODEL[:cut] + data):
        try:
            read_pieces(candidate, "m")
        except MalformedSource as error:
            assert error.path == "m"
