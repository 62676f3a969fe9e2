"""The tokens of a byte-level BPE vocabulary, and of a BPE with byte fallback, out of a tokenizer.json.

Byte-level ("gpt2"): every id up to vocab_size, unused ones as [PADn]; types follow the added tokens' flags;
the pre-tokenizer is named by its fingerprint. Byte fallback ("llama", Hugging Face's form of a SentencePiece
model): the base vocabulary, then the added tokens, every score -1000.
Facts: llama.cpp's `get_vocab_base` and `LlamaHfVocab`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from translators.errors import Unsupported
from translators.joined import Joined
from translators.vocab.document import document_of
from translators.vocab.fast import FastTokenizer
from translators.vocab.folder import Folder
from translators.vocab.pretokenizers import CHECK_TEXT, NAMES, fingerprint
from translators.vocab.tokens import MAX_TOKENS, SPACE_MARK, Tokens, TokenType, checked_count, looks_special

_SCORE = -1000.0
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


def byte_level(folder: Folder, config: Mapping[str, Any], tokenizer: FastTokenizer) -> tuple[Tokens, str]:
    """The tokens and the pre-tokenizer's name.

    Raises Unsupported for a pre-tokenizer that llama.cpp does not know, MalformedSource for ids that do not
    fit.
    """
    texts, types, pre = byte_level_lists(folder, config, tokenizer)
    return Tokens(texts if isinstance(texts, list) else texts.split(), types), pre


def byte_level_lists(
    folder: Folder, config: Mapping[str, Any], tokenizer: FastTokenizer
) -> tuple[list[bytes] | Joined, list[TokenType], str]:
    """The same, as texts, types and the name: texts are only made objects of where all are looked at."""
    if tokenizer.tokens is None:
        base, by_id = 0, tokens_by_id(folder, tokenizer)
    else:  # only the added ones have to be taken up one by one
        base, by_id = len(tokenizer.tokens), {n: text for text, n in tokenizer.added_ids.items()}
    size = base + sum(number >= base for number in by_id)
    _check_size(folder, size)
    count = checked_count(config.get("vocab_size", size), folder.shown("config.json"))
    last = max(base - 1, max(by_id, default=0))
    if last >= count:
        raise folder.malformed("tokenizer.json", f"token id {last:,} does not fit a vocab_size of {count:,}")
    pre = _pre_tokenizer(folder, tokenizer)
    added = tokenizer.backend.get_added_tokens_decoder()
    types = [TokenType.NORMAL] * count
    for number in by_id.keys() & added:
        text, token = by_id[number], added[number]
        if not token.normalized:
            text = tokenizer.decoded(tokenizer.encoded(text, with_special=False))
        is_control = token.special or looks_special(text)
        types[number] = TokenType.CONTROL if is_control else TokenType.USER_DEFINED
        by_id[number] = text if is_control else text.replace(SPACE_MARK, " ")
    for number in set(range(base, count)).difference(by_id) if size < count else ():
        by_id[number], types[number] = f"[PAD{number}]", TokenType.UNUSED
    following = list(map(str.encode, map(by_id.__getitem__, range(base, count))))
    if tokenizer.tokens is None:
        return following, types, pre
    changed = {number: by_id[number].encode() for number in by_id.keys() & added if number < base}
    return tokenizer.tokens.changed(changed, following), types, pre


def has_byte_fallback(folder: Folder) -> bool:
    """Whether tokenizer.json is a BPE with byte fallback, decoded step by step, as Llama-1 and -2 have it."""
    document = document_of(folder).json
    model, decoder = document.get("model"), document.get("decoder")
    return (
        isinstance(model, dict)
        and isinstance(decoder, dict)
        and model.get("type") == "BPE"
        and bool(model.get("byte_fallback", False))
        and decoder.get("type") == "Sequence"
    )


def byte_fallback(folder: Folder, tokenizer: FastTokenizer) -> Tokens:
    """The tokens of a BPE with byte fallback. Raises MalformedSource where ids have gaps."""
    base = tokenizer.base_size
    by_id = tokens_by_id(folder, tokenizer)
    special = tokenizer.special_ids
    added = sorted(n for n in tokenizer.backend.get_added_tokens_decoder() if n >= base)
    texts: list[bytes] = []
    types: list[TokenType] = []
    for number in (*range(base), *added):
        text = by_id.get(number)
        if text is None:
            raise folder.malformed("tokenizer.json", f"no token has id {number:,}", "model.vocab")
        named = TokenType.CONTROL if number in special else None
        if number < base:
            kind = TokenType.BYTE if _BYTE.fullmatch(text) else named or TokenType.NORMAL
        else:
            kind = named or TokenType.USER_DEFINED
        texts.append(text.encode("utf-8"))
        types.append(kind)
    return Tokens(texts, types, [_SCORE] * len(texts))


def tokens_by_id(folder: Folder, tokenizer: FastTokenizer) -> dict[int, str]:
    """Text by id, added tokens too. Raises MalformedSource for two texts of one id."""
    vocabulary = tokenizer.vocabulary
    _check_size(folder, len(vocabulary))
    by_id = dict(zip(vocabulary.values(), vocabulary, strict=True))
    if len(by_id) != len(vocabulary):
        raise folder.malformed("tokenizer.json", "two tokens have the same id", "model.vocab")
    return by_id


def _check_size(folder: Folder, size: int) -> None:
    if not 0 < size <= MAX_TOKENS:
        raise folder.malformed("tokenizer.json", f"{size:,} tokens are not possible", "model.vocab")


def _pre_tokenizer(folder: Folder, tokenizer: FastTokenizer) -> str:
    found = fingerprint(tokenizer.encoded(CHECK_TEXT, with_special=True))
    if found not in NAMES:
        raise Unsupported(
            f"llama.cpp has no pre-tokenizer for this vocabulary (fingerprint {found})",
            path=folder.shown("tokenizer.json"),
            remedy="a model with changed special tokens often works with its original's tokenizer files",
        )
    return NAMES[found]
