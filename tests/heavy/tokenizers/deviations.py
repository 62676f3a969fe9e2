"""How llama.cpp is known to split texts otherwise than the tokenizers library, whatever the GGUF says.

A deviation is made in the library's tokenizer, or in the text; where the ids are then llama.cpp's, it is what
the difference comes from. Facts: `src/llama-vocab.cpp` and `src/unicode.cpp` of llama.cpp b11434.
Knows nothing of files or of upstream's converter.
"""

from __future__ import annotations

import copy
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

from tokenizers import Tokenizer

Json = dict[str, Any]

_SYLLABLE = re.compile("[가-힣]")
# White space to llama.cpp; to the library control characters, which it drops.
_SPACES = dict.fromkeys(map(ord, "\v\f\x85"), " ")
_UPPER, _LOWER = re.compile(r"\[(\\p\{Lu\}[^]]*)\]"), re.compile(r"\[(\\p\{Ll\}[^]]*)\]")


@dataclass(frozen=True)
class Deviation:
    """One of llama.cpp's ways: `document` changes a tokenizer.json in place, `text` a text, None nothing."""

    name: str
    document: Callable[[Json], None] | None = None
    text: Callable[[str], str] | None = None


def _not_composed(document: Json) -> None:
    document["normalizer"] = None


def _splits(change: Callable[[str], str]) -> Callable[[Json], None]:
    def edit(document: Json) -> None:
        for step in document["pre_tokenizer"]["pretokenizers"]:
            if step["type"] == "Split":
                step["pattern"]["Regex"] = change(step["pattern"]["Regex"])

    return edit


def _caseless(split: str) -> str:
    split = _LOWER.sub(r"(?:(?![A-Z])[\\p{Lu}\\p{Lt}\1])", split)
    return _UPPER.sub(r"(?:(?![a-z])[\\p{Ll}\1])", split)


def _without_marks(text: str) -> str:
    return "".join(letter for letter in text if not unicodedata.category(letter).startswith("M"))


def _first_of_syllables(text: str) -> str:
    return _SYLLABLE.sub(lambda found: unicodedata.normalize("NFD", found[0])[0], text)


def _apart(text: str) -> str:
    """With spaces around all punctuation, at which the library parts words as well where it knows it."""
    return "".join(f" {each} " if unicodedata.category(each).startswith("P") else each for each in text)


_CASED = (
    Deviation("combining marks are no part of a word", _splits(lambda split: split.replace(r"\p{M}]", "]"))),
    Deviation("the case of letters beyond ASCII is not seen", _splits(_caseless)),
)
_COMPOSED = (Deviation("texts are not composed (NFC)", _not_composed),)
_WORDPIECE = (
    Deviation("combining marks of all kinds are dropped", text=_without_marks),
    Deviation("of a Hangul syllable the first letter is kept", text=_first_of_syllables),
    Deviation("U+000B, U+000C and U+0085 part words", text=lambda text: text.translate(_SPACES)),
    Deviation("punctuation that Unicode has since version 12 parts words", text=_apart),
)


def deviations_of(document: Json) -> tuple[Deviation, ...]:
    """Those that matter to the tokenizer of this tokenizer.json."""
    if document["model"]["type"] == "WordPiece":
        return _WORDPIECE
    if document.get("normalizer") == {"type": "NFC"}:
        return _COMPOSED
    return _CASED if r"\p{Lu}" in json.dumps(document["pre_tokenizer"]).replace(r"\\", "\\") else ()


def explained(tokenizer: Tokenizer, differing: Mapping[str, list[int]]) -> Counter[str]:
    """How many of the texts, with llama.cpp's ids of each, differ by which deviations; "" for those left."""
    document = json.loads(tokenizer.to_str()) if differing else {"model": {"type": ""}, "pre_tokenizer": None}
    known = deviations_of(document)
    sets = [chosen for count in range(1, len(known) + 1) for chosen in combinations(known, count)]

    @cache
    def deviant(edits: tuple[Callable[[Json], None], ...]) -> Tokenizer:
        changed = copy.deepcopy(document)
        for edit in edits:
            edit(changed)
        return Tokenizer.from_str(json.dumps(changed)) if edits else tokenizer

    def ids(text: str, chosen: tuple[Deviation, ...]) -> list[int]:
        for each in chosen:
            text = each.text(text) if each.text else text
        edits = tuple(each.document for each in chosen if each.document)
        return list(deviant(edits).encode(text).ids)

    found: Counter[str] = Counter()
    for text, wanted in differing.items():
        fitting = (chosen for chosen in sets if ids(text, chosen) == wanted)
        found[" and ".join(each.name for each in next(fitting, ()))] += 1
    return found
