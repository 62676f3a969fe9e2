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
from itertools import compress
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from translators.joined import Joined
from translators.vocab.document import Document
from translators.vocab.members import Pairs, TextSet
from translators.vocab.ranks import shown

# Steps that cut a text and leave what they do not drop as it is.
_CUTS = frozenset(("Split", "Digits", "Punctuation"))
_SPACE = shown(b" ")
_SHORT = 12  # characters of nearly all tokens


class Excerpt(NamedTuple):
    """The document with less in it, and the whole vocabulary that it is an excerpt of: text to id, by id."""

    document: dict[str, Any]
    vocabulary: dict[str, int]
    texts: Joined


def excerpt_of(tokenizer: Document, text: str, tokens: Iterable[str]) -> Excerpt | None:
    """The excerpt of tokenizer.json by which `text` can be encoded, or None where there is none.

    tokens: texts that will be added to the tokenizer or looked up in it.
    """
    document, merges = tokenizer
    model, entries = document.get("model"), document.get("added_tokens") or []
    if not isinstance(model, dict) or not isinstance(entries, list) or document.get("padding") is not None:
        return None
    if merges is None or not _is_plain(model) or not _leaves_bytes(document, text):
        return None
    vocabulary = _by_id(model["vocab"]) if isinstance(model.get("vocab"), dict) else None
    if vocabulary is None or (texts := _joined(vocabulary)) is None:
        return None
    seen = shown(text.encode())
    kept = _parts_of(seen, vocabulary, texts)
    if document["pre_tokenizer"]["type"] == "ByteLevel":  # may put a space before any part
        kept.update(name for name in vocabulary if name.startswith(_SPACE) and name[1:] in seen)
    added = _added_ids(vocabulary, entries)
    if added is None or any(name.removeprefix(_SPACE) in seen for name in added.keys() - vocabulary.keys()):
        return None
    known = {name: vocabulary.get(name, added.get(name)) for name in (*kept, *added, *tokens)}
    if (unknown := model.get("unk_token")) is not None:
        known[unknown] = vocabulary.get(unknown)
    wanted = _joined(kept)
    making = None if wanted is None else _making(wanted, texts, merges)
    if making is None or None in known.values():
        return None
    some = [merges[number].decode() for number in making]
    model = {**model, "vocab": known, "merges": some}
    return Excerpt({**document, "model": model}, vocabulary, texts)


def _parts_of(seen: str, vocabulary: Mapping[str, int], texts: Joined) -> set[str]:
    """The tokens that occur in `seen`; most are short, and their number is small."""
    starts, lengths = range(len(seen)), range(1, _SHORT + 1)
    found = {seen[start : start + length] for start in starts for length in lengths} & vocabulary.keys()
    long = (texts.ends - texts.starts > _SHORT).tolist()
    found.update(name for name in compress(vocabulary, long) if name in seen)
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


def _by_id(vocabulary: dict[str, Any]) -> dict[str, int] | None:
    """The vocabulary in the order of its ids, where these count from 0 on without gaps, so that the next one
    is known.
    """
    numbers = list(vocabulary.values())
    if not numbers or set(map(type, numbers)) != {int}:
        return None
    expected = list(range(len(numbers)))
    if numbers == expected:
        return vocabulary
    if sorted(numbers) != expected:
        return None
    return dict(sorted(vocabulary.items(), key=itemgetter(1)))


def _joined(texts: Collection[str]) -> Joined | None:
    try:
        return Joined.of(texts)
    except UnicodeEncodeError:  # a lone half of a surrogate pair
        return None


def _making(wanted: Joined, texts: Joined, merges: Joined) -> list[int] | None:
    """The numbers of the merges that make a wanted token; None unless all merges are two tokens that make
    a third.
    """
    tokens, results = TextSet(texts), TextSet(wanted)
    found: list[int] = []
    first = 0
    for pairs in Pairs.of(merges):
        if pairs is None or not all(tokens.has(hashes).all() for hashes in pairs):
            return None
        found += (np.flatnonzero(results.has(pairs.joined)) + first).tolist()
        first += pairs.left.size
    return found


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
