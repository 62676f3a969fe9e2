"""What of a byte-level BPE's tokenizer.json it takes to encode one text: a handful of tokens and merges.

The library needs half of all planning to take in a vocabulary of 128,000 tokens and 280,000 merges, and is
asked for the ids of one text of 300 characters. A merge can only ever apply where its result occurs in the
text as the model sees it, so the merges of all other tokens are left out; the others keep their order.
Promises the ids, added tokens and refusals that the whole file gives. Wherever that is not certain (a file
that something may be wrong with, steps that change the text, ids with gaps) there is no excerpt.
Knows nothing of transformers' rules nor of GGUF.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, repeat
from operator import add
from typing import Any, NamedTuple

from translators.vocab.ranks import shown

# Steps that cut a text and leave what they do not drop as it is.
_CUTS = frozenset(("Split", "Digits", "Punctuation"))
_SPACE = shown(b" ")


class Excerpt(NamedTuple):
    """The document with less in it, and the whole vocabulary that it is an excerpt of: text to id."""

    document: dict[str, Any]
    vocabulary: dict[str, int]


def excerpt_of(document: Mapping[str, Any], text: str, tokens: Iterable[str]) -> Excerpt | None:
    """The excerpt of tokenizer.json by which `text` can be encoded, or None where there is none.

    tokens: texts that will be added to the tokenizer or looked up in it.
    """
    model, entries = document.get("model"), document.get("added_tokens") or []
    if not isinstance(model, dict) or not isinstance(entries, list) or document.get("padding") is not None:
        return None
    if not _is_plain(model) or not _leaves_bytes(document, text):
        return None
    vocabulary, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocabulary, dict) or not isinstance(merges, list) or not _has_no_gaps(vocabulary):
        return None
    results = _results(vocabulary, merges)
    seen = _substrings(shown(text.encode()), max(map(len, vocabulary)))
    added = _added_ids(vocabulary, entries)
    if results is None or added is None or any(name in seen for name in added.keys() - vocabulary.keys()):
        return None
    known = {name: vocabulary.get(name, added.get(name, -1)) for name in (*added, *tokens)}
    unknown = model.get("unk_token")
    if unknown is not None:
        known[unknown] = vocabulary.get(unknown, -1)
    if -1 in known.values():
        return None
    kept = {name: vocabulary[name] for name in seen & vocabulary.keys()}
    parts = {
        "vocab": kept | _ends(vocabulary, known, kept),
        "merges": [merge for merge, result in zip(merges, results, strict=True) if result in kept],
    }
    return Excerpt({**document, "model": {**model, **parts}}, vocabulary)


def _ends(
    vocabulary: Mapping[str, int], known: Mapping[str, int], kept: Mapping[str, int]
) -> dict[str, int]:
    return {name: number for name, number in known.items() if name not in kept or name not in vocabulary}


def _is_plain(model: Mapping[str, Any]) -> bool:
    """Whether the model is a BPE whose merges are all there is to it."""
    odd = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    unknown = model.get("unk_token")
    return (
        model.get("type") == "BPE"
        and not any(model.get(key) for key in odd)
        and (unknown is None or isinstance(unknown, str))
    )


def _leaves_bytes(document: Mapping[str, Any], text: str) -> bool:
    """Whether what the model sees of `text` are parts of it, byte by byte, perhaps with a space before."""
    normalizer, first = document.get("normalizer"), document.get("pre_tokenizer")
    composed = normalizer == {"type": "NFC"} and unicodedata.is_normalized("NFC", text)
    if not (normalizer is None or composed) or not isinstance(first, dict):
        return False
    steps = first.get("pretokenizers") if first.get("type") == "Sequence" else [first]
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        return False
    kinds = [step.get("type") for step in steps]
    return kinds[-1:] == ["ByteLevel"] and _CUTS.issuperset(kinds[:-1])


def _has_no_gaps(vocabulary: Mapping[str, Any]) -> bool:
    """Whether the ids are whole numbers from 0 on without gaps, so that the next one is known."""
    numbers = list(vocabulary.values())
    if not numbers or set(map(type, numbers)) != {int}:
        return False
    return min(numbers) == 0 and max(numbers) == len(numbers) - 1 and len(set(numbers)) == len(numbers)


def _results(vocabulary: Mapping[str, int], merges: Sequence[Any]) -> list[str] | None:
    """What each merge makes; None unless all are two tokens that make a third."""
    kinds = set(map(type, merges))
    if kinds == {str}:
        if set(map(str.count, merges, repeat(" "))) != {1}:
            return None
        parts = " ".join(merges).split(" ")
    elif kinds == {list}:
        if set(map(len, merges)) != {2}:
            return None
        parts = list(chain.from_iterable(merges))
        if set(map(type, parts)) != {str}:
            return None
    else:
        return [] if not merges else None
    results = list(map(add, parts[::2], parts[1::2]))
    are_tokens = vocabulary.keys() >= set(parts) and all(map(vocabulary.__contains__, results))
    return results if are_tokens else None


def _added_ids(vocabulary: Mapping[str, int], entries: Sequence[Any]) -> dict[str, int] | None:
    """Ids of the added tokens; None unless those stated are those that the library gives them."""
    ids: dict[str, int] = {}
    following = len(vocabulary)
    for entry in entries:
        text = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(text, str) or not text or text in ids:
            return None
        ids[text] = vocabulary.get(text, following)
        following += ids[text] == following
        if entry.get("id") != ids[text]:
            return None
    return ids


@cache
def _substrings(text: str, longest: int) -> frozenset[str]:
    """Every part of `text` of at most so many characters, alone and with a space before it."""
    count = len(text)
    parts = {
        text[start:stop]
        for start in range(count)
        for stop in range(start + 1, min(start + longest, count) + 1)
    }
    return frozenset(parts.union(map(_SPACE.__add__, parts)))
