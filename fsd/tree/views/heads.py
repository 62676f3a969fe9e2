"""What a GGUF's first bytes tell of the model: architecture and size, as a store's list shows them.

The bytes are those of a plan, and a plan is a stranger's word: every length is checked, and what does not
fit ends the search. The vocabulary comes last and is not looked at. Knows nothing of where bytes come from.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_HEAD = struct.Struct("<4sIQQ")
_COUNT, _KIND = struct.Struct("<Q"), struct.Struct("<I")
_STRING, _ARRAY = 8, 9
# Bytes of the scalar value types, by number.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Facts:
    """`general.architecture` ("llama") and `general.size_label` ("135M"), "" where it is not said."""

    architecture: str = ""
    size_label: str = ""


def facts_of(head: bytes) -> Facts:
    """What the first bytes of a GGUF say; nothing, if they are no such."""
    found: dict[str, str] = {}
    try:
        magic, _, _, count = _HEAD.unpack_from(head)
        at = _HEAD.size
        for _ in range(count if magic == b"GGUF" else 0):
            key, at = _text(head, at)
            (kind,) = _KIND.unpack_from(head, at)
            at += _KIND.size
            if kind == _STRING:
                value, at = _text(head, at)
                found.setdefault(key, value)
            elif kind == _ARRAY:
                at = _behind_array(head, at)
            else:
                at += _SIZES[kind]
            if at > len(head):
                break
            if {"general.architecture", "general.size_label"} <= found.keys():
                break
    except (struct.error, ValueError, KeyError):
        pass  # what was found until here stands
    return Facts(found.get("general.architecture", ""), found.get("general.size_label", ""))


def _text(head: bytes, at: int) -> tuple[str, int]:
    (length,) = _COUNT.unpack_from(head, at)
    start = at + _COUNT.size
    if length > min(_LONGEST, len(head) - start):
        raise ValueError("a string that does not fit")
    return head[start : start + length].decode("utf-8", "replace"), start + length


def _behind_array(head: bytes, at: int) -> int:
    (kind,) = _KIND.unpack_from(head, at)
    (count,) = _COUNT.unpack_from(head, at + _KIND.size)
    at += _KIND.size + _COUNT.size
    if kind != _STRING:
        return at + int(count) * _SIZES[kind]
    if count > 1000:
        raise ValueError("the vocabulary")
    for _ in range(count):
        _, at = _text(head, at)
    return at
