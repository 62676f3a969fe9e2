"""The pieces of a SentencePiece model, read from its protobuf without the sentencepiece library.

Promises that every length is checked against the bytes at hand and that a model which the library would
refuse to load (no unknown piece, a piece twice, missing byte pieces) is refused here too. Format:
`ModelProto` of sentencepiece_model.proto: field 1 holds the pieces (1 text, 2 score, 3 type), field 2 the
trainer's settings (3 model type, 35 byte fallback), field 3 the normaliser's (2 table of characters, 3 a
space before the text, 4 no runs of spaces). Knows nothing of GGUF.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from translators.errors import MalformedSource
from translators.vocab.tokens import MAX_TOKENS, TokenType

UNIGRAM, BPE = 1, 2
"""Kinds of models."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT = struct.Struct("<f")
# Of a usual piece: its key and length with those of its text, its score with the key.
_HEAD, _SCORE = struct.Struct("4B"), struct.Struct("<Bf")
_TYPES = {int(kind): kind for kind in TokenType}
_RESERVED = frozenset((TokenType.UNKNOWN, TokenType.CONTROL, TokenType.BYTE))
_BYTE_PIECE = re.compile(rb"<0x[0-9A-F]{2}>")


class Piece(NamedTuple):
    """One entry of the vocabulary; its place in the list is its id. The text is UTF-8."""

    text: bytes
    score: float
    type: TokenType


@dataclass
class Model:
    """A model: its pieces by id, how it was trained, and what its normaliser does."""

    pieces: list[Piece] = field(default_factory=list)
    kind: int = UNIGRAM
    byte_fallback: bool = False
    characters: bytes = b""
    adds_prefix: bool = True
    removes_spaces: bool = True


def read_pieces(data: bytes, path: str) -> list[Piece]:
    """All pieces of the model in `data`, by id. Raises MalformedSource naming `path` and the offset."""
    return read_model(data, path).pieces


def read_model(data: bytes, path: str) -> Model:
    """The model in `data`. Raises MalformedSource naming `path` and the offset."""
    model = Model()
    pieces = model.pieces
    at = _usual_pieces(data, 0, pieces)
    while at < len(data):
        number, wire, value, start, at = _field(data, at, len(data), path)
        if number == 1 and wire == _BYTES:
            if len(pieces) == MAX_TOKENS:
                raise _malformed(f"more than {MAX_TOKENS:,} pieces", path, start)
            pieces.append(_piece(data, value, path))
            at = _usual_pieces(data, at, pieces)
        elif number == 2 and wire == _BYTES:
            for inner, inner_wire, setting, _ in _fields(data, value.start, value.stop, path):
                if inner == 35 and inner_wire == _VARINT:
                    model.byte_fallback = setting.start != 0
                elif inner == 3 and inner_wire == _VARINT:
                    model.kind = setting.start
        elif number == 3 and wire == _BYTES:
            _read_normaliser(data, value, model, path)
    _check(pieces, model.byte_fallback, path)
    return model


def _read_normaliser(data: bytes, extent: slice, model: Model, path: str) -> None:
    for number, wire, setting, _ in _fields(data, extent.start, extent.stop, path):
        if number == 2 and wire == _BYTES:
            model.characters = data[setting]
        elif number == 3 and wire == _VARINT:
            model.adds_prefix = setting.start != 0
        elif number == 4 and wire == _VARINT:
            model.removes_spaces = setting.start != 0


def _usual_pieces(data: bytes, at: int, pieces: list[Piece]) -> int:
    """Read pieces from `at` as far as they are written as the library writes them; where the first other is.

    That is: short text, score, and the type where it is no normal piece. `_piece` reads all that is allowed,
    at a tenth of the speed.
    """
    size = len(data)
    room = MAX_TOKENS - len(pieces)
    while room and at + _HEAD.size <= size:
        piece_key, length, text_key, text_length = _HEAD.unpack_from(data, at)
        scored, stop = at + _HEAD.size + text_length, at + 2 + length
        typed = stop - scored - _SCORE.size
        if piece_key != 0x0A or text_key != 0x0A or length > 0x7F or stop > size or typed not in (0, 2):
            break
        score_key, score = _SCORE.unpack_from(data, scored)
        kind = _TYPES.get(data[stop - 1]) if typed else TokenType.NORMAL
        if score_key != 0x15 or kind is None or (typed and data[stop - 2] != 0x18):
            break
        pieces.append(Piece(data[at + _HEAD.size : scored], score, kind))
        at = stop
        room -= 1
    return at


def _piece(data: bytes, extent: slice, path: str) -> Piece:
    text, score, kind = b"", 0.0, TokenType.NORMAL
    for number, wire, value, at in _fields(data, extent.start, extent.stop, path):
        if number == 1 and wire == _BYTES:
            text = data[value]
        elif number == 2 and wire == _FIXED32:
            (score,) = _FLOAT.unpack_from(data, value.start)
        elif number == 3 and wire == _VARINT and 1 <= value.start <= len(TokenType):
            # A value outside the enumeration is an unknown field, which protobuf passes over.
            kind = TokenType(value.start)
        elif number in (1, 2):
            raise _malformed(f"field {number} of a piece has wire type {wire}", path, at)
    return Piece(text, score, kind)


def _fields(data: bytes, at: int, end: int, path: str) -> Iterator[tuple[int, int, slice, int]]:
    """Number, wire type, value and offset of each field in data[at:end].

    The value is a slice: of the bytes, or for a varint one that starts at the number itself.
    """
    while at < end:
        number, wire, value, start, at = _field(data, at, end, path)
        yield number, wire, value, start


def _field(data: bytes, at: int, end: int, path: str) -> tuple[int, int, slice, int, int]:
    """The field at `at`, as `_fields` gives it, and where the next one is."""
    start = at
    key, at = _varint(data, at, end, path)
    wire = key & 7
    if wire == _VARINT:
        number, at = _varint(data, at, end, path)
        return key >> 3, wire, slice(number, number), start, at
    if wire == _BYTES:
        length, at = _varint(data, at, end, path)
    elif wire in (_FIXED32, _FIXED64):
        length = 4 if wire == _FIXED32 else 8
    else:
        raise _malformed(f"unknown wire type {wire}", path, start)
    if length > end - at:
        raise _malformed(f"{length:,} bytes announced, {end - at:,} are left", path, start)
    return key >> 3, wire, slice(at, at + length), start, at + length


def _varint(data: bytes, at: int, end: int, path: str) -> tuple[int, int]:
    start, value = at, 0
    while at < end and at < start + 10:
        byte = data[at]
        value |= (byte & 0x7F) << (7 * (at - start))
        at += 1
        if byte < 0x80:
            return value, at
    raise _malformed("a number does not end", path, start)


def _check(pieces: list[Piece], byte_fallback: bool, path: str) -> None:
    """What the library demands of a model before it serves it."""
    seen: tuple[set[bytes], set[bytes]] = (set(), set())
    unknown = byte_pieces = 0
    for number, (text, _, kind) in enumerate(pieces):
        known = seen[kind in _RESERVED]
        if not text:
            raise _unfit("a piece without text", path, f"piece {number}")
        if text in known:
            raise _unfit(f"the piece {text!r} twice", path, f"piece {number}")
        known.add(text)
        if kind is TokenType.UNKNOWN:
            unknown += 1
        elif kind is TokenType.BYTE:
            if not byte_fallback or not _BYTE_PIECE.fullmatch(text):
                raise _unfit(f"{text!r} cannot be a byte piece", path, f"piece {number}")
            byte_pieces += 1
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _unfit("a piece that is not UTF-8", path, f"piece {number}") from error
    if unknown != 1:
        raise _unfit(f"{unknown} unknown pieces, one is needed", path)
    if byte_fallback and byte_pieces != 256:
        raise _unfit(f"{byte_pieces} byte pieces, 256 are needed", path)


def _malformed(reason: str, path: str, at: int) -> MalformedSource:
    return MalformedSource(
        f"not a SentencePiece model: {reason}", path=path, place=f"byte {at:,}", remedy=_REMEDY
    )


def _unfit(reason: str, path: str, place: str = "") -> MalformedSource:
    return MalformedSource(
        f"not a usable SentencePiece model: {reason}", path=path, place=place, remedy=_REMEDY
    )


_REMEDY = "fetch the file again; a tiktoken vocabulary does not belong under this name"


def written_model(
    texts: list[str], scores: list[float], types: list[TokenType], *,
    space_prefix: bool, kind: int = BPE, removes_spaces: bool = False, characters: bytes = b"",
) -> bytes | None:  # fmt: skip
    """A SentencePiece model with these pieces, by id; None where no valid model can have them.

    Written as a BPE model without normalisation of its own, as the Llama models are, unless told otherwise.
    A valid one has exactly one unknown piece, texts in all of them, and all 256 byte pieces or none.
    """
    count = types.count(TokenType.BYTE)
    if len(scores) != len(texts) or types.count(TokenType.UNKNOWN) != 1 or count not in (0, 256):
        return None
    parts = []
    for text, score, form in zip(texts, scores, types, strict=True):
        piece = _encoded(1, text.encode("utf-8")) + _key(2, _FIXED32) + _FLOAT.pack(score)
        if form is not TokenType.NORMAL:
            piece += _setting(3, form)
        parts.append(_encoded(1, piece))
    unknown = types.index(TokenType.UNKNOWN)
    trainer = _setting(3, kind) + _setting(4, len(texts)) + _setting(35, count != 0) + _setting(40, unknown)
    table = _encoded(2, characters) if characters else b""
    name = _encoded(1, b"nmt_nfkc" if characters else b"identity")
    normalizer = name + table + _setting(3, space_prefix) + _setting(4, removes_spaces)
    model = b"".join(parts) + _encoded(2, trainer) + _encoded(3, normalizer)
    try:
        read_pieces(model, "")
    except MalformedSource:
        return None
    return model


def _setting(number: int, value: int) -> bytes:
    return _key(number, _VARINT) + _number(value)


def _key(number: int, wire: int) -> bytes:
    return _number(number << 3 | wire)


def _encoded(number: int, data: bytes) -> bytes:
    return _key(number, _BYTES) + _number(len(data)) + data


def _number(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)
