"""A Unigram vocabulary ("t5" in a GGUF) -> the tokenizer files of a T5 or XLM-R checkpoint.

Promises that the converter makes the same key-values of the files again: of spiece.model for a T5, of
sentencepiece.bpe.model for an XLM-R, whose own tokenizer puts four tokens first and drops the last row. A
GGUF of T5 does not hold the names of its extra ids: they stay unused rows.
"""

from __future__ import annotations

import base64
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.keyvalues import KeyValues
from translators.vocab.sentencepiece import UNIGRAM, written_model
from translators.vocab.stored import PREFIX, Stored
from translators.vocab.tokenizer_json import document
from translators.vocab.tokens import SPACE_MARK, TokenType

_FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>"]
# What SentencePiece's own model has in their place.
_OWN = (("<unk>", TokenType.UNKNOWN), ("<s>", TokenType.CONTROL), ("</s>", TokenType.CONTROL))


def unigram_files(kv: KeyValues, source: Stored) -> tuple[dict[str, Any], dict[str, bytes]]:
    """tokenizer.json, and the SentencePiece model by its name.

    Raises MalformedSource for one without scores, Unsupported where no valid model can have the pieces.
    """
    if source.scores is None:
        raise MalformedSource("the key is missing", place=PREFIX + "scores")
    count = _filled(source)
    prefix = kv.get(PREFIX + "add_space_prefix", True) is True
    tidy = kv.get(PREFIX + "remove_extra_whitespaces", False) is True
    characters = _characters(kv)
    texts, scores, types = source.texts[:count], source.scores[:count], source.types[:count]
    name = "spiece.model"
    if texts[:4] == _FAIRSEQ:
        name = "sentencepiece.bpe.model"
        texts = [text for text, _ in _OWN] + texts[4:]
        scores, types = [0.0] * 3 + scores[4:], [kind for _, kind in _OWN] + types[4:]
    model = written_model(
        texts, scores, types, space_prefix=prefix, kind=UNIGRAM, removes_spaces=tidy, characters=characters
    )
    if model is None:
        raise Unsupported(
            "no SentencePiece model can have these tokens", place=PREFIX + "tokens",
            remedy="take the tokenizer files from the original checkpoint",
        )  # fmt: skip
    return _json(source, count, prefix=prefix, tidy=tidy, characters=characters), {name: model}


def _filled(source: Stored) -> int:
    """How many tokens there are without the fillers behind them, called by their ids or smaller ones."""
    kinds, texts = source.types, source.texts
    count = len(texts)
    while count and kinds[count - 1] is TokenType.UNUSED and texts[count - 1].startswith("[PAD"):
        count -= 1
    return count


def _characters(kv: KeyValues) -> bytes:
    table = kv.get(PREFIX + "precompiled_charsmap", [])
    try:
        return bytes(table)
    except (TypeError, ValueError) as error:
        raise MalformedSource("no bytes", place=PREFIX + "precompiled_charsmap") from error


def _json(source: Stored, count: int, *, prefix: bool, tidy: bool, characters: bytes) -> dict[str, Any]:
    assert source.scores is not None
    steps: list[dict[str, Any]] = []
    if characters:
        table = base64.b64encode(characters).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": table})
    if tidy:
        steps.append({"type": "Strip", "strip_left": True, "strip_right": True})
        steps.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
    scheme = "always" if prefix else "never"
    spaces = {"type": "Metaspace", "replacement": SPACE_MARK, "prepend_scheme": scheme, "split": True}
    unknown = source.unknown
    return document(
        source,
        normalizer={"type": "Sequence", "normalizers": steps} if steps else None,
        pre_tokenizer=spaces,
        decoder=spaces,
        adds_bos=False,
        model={
            "type": "Unigram",
            "unk_id": unknown if unknown is not None and unknown < count else None,
            "vocab": [list(pair) for pair in zip(source.texts[:count], source.scores[:count], strict=True)],
            "byte_fallback": False,
        },
    )
