"""A GGUF's tokenizer as a tokenizer.json.

Byte-level BPE ("gpt2"): the split of `tokenizer.ggml.pre`, the merges as they are. SentencePiece ("llama"):
a BPE with byte fallback in the form of transformers' LlamaTokenizerFast, its merges derived from the
pieces' scores; spaces are escaped and one is put before each stretch of text, which is what llama.cpp does.
Added tokens have ids of their own in the model's vocabulary where they do not simply follow it. Knows
nothing of the other files of a directory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.vocab.splits import Split
from translators.vocab.stored import PREFIX, Stored
from translators.vocab.tokens import SPACE_MARK, TokenType

Json = dict[str, Any]

# The characters that stand for the 256 bytes in a byte-level vocabulary.
_BYTE_LEVEL = frozenset(map(chr, (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x144))))


def byte_level_json(source: Stored, split: Split) -> Json:
    """tokenizer.json of a byte-level BPE. Raises MalformedSource for merges of tokens that do not exist."""
    vocabulary = _vocabulary(source)
    known = set(source.texts)
    for merge in source.merges:
        left, _, right = merge.partition(" ")
        if left not in known or right not in known or left + right not in known:
            raise MalformedSource(
                f"{merge!r} merges what is not in the vocabulary",
                place=PREFIX + "merges", remedy="fetch the GGUF again",
            )  # fmt: skip
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return document(
        source,
        normalizer=split.normalizer,
        pre_tokenizer=split.pre_tokenizer,
        decoder=byte_level,
        adds_bos=split.adds_bos,
        model=_bpe(vocabulary, source.merges, ignore_merges=split.whole_words),
    )


def sentencepiece_json(source: Stored, *, space_prefix: bool) -> Json:
    """tokenizer.json of a SentencePiece model. Raises Unsupported where the scores tell no order."""
    escape = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE_MARK}
    unescape = {"type": "Replace", "pattern": {"String": SPACE_MARK}, "content": " "}
    prepend = [{"type": "Prepend", "prepend": SPACE_MARK}] if space_prefix else []
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if space_prefix else []
    unknown = None if source.unknown is None else source.texts[source.unknown]
    fallback = TokenType.BYTE in source.types
    return document(
        source,
        normalizer={"type": "Sequence", "normalizers": [*prepend, escape]},
        pre_tokenizer=None,
        decoder={
            "type": "Sequence",
            "decoders": [unescape, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip],
        },
        adds_bos=True,
        model=_bpe(_vocabulary(source), merges_by_score(source), unknown=unknown, byte_fallback=fallback),
    )


def merges_by_score(source: Stored) -> list[str]:
    """Every way to put a piece together from two others, best score first.

    Of equal score, the longer left part first, then the longer right part; the same order as transformers'
    converter of SentencePiece models.
    """
    scores = source.scores or []
    pieces = {
        text: number for number, text in enumerate(source.texts)
        if source.types[number] in (TokenType.NORMAL, TokenType.UNUSED, TokenType.BYTE)
        and not source.is_filler(number)
    }  # fmt: skip
    ranked = {scores[number] for text, number in pieces.items() if len(text) > 1} if scores else set()
    if len(ranked) < 2:
        raise Unsupported(
            "the tokens' scores are all the same, so the order of merging is lost",
            place=PREFIX + "scores", remedy="use the original checkpoint's tokenizer files",
        )  # fmt: skip
    found: list[tuple[float, int, int, str, str]] = []
    for text, number in pieces.items():
        ways = [(text[:cut], text[cut:]) for cut in range(1, len(text))]
        ways = [(left, right) for left, right in ways if left in pieces and right in pieces]
        ways.sort(key=lambda way: (pieces[way[0]], pieces[way[1]]))
        found += ((scores[number], len(left), len(right), left, right) for left, right in ways)
    found.sort(key=lambda way: way[:3], reverse=True)
    return [f"{left} {right}" for *_, left, right in found]


def _vocabulary(source: Stored) -> dict[str, int]:
    """The model's own vocabulary: no fillers, and no added tokens where these come right after it."""
    listed = [n for n in range(len(source.texts)) if not source.is_filler(n)]
    base = [n for n in listed if not source.is_added(n)]
    follows = bool(base) and base[-1] == len(base) - 1 and listed[-1] == len(listed) - 1
    return {source.texts[number]: number for number in (base if follows else listed)}


def _bpe(
    vocabulary: dict[str, int], merges: list[str], *,
    unknown: str | None = None, byte_fallback: bool = False, ignore_merges: bool = False,
) -> Json:  # fmt: skip
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": unknown is not None,
        "byte_fallback": byte_fallback,
        "ignore_merges": ignore_merges,
        "vocab": vocabulary,
        "merges": merges,
    }


def document(
    source: Stored, *,
    normalizer: Json | None, pre_tokenizer: Json | None, decoder: Json, adds_bos: bool, model: Json,
) -> Json:  # fmt: skip
    """A tokenizer.json; adds_bos: what holds where the GGUF does not say it."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(source, n, with_id=True) for n in added_ids(source)],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": _post_processor(source, adds_bos),
        "decoder": decoder,
        "model": model,
    }


def added_ids(source: Stored) -> Iterable[int]:
    """The ids of the added tokens, ascending. An empty text cannot be one."""
    return (n for n in range(len(source.texts)) if source.is_added(n) and source.texts[n])


def added_token(source: Stored, number: int, *, with_id: bool = False) -> Json:
    """One added token as tokenizer.json (with its id) and tokenizer_config.json (without) have it.

    A text that byte-level decoding would take for bytes is marked normalized, which keeps llama.cpp's
    converter from decoding it.
    """
    text = source.texts[number]
    return ({"id": number} if with_id else {}) | {
        "content": text,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": source.scores is None and not text.isascii() and _BYTE_LEVEL.issuperset(text),
        "special": source.types[number] is not TokenType.USER_DEFINED,
    }


def _post_processor(source: Stored, adds_bos: bool) -> Json | None:
    """The template that adds bos and eos; None where nothing is added.

    Where the GGUF has add_sep_token, the second of two texts gets a bos or separator of its own: that is what
    the key was derived from.
    """
    bos = source.text_of("bos") if source.adds.get("bos", adds_bos) else None
    eos = source.text_of("eos") if source.adds.get("eos", False) else None
    if bos is None and eos is None:
        return None
    first, last = _special(bos, 0), _special(eos, 0)
    between: list[Json] = []
    if "sep" in source.adds:
        separator = (source.text_of("sep") or source.text_of("eos")) if source.adds["sep"] else bos
        between = _special(separator, 1)
    return {
        "type": "TemplateProcessing",
        "single": [*first, _text("A", 0), *last],
        "pair": [*first, _text("A", 0), *between, _text("B", 1), *_special(eos, 1)],
        "special_tokens": {
            text: {"id": text, "ids": [source.texts.index(text)], "tokens": [text]}
            for text in dict.fromkeys(entry["SpecialToken"]["id"] for entry in (*first, *between, *last))
        },
    }


def _special(text: str | None, kind: int) -> list[Json]:
    return [] if text is None else [{"SpecialToken": {"id": text, "type_id": kind}}]


def _text(name: str, kind: int) -> Json:
    return {"Sequence": {"id": name, "type_id": kind}}
