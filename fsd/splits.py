"""Names of GGUFs in splits: `gguf/<Model>-Q4_K_M-00002-of-00003.gguf`.

A name tells how many files there are; how many bytes go into each is configured (`split_size`), and where
that gives another number, or nothing is configured, it is the smallest size in whole megabytes that gives as
many. The splits of one type are planned together, as a directory that has no place in a listing: its name
here is what the translators know it by (`translators.targets.gguf_splits`).
Knows nothing of planning, and of the bytes no more than their number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL | re.IGNORECASE)
_FOLDER = re.compile(r"gguf-(?P<kind>\w+?(?:-noimat)?)-(?:by-\d+m|of-\d+)")
_MEGABYTE = 1_000_000


class SplitName(NamedTuple):
    """Split `number` (from 1) of the `total` of the GGUF at the path `whole`."""

    whole: str
    number: int
    total: int

    @staticmethod
    def of(path: str) -> SplitName | None:
        """What a path in a model's directory says; None where it names no split."""
        match = _NAME.fullmatch(path)
        if match is None or not 1 <= int(match["number"]) <= int(match["count"]):
            return None
        return SplitName(f"{match['stem']}.gguf", int(match["number"]), int(match["count"]))


def split_path(whole: str, name: str) -> str:
    """The path of the split that the translators call `name`, beside the GGUF at the path `whole`."""
    match = _NAME.fullmatch(name)
    assert match is not None, name
    return f"{whole.removesuffix('.gguf')}-{match['number']}-of-{match['count']}.gguf"


def by_size(kind: str, size: int) -> str:
    """The directory of the splits of at most `size` bytes, which are whole megabytes."""
    return f"gguf-{kind}-by-{size // _MEGABYTE}m"


def by_count(kind: str, count: int) -> str:
    """The directory of so many splits."""
    return f"gguf-{kind}-of-{count}"


def kind_of(folder: str) -> str | None:
    """The type of the splits in this directory, lower case; None for another directory."""
    match = _FOLDER.fullmatch(folder)
    return match["kind"] if match else None
