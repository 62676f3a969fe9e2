"""Changes that a byte-wise fuzzer seldom finds: a value of JSON becomes another kind of value.

`changed(name, content, random)` changes a JSON file, or the header of a safetensors file; None for any other.
Knows nothing of what the values mean.
"""

from __future__ import annotations

import json
import struct
from copy import deepcopy
from random import Random
from typing import Any

# What has broken parsers before: wrong kinds, ends of ranges, what converts silently.
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 31, 2**31, 2**32, 2**63 - 1, 2**64, -(2**63), 10**30,
    0.0, -0.5, 1e308, 1e-45, float("nan"), float("inf"),
    "", "0", "a", "\0", "\ud800", "\U0001f600", "../x", [], [0], [[]], ["a"], {}, {"a": 1}, {"type": "x"},
)  # fmt: skip
_HEADER = struct.Struct("<Q")


def changed(name: str, content: bytes, random: Random) -> bytes | None:
    """The file with one to three values changed; None where it is no file of JSON."""
    if name.endswith(".json"):
        return _changed_json(content, random)
    if name.endswith(".safetensors") and len(content) >= _HEADER.size:
        (length,) = _HEADER.unpack_from(content)
        header = _changed_json(content[8 : 8 + length], random) if length < len(content) else None
        return None if header is None else _HEADER.pack(len(header)) + header + content[8 + length :]
    return None


def _changed_json(content: bytes, random: Random) -> bytes | None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    for _ in range(random.randint(1, 3)):
        document = _changed(document, random)
    return json.dumps(document).encode()


def _changed(value: Any, random: Random) -> Any:
    """The value with something in it changed, removed, doubled or exchanged."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.1:
        return deepcopy(random.choice(_VALUES))
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = random.choice(keys)
    what = random.random()
    if what < 0.1:
        del value[key]
    elif what < 0.2:
        value[key] = deepcopy(value[random.choice(keys)])
    elif what < 0.3 and isinstance(value, list):
        value.insert(random.randint(0, len(value)), deepcopy(random.choice((value[key], *_VALUES))))
    elif what < 0.3:
        value[str(random.choice((*keys, "a", "")))] = deepcopy(random.choice((value[key], *_VALUES)))
    else:
        value[key] = _changed(value[key], random)
    return value
