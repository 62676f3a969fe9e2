"""tokenizer.json taken apart: as Python has JSON, but for vocabulary and merges, which never become objects.

A real one has 128,000 tokens and 280,000 merges: as text they are copied into a GGUF and looked through
together (`Joined`), with nothing done for each. Where they are not written as usual, or cannot be read so
here, the file is read as any other.
Knows nothing of what the document means.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np

from translators.joined import Joined
from translators.vocab.folder import Folder
from translators.vocab.lists import merges_of, vocabulary_of

NAME = "tokenizer.json"


class Document(NamedTuple):
    """The document, its merges, "left right" each, and its tokens by id.

    Where `merges` is None there are none, or they are only in the document, and want more care; the same goes
    for `tokens`, which are None without `merges`.
    """

    json: dict[str, Any]
    merges: Joined | None
    tokens: Joined | None = None


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
        merges = merges_of(memoryview(inner.pop("merges")))
        if merges is None:
            return None
        tokens = vocabulary_of(memoryview(inner["vocab"])) if "vocab" in inner else None
        if tokens is not None:
            del inner["vocab"]
        found = {key: msgspec.json.decode(value) for key, value in outer.items() if bytes(value)}
        found["model"] = {key: msgspec.json.decode(value) for key, value in inner.items()}
    except (KeyError, ValueError, RecursionError):
        return None
    return Document(found, merges, tokens)


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
