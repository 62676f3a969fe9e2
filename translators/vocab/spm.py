"""The tokens of a SentencePiece vocabulary: tokenizer.model, as changed by the files beside it.

Promises what llama.cpp's converter makes: vocab_size ids, those without a piece as [PADn] with score
-10000, later files overriding earlier ones with score -1000. A USER_DEFINED piece is NORMAL unless
added_tokens_decoder says otherwise. The merge order is in the scores. The later files are
added_tokens.json and tokenizer_config.json.
Facts: `_create_vocab_sentencepiece`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from translators.vocab.document import document_of
from translators.vocab.folder import Folder
from translators.vocab.sentencepiece import Piece, read_model
from translators.vocab.tokens import SPACE_MARK, Tokens, TokenType, checked_count, looks_special

_ADDED_SCORE = -1000.0
_UNUSED_SCORE = -10000.0


def sentencepiece_tokens(folder: Folder, config: Mapping[str, Any]) -> Tokens:
    """The tokens; raises MalformedSource for a model or an added token that cannot be."""
    pieces = read_model(folder.data("tokenizer.model"), folder.shown("tokenizer.model")).pieces
    size = config.get("vocab_size_per_layer_input", config.get("vocab_size")) or len(pieces)
    count = checked_count(size, folder.shown("config.json"))
    tokens = piece_tokens(pieces[:count], count)
    with _understood(folder):
        _add_tokens(folder, tokens)
    return tokens


def piece_tokens(pieces: Sequence[Piece], count: int) -> Tokens:
    """`count` tokens: the pieces, then fillers. No piece is USER_DEFINED to upstream."""
    missing = range(len(pieces), count)
    kinds: list[TokenType] = [
        TokenType.NORMAL if p.type is TokenType.USER_DEFINED else p.type for p in pieces
    ]
    return Tokens(
        [p.text for p in pieces] + [f"[PAD{number}]".encode() for number in missing],
        kinds + [TokenType.UNUSED] * len(missing),
        [p.score for p in pieces] + [_UNUSED_SCORE] * len(missing),
    )


def overridden(
    folder: Folder, pieces: Sequence[Piece], size: Any, *, append: bool = False
) -> tuple[Tokens, dict[str, int]]:
    """The tokens as Phi-3 and InternLM2 have them, and the ids by text that the last two files list.

    tokenizer.json's added tokens come after those of tokenizer_config.json, and an id that is not there is an
    error. `append`: added_tokens.json's tokens come behind the others, whatever ids it gives them.
    """
    count = checked_count(size, folder.shown("config.json"))
    tokens = piece_tokens(pieces[:count], count)
    assert tokens.scores is not None
    listed: dict[str, int] = {}
    with _understood(folder):
        for text, number in folder.json("added_tokens.json").items():
            if append:
                tokens.texts.append(text.encode())
                tokens.types.append(TokenType.USER_DEFINED)
                tokens.scores.append(_ADDED_SCORE)
            elif number < count:
                _put(tokens, number, text.encode(), TokenType.USER_DEFINED, _ADDED_SCORE)
        settings = folder.json("tokenizer_config.json").get("added_tokens_decoder", {})
        entries = [(int(key), entry) for key, entry in settings.items()]
        entries += [(int(entry["id"]), entry) for entry in document_of(folder).json.get("added_tokens", [])]
        for number, entry in entries:
            kind = TokenType.CONTROL if entry.get("special") else TokenType.USER_DEFINED
            _put(tokens, number, entry["content"].encode(), kind, _ADDED_SCORE)
            listed[entry["content"]] = number
    return tokens, listed


@contextmanager
def _understood(folder: Folder) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise folder.malformed(
            "tokenizer_config.json", f"the added tokens cannot be understood: {error}"
        ) from error


def _add_tokens(folder: Folder, tokens: Tokens) -> None:
    count = len(tokens.texts)
    for text, number in folder.json("added_tokens.json").items():
        if number < count:
            _put(tokens, number, text.encode("utf-8"), TokenType.USER_DEFINED, _ADDED_SCORE)
    listed = folder.json("tokenizer_config.json").get("added_tokens_decoder", {})
    for key, entry in listed.items():
        number, text = int(key), entry["content"]
        if number >= count:
            continue
        control = entry.get("special") or looks_special(text)
        kind = TokenType.CONTROL if control else TokenType.USER_DEFINED
        text = text if control else text.replace(SPACE_MARK, " ")
        _put(tokens, number, text.encode("utf-8"), kind, _ADDED_SCORE)


def _put(tokens: Tokens, number: int, text: bytes, kind: TokenType, score: float) -> None:
    assert tokens.scores is not None
    if number < 0:
        raise ValueError(f"the id {number}")
    tokens.texts[number], tokens.types[number], tokens.scores[number] = text, kind, score
