"""Vocabularies told by ranks alone (tiktoken): a rank is a token's id and its place in the order of merging.

Promises the merges that upstream derives: of each token the one split that merging up to its own rank leaves
(`merges`), or every split into two tokens (`every_split`). A line of a .tiktoken file is base64 and a rank.
Knows nothing of special tokens.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping

from translators.vocab.folder import Folder
from translators.vocab.tokens import MAX_TOKENS

# A token longer than this is no word; splitting one takes time that grows with the square.
_MAX_LENGTH = 1024


def _characters() -> tuple[str, ...]:
    plain = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
    others = [byte for byte in range(256) if byte not in plain]
    shown = {byte: chr(byte) for byte in plain} | {byte: chr(0x100 + at) for at, byte in enumerate(others)}
    return tuple(shown[byte] for byte in range(256))


CHARACTERS = _characters()
"""The character that stands for each byte in a byte-level vocabulary."""


def shown(token: bytes) -> str:
    """A token's bytes as a byte-level vocabulary writes them."""
    return "".join(map(CHARACTERS.__getitem__, token))


def read_ranks(folder: Folder, name: str) -> dict[bytes, int]:
    """Rank by token, in the order of the file. Raises MissingSource, MalformedSource."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(folder.data(name).splitlines()):
        if not line:
            continue
        try:
            text, rank = line.split()
            token = base64.b64decode(text, validate=True)
            ranks[token] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise folder.malformed(name, "is no list of tokens and ranks", f"line {number + 1:,}") from error
        if not 0 < len(token) <= _MAX_LENGTH or not 0 <= ranks[token] < MAX_TOKENS:
            raise folder.malformed(name, "a token or rank that cannot be", f"line {number + 1:,}")
    if not ranks or len(set(ranks.values())) != len(ranks):
        raise folder.malformed(name, "has no tokens, or a rank twice")
    return ranks


def merges(ranks: Mapping[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    """The merge that makes each token, in the order of `ranks`; none for one that no single merge makes."""
    for token, rank in ranks.items():
        if len(token) > 1:
            parts = _merged(ranks, token, rank)
            if len(parts) == 2:
                yield parts[0], parts[1]


def _merged(ranks: Mapping[bytes, int], token: bytes, limit: int) -> list[bytes]:
    """`token` merged from single bytes by all merges of a rank below `limit`."""
    parts = [token[at : at + 1] for at in range(len(token))]
    pairs = [ranks.get(token[at : at + 2], limit) for at in range(len(token) - 1)]
    while pairs:
        rank = min(pairs)
        if rank >= limit:
            break
        at = pairs.index(rank)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        del pairs[at]
        if at:
            pairs[at - 1] = ranks.get(parts[at - 1] + parts[at], limit)
        if at < len(pairs):
            pairs[at] = ranks.get(parts[at] + parts[at + 1], limit)
    return parts


def every_split(ranks: Mapping[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    """Every split of each token of several bytes into two tokens: by rank, then the halves' ranks.

    A token of several bytes without any is passed over.
    """
    for token in sorted(ranks, key=ranks.__getitem__):
        splits = ((token[:at], token[at:]) for at in range(1, len(token)))
        known = [(left, right) for left, right in splits if left in ranks and right in ranks]
        yield from sorted(known, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
