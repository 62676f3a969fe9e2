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
from typing import Any, NamedTuple

import numpy as np

from translators.joined import Joined
from translators.vocab.document import Document
from translators.vocab.lists import making, numbered, within
from translators.vocab.ranks import shown

# Steps that cut a text and leave what they do not drop as it is.
_CUTS = frozenset(("Split", "Digits", "Punctuation"))
_SPACE = shown(b" ")


class Excerpt(NamedTuple):
    """The document with less in it, and all tokens of the model that it is an excerpt of, by id."""

    document: dict[str, Any]
    tokens: Joined


def excerpt_of(tokenizer: Document, text: str, more: Iterable[str]) -> Excerpt | None:
    """The excerpt of tokenizer.json by which `text` can be encoded, or None where there is none.

    more: texts that will be added to the tokenizer or looked up in it.
    """
    document, merges, tokens = tokenizer
    model, entries = document.get("model"), document.get("added_tokens") or []
    if not isinstance(model, dict) or not isinstance(entries, list) or document.get("padding") is not None:
        return None
    if merges is None or tokens is None or not _is_plain(model) or not _leaves_bytes(document, text):
        return None
    # A byte-level step that comes first may put a space before any part.
    prefix = _SPACE.encode() if document["pre_tokenizer"]["type"] == "ByteLevel" else b""
    seen = shown(text.encode())
    wanted = within(tokens, seen.encode(), prefix)
    numbers = None if wanted is None else making(wanted, tokens, merges)
    if wanted is None or numbers is None:
        return None
    vocabulary = {tokens[number].decode(): number for number in np.flatnonzero(wanted).tolist()}
    unknown = [] if model.get("unk_token") is None else [model["unk_token"]]
    named = [entry["content"] for entry in entries if isinstance(entry, dict) and "content" in entry]
    asked = {name for name in (*unknown, *named, *more) if isinstance(name, str)} - vocabulary.keys()
    found = numbered(tokens, list(asked))
    if found is None:
        return None
    vocabulary.update(found)
    added = _added_ids(vocabulary, len(tokens), entries)
    if added is None or any(name.removeprefix(_SPACE) in seen for name in added.keys() - vocabulary.keys()):
        return None
    known = {**vocabulary, **added}
    if not known.keys() >= {*unknown, *more}:
        return None
    some = [merges[number].decode() for number in numbers]
    model = {**model, "vocab": known, "merges": some}
    return Excerpt({**document, "model": model}, tokens)


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


def _added_ids(
    vocabulary: Mapping[str, int], following: int, entries: Sequence[Any]
) -> dict[str, int] | None:
    """Ids of the added tokens; None unless those stated are those that the library gives them: their own, or
    the next from `following` on.
    """
    ids: dict[str, int] = {}
    for entry in entries:
        text = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(text, str) or not text or "\0" in text or text in ids:
            return None
        ids[text] = vocabulary.get(text, following)
        following += ids[text] == following
        if entry.get("id") != ids[text]:
            return None
    return ids
