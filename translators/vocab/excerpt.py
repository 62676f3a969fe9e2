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
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import compress, count
from operator import eq
from typing import Any, NamedTuple

from translators.vocab.members import Pairs, TextSet
from translators.vocab.ranks import shown

# Steps that cut a text and leave what they do not drop as it is.
_CUTS = frozenset(("Split", "Digits", "Punctuation"))
_SPACE = shown(b" ")
# Merges looked at together, so that what is made of them stays in the processor's cache.
_AT_ONCE = 4096
_SHORT = 12  # characters of nearly all tokens


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
    if not isinstance(vocabulary, dict) or not isinstance(merges, list) or not _is_sound(vocabulary):
        return None
    seen = shown(text.encode())
    kept = _parts_of(seen, vocabulary)
    if document["pre_tokenizer"]["type"] == "ByteLevel":  # may put a space before any part
        kept.update(name for name in vocabulary if name.startswith(_SPACE) and name[1:] in seen)
    added = _added_ids(vocabulary, entries)
    if added is None or any(name.removeprefix(_SPACE) in seen for name in added.keys() - vocabulary.keys()):
        return None
    known = {name: vocabulary.get(name, added.get(name)) for name in (*kept, *added, *tokens)}
    if (unknown := model.get("unk_token")) is not None:
        known[unknown] = vocabulary.get(unknown)
    merges = _making(kept, vocabulary, merges)
    if merges is None or None in known.values():
        return None
    return Excerpt({**document, "model": {**model, "vocab": known, "merges": merges}}, vocabulary)


def _parts_of(seen: str, vocabulary: Mapping[str, int]) -> set[str]:
    """The tokens that occur in `seen`; most are short, and their number is small."""
    starts, lengths = range(len(seen)), range(1, _SHORT + 1)
    found = {seen[start : start + length] for start in starts for length in lengths} & vocabulary.keys()
    found.update(name for name in vocabulary if len(name) > _SHORT and name in seen)
    return found


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
    as_it_is = composed or normalizer in (None, {"type": "Sequence", "normalizers": []})
    if not as_it_is or not isinstance(first, dict):
        return False
    steps = first.get("pretokenizers") if first.get("type") == "Sequence" else [first]
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        return False
    kinds = [step.get("type") for step in steps]
    if kinds[-1:] != ["ByteLevel"] or not _CUTS.issuperset(kinds[:-1]):
        return False
    return steps == [first] or steps[-1].get("add_prefix_space") is False


def _is_sound(vocabulary: Mapping[str, Any]) -> bool:
    """Whether all is text, and the ids count from 0 on without gaps, so that the next one is known."""
    numbers = list(vocabulary.values())
    if not numbers or set(map(type, numbers)) != {int} or "\n" in vocabulary:
        return False
    try:
        "".join(vocabulary).encode()
    except UnicodeEncodeError:  # a lone half of a surrogate pair
        return False
    return all(map(eq, sorted(numbers), count()))


def _making(kept: Collection[str], vocabulary: Mapping[str, int], merges: Sequence[Any]) -> list[Any] | None:
    """The merges that make a token of `kept`; None unless all merges are two tokens that make a third."""
    found: list[Any] = []
    tokens, results = TextSet(vocabulary), TextSet(kept)
    for start in range(0, len(merges), _AT_ONCE):
        some = merges[start : start + _AT_ONCE]
        pairs = _pairs(some)
        if pairs is None or not all(tokens.has(hashes).all() for hashes in pairs):
            return None
        found += compress(some, results.has(pairs.joined).tolist())
    return found


def _pairs(merges: Sequence[Any]) -> Pairs | None:
    """What merges have left and right; None unless all are two texts, in one form or the other."""
    kinds = set(map(type, merges))
    try:
        if kinds == {list} and set(map(len, merges)) == {2}:
            return Pairs.of(list(map(" ".join, merges)))
        return Pairs.of(merges) if kinds == {str} else None
    except (TypeError, UnicodeEncodeError):
        return None


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
