"""A WordPiece vocabulary with phantom spaces -> the tokenizer files of a BERT checkpoint.

In a GGUF a mark before a text says that it may start a word; in BERT's own files `##` says that it continues
one. Promises that the converter makes the same key-values of the files again.
"""

from __future__ import annotations

from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.keyvalues import KeyValues
from translators.vocab.stored import PREFIX, Stored
from translators.vocab.tokenizer_json import added_ids, added_token
from translators.vocab.tokens import SPACE_MARK, TokenType

_NAMED = ("unk", "sep", "pad", "mask")


def word_pieces(source: Stored) -> list[str]:
    """The texts as BERT has them, by id. Raises MalformedSource where two are the same."""
    texts = [_text(text, kind) for text, kind in zip(source.texts, source.types, strict=True)]
    if len(set(texts)) != len(texts):
        raise MalformedSource("two tokens have the same text", place=PREFIX + "tokens")
    return texts


def _text(text: str, kind: TokenType) -> str:
    if kind is TokenType.CONTROL:
        return text
    return text[1:] if text.startswith(SPACE_MARK) else f"##{text}"


def word_piece_files(kv: KeyValues, source: Stored) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """tokenizer.json, tokenizer_config.json and vocab.txt.

    Raises Unsupported for a vocabulary without BERT's special tokens.
    """
    texts = word_pieces(source)
    first, last = _found(source, "[CLS]", "bos"), _found(source, "[SEP]", "eos", "sep")
    unknown = _found(source, "[UNK]", "unk")
    if first is None or last is None or unknown is None:
        raise Unsupported(
            "a WordPiece vocabulary without its first, last or unknown token", place=PREFIX + "bos_token_id",
            remedy="take the tokenizer files from the original checkpoint",
        )  # fmt: skip
    cases: dict[str, Any] = {
        "strip_accents": kv.get(PREFIX + "normalizer.strip_accents"),
        "lowercase": kv.get(PREFIX + "normalizer.lowercase", True),
    }
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, **cases}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(source, number, with_id=True) for number in added_ids(source)],
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": _template(source, first, last),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece", "unk_token": texts[unknown], "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {text: n for n, text in enumerate(texts) if not _is_filler(source, n)},
        },
    }  # fmt: skip
    settings = {
        "clean_up_tokenization_spaces": True,
        "cls_token": texts[first],
        "do_lower_case": cases["lowercase"],
        **{f"{kind}_token": texts[source.ids[kind]] for kind in _NAMED if kind in source.ids},
        "sep_token": texts[last],
        "strip_accents": cases["strip_accents"],
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
    }
    return document, settings, "".join(f"{text}\n" for text in texts).encode()


def _found(source: Stored, text: str, *kinds: str) -> int | None:
    """The id of a special token, which an old GGUF may not tell but by the usual text."""
    named = next((source.ids[kind] for kind in kinds if kind in source.ids), None)
    return source.texts.index(text) if named is None and text in source.texts else named


def _is_filler(source: Stored, number: int) -> bool:
    return source.types[number] is TokenType.UNUSED and source.texts[number] == f"{SPACE_MARK}[PAD{number}]"


def _template(source: Stored, first: int, last: int) -> dict[str, Any]:
    def special(number: int, kind: int = 0) -> dict[str, Any]:
        return {"SpecialToken": {"id": source.texts[number], "type_id": kind}}

    one, two = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    return {
        "type": "TemplateProcessing",
        "single": [special(first), one, special(last)],
        "pair": [special(first), one, special(last), two, special(last, 1)],
        "special_tokens": {
            source.texts[n]: {"id": source.texts[n], "ids": [n], "tokens": [source.texts[n]]}
            for n in dict.fromkeys((first, last))
        },
    }
