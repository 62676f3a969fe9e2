"""The tokens of a SentencePiece vocabulary: tokenizer.model, as changed by the files beside it.

Promises what llama.cpp's converter makes: vocab_size ids, those without a piece as [PADn] with score
-10000, later files overriding earlier ones with score -1000. A USER_DEFINED piece is NORMAL unless
added_tokens_decoder says otherwise. The merge order is in the scores. The later files are
added_tokens.json and tokenizer_config.json.
Facts: `_create_vocab_sentencepiece`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.vocab.folder import Folder
from translators.vocab.sentencepiece import read_pieces
from translators.vocab.tokens import SPACE_MARK, Tokens, TokenType, checked_count, looks_special

_ADDED_SCORE = -1000.0
_UNUSED_SCORE = -10000.0


def sentencepiece_tokens(folder: Folder, config: Mapping[str, Any]) -> Tokens:
    """The tokens; raises MalformedSource for a model or an added token that cannot be."""
    pieces = read_pieces(folder.data("tokenizer.model"), folder.shown("tokenizer.model"))
    size = config.get("vocab_size_per_layer_input", config.get("vocab_size")) or len(pieces)
    count = checked_count(size, folder.shown("config.json"))
    tokens = Tokens(
        [f"[PAD{number}]".encode() for number in range(count)],
        [TokenType.UNUSED] * count,
        [_UNUSED_SCORE] * count,
    )
    for number, piece in enumerate(pieces[:count]):
        kind = TokenType.NORMAL if piece.type is TokenType.USER_DEFINED else piece.type
        _put(tokens, number, piece.text, kind, piece.score)
    try:
        _add_tokens(folder, tokens)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise folder.malformed(
            "tokenizer_config.json", f"the added tokens cannot be understood: {error}"
        ) from error
    return tokens


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
