"""The tokens of a Unigram vocabulary ("t5" in a GGUF): of a SentencePiece model, or of a tokenizer.json.

XLM-R's own tokenizer puts four tokens before SentencePiece's and drops three; a tokenizer.json has that done
already. Promises upstream's texts, scores and types, fillers included, and what the normaliser does.
Facts: `T5Model.set_vocab` and `_xlmroberta_set_vocab`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from translators.vocab.document import document_of
from translators.vocab.fast import FastTokenizer
from translators.vocab.folder import Folder
from translators.vocab.sentencepiece import Model
from translators.vocab.spm import piece_tokens
from translators.vocab.tokens import Tokens, TokenType, checked_count

_UNUSED_SCORE, _ADDED_SCORE = -10000.0, -1000.0
_FIRST = (b"<s>", b"<pad>", b"</s>", b"<unk>")
_MASK = 250001


@dataclass(frozen=True)
class Unigram:
    """The tokens, and the normaliser: a space before the text, no runs of spaces, the table of characters."""

    tokens: Tokens
    adds_prefix: bool
    removes_spaces: bool
    characters: bytes


def of_t5(folder: Folder, config: Mapping[str, Any], model: Model, name: str) -> Unigram:
    """T5's: the pieces by id, then fillers; added_tokens.json has the last word. Raises MalformedSource."""
    count = checked_count(config.get("vocab_size", len(model.pieces)), folder.shown("config.json"))
    if len(model.pieces) > count:
        raise folder.malformed(name, f"{len(model.pieces):,} pieces are more than {count:,} tokens")
    tokens = piece_tokens(model.pieces, count)
    assert tokens.scores is not None
    for text, number in folder.json("added_tokens.json").items():
        if not isinstance(number, int) or number < 0:
            raise folder.malformed("added_tokens.json", f"{number!r} is no id")
        if number < count:
            tokens.texts[number], tokens.scores[number] = text.encode(), _ADDED_SCORE
            tokens.types[number] = TokenType.USER_DEFINED
    return Unigram(tokens, model.adds_prefix, model.removes_spaces, model.characters)


def of_xlm_roberta(config: Mapping[str, Any], model: Model, path: str, *, mask: bool) -> Unigram:
    """XLM-R's from its SentencePiece model. `mask`: the mask token, which the model lacks, is put in."""
    count = _count(config, len(model.pieces), path)
    tokens = piece_tokens(model.pieces, count)
    assert tokens.scores is not None
    kinds = [TokenType.CONTROL] * 3 + [TokenType.UNKNOWN]
    tokens = Tokens(
        [*_FIRST, *tokens.texts[3:-1]], kinds + tokens.types[3:-1], [0.0] * 4 + tokens.scores[3:-1]
    )
    assert tokens.scores is not None
    if mask:
        checked_count(count - _MASK, path)
        tokens.texts[_MASK], tokens.scores[_MASK], tokens.types[_MASK] = b"<mask>", 0.0, TokenType.CONTROL
    return Unigram(tokens, model.adds_prefix, model.removes_spaces, model.characters)


def of_json(folder: Folder, config: Mapping[str, Any], tokenizer: FastTokenizer) -> Unigram:
    """XLM-R's from tokenizer.json. Raises MalformedSource for one that is no Unigram with such a table."""
    document = document_of(folder).json
    try:
        characters = base64.b64decode(document["normalizer"]["precompiled_charsmap"])
        scores = [float(score) for _, score in document["model"]["vocab"]]
        added = tokenizer.added_ids
        unknown = added.get(folder.json("tokenizer_config.json").get("unk_token", ""))
        unknown = document["model"].get("unk_id", 3) if unknown is None else unknown
    except (KeyError, TypeError, ValueError, OverflowError, binascii.Error) as error:
        raise folder.malformed("tokenizer.json", f"is no Unigram as XLM-R has it: {error}") from error
    count = _count(config, len(scores), folder.shown("config.json"))
    tokens = piece_tokens((), count)
    assert tokens.scores is not None
    special, user = tokenizer.special_ids, set(added.values())
    for number in range(len(scores)):
        text = tokenizer.backend.id_to_token(number)
        if text is None:
            continue
        named = {number in user: TokenType.USER_DEFINED, number in special: TokenType.CONTROL}
        kind = TokenType.UNKNOWN if number == unknown else named.get(True, TokenType.NORMAL)
        tokens.texts[number], tokens.scores[number], tokens.types[number] = (
            text.encode(),
            scores[number],
            kind,
        )
    return Unigram(tokens, tokenizer.adds_prefix_space, tokenizer.tidy, characters)


def _count(config: Mapping[str, Any], pieces: int, path: str) -> int:
    """How many tokens there are: as many as pieces, or more where the configuration says so."""
    told = config.get("vocab_size", 0)
    return checked_count(max(told, pieces) if isinstance(told, int) else told, path)
