"""tokenizer.json taken apart: as Python has JSON, but for the merges, which never become as many objects.

A real one has 280,000: as text they are copied into a GGUF and looked through together (`Joined`), with
nothing done for each. Where they are not written as usual, the file is read as any other.
Knows nothing of what the document means.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec
import numpy as np

from translators.joined import Joined
from translators.vocab.folder import Folder

NAME = "tokenizer.json"
# How merges begin, from the first quote on: with texts, or with pairs of texts.
_TEXTS = re.compile(rb'\[\s*"[^"]*("\s*,\s*")?')
_PAIRS = re.compile(rb'\[\s*\[\s*"[^"]*("\s*,\s*")[^"]*("\s*\]\s*,\s*\[\s*")?')
# Escaped characters, and what stands in for them meanwhile: a text of JSON has no control characters.
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_STAND_INS = {b"\\": b"\1", b'"': b"\2"}
_WRITTEN_OUT = bytes.maketrans(b"\1\2", b'\\"')


class Document(NamedTuple):
    """The document and its merges, "left right" each.

    Where `merges` is None there are none, or they are only in the document, and want more care.
    """

    json: dict[str, Any]
    merges: Joined | None


def document_of(folder: Folder) -> Document:
    """The tokenizer.json of `folder`, read once; {} where there is none. Raises MalformedSource."""
    return folder.once(_read)


def _read(folder: Folder) -> Document:
    return (_apart(folder.data(NAME)) if folder.has(NAME) else None) or _whole(folder.json(NAME))


class _Parts(msgspec.Struct, forbid_unknown_fields=True):
    """What a tokenizer.json is made of; empty for what it does not have."""

    model: dict[str, msgspec.Raw]
    version: msgspec.Raw = msgspec.Raw()
    truncation: msgspec.Raw = msgspec.Raw()
    padding: msgspec.Raw = msgspec.Raw()
    added_tokens: msgspec.Raw = msgspec.Raw()
    normalizer: msgspec.Raw = msgspec.Raw()
    pre_tokenizer: msgspec.Raw = msgspec.Raw()
    post_processor: msgspec.Raw = msgspec.Raw()
    decoder: msgspec.Raw = msgspec.Raw()


_PARTS = msgspec.json.Decoder(_Parts)


def _apart(data: bytes) -> Document | None:
    """The document without its merges, and these; None where it has to be read as it is."""
    try:
        outer = msgspec.structs.asdict(_PARTS.decode(data))
        inner = outer.pop("model")
        merges = _written(bytes(inner.pop("merges")))
        found = {key: msgspec.json.decode(value) for key, value in outer.items() if bytes(value)}
        found["model"] = {key: msgspec.json.decode(value) for key, value in inner.items()}
    except (KeyError, ValueError, RecursionError):
        return None
    return None if merges is None else Document(found, merges)


def _written(array: bytes) -> Joined | None:
    """Merges out of an array in JSON; None for none, and where they are not all written like the first.

    Raises KeyError for a character that is escaped and need not be, ValueError for what is no UTF-8.
    """
    array = _ESCAPED.sub(lambda found: _STAND_INS[found[1]], array).rstrip(b" \t\r\n]")
    pairs = _PAIRS.match(array)
    begin = pairs or _TEXTS.match(array)
    if begin is None or not array.endswith(b'"'):
        return None
    data = array[array.index(b'"') + 1 : -1]
    for separator, text in zip(reversed(begin.groups()), (b"\0", b" "), strict=False):
        data = data if separator is None else data.replace(separator, text)
    if b'"' in data:
        return None
    data.decode()
    joined = Joined.as_it_is(data.translate(_WRITTEN_OUT))
    return joined if pairs is None or _have_one_space(joined) else None


def _whole(document: dict[str, Any]) -> Document:
    model = document.get("model")
    merges = model.get("merges") if isinstance(model, dict) else None
    if not isinstance(merges, list) or not merges:
        return Document(document, None)
    try:
        if set(map(type, merges)) != {list}:
            return Document(document, Joined.of(merges))
        joined = Joined.of(list(map(" ".join, merges))) if set(map(len, merges)) == {2} else None
    except (TypeError, UnicodeEncodeError):
        return Document(document, None)
    return Document(document, joined if joined is not None and _have_one_space(joined) else None)


def _have_one_space(pairs: Joined) -> bool:
    """Whether the two of each pair are told apart by a space, so that no token of theirs has one."""
    spaces = np.flatnonzero(np.frombuffer(pairs.data, np.uint8) == ord(" "))
    return len(spaces) == len(pairs) and bool(((pairs.starts <= spaces) & (spaces < pairs.ends)).all())
