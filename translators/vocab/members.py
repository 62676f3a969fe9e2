"""Which of a million texts are tokens: sets of texts by 64-bit hashes, many asked about at once.

The hash of a text is the sum of its bytes, each times a power of an odd number: those of a whole portion of
texts come out of one running sum, and that of two texts in a row out of theirs. Unlike texts have the same
hash once in 2**64 by chance, and as often as somebody wants who chooses the texts: good for noticing that a
file is broken, not for what must not be fooled.
Knows nothing of vocabularies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from translators.joined import Bytes, Joined, Places

Hashes = npt.NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
_SPREAD = np.uint64(0xD6E8FEB86659FD93)
_AT_ONCE = 4096  # texts: their bytes and sums stay in the processor's cache
_SPACE = ord(" ")


class Pairs(NamedTuple):
    """Hashes of what pairs of texts have left, right, and in a row."""

    left: Hashes
    right: Hashes
    joined: Hashes

    @staticmethod
    def of(pairs: Joined) -> Iterator[Pairs | None]:
        """Of some "left right" after others, in their order; None where one is no such text."""
        for data, starts, ends in pairs.portions(_AT_ONCE):
            spaces = np.flatnonzero(data == _SPACE)
            if len(spaces) != len(starts) or not ((starts <= spaces) & (spaces < ends)).all():
                yield None
                return
            sums = _Sums(data)
            left, right = sums.hashes(starts, spaces), sums.hashes(spaces + 1, ends)
            yield Pairs(left, right, left + right * sums.powers[spaces - starts])


class TextSet:
    """A set of texts."""

    def __init__(self, texts: Joined) -> None:
        portions = (_Sums(data).hashes(starts, ends) for data, starts, ends in texts.portions(_AT_ONCE))
        found = np.concatenate([np.zeros(0, np.uint64), *portions])
        self._shift = np.uint64(64 - max(10, len(texts).bit_length() + 3))
        self._table = np.zeros(1 << (64 - int(self._shift)), np.uint64)
        self._table[self._slots(found)] = found
        # Those whose place another took.
        self._others = np.sort(found[self._table[self._slots(found)] != found])

    def has(self, asked: Hashes) -> npt.NDArray[np.bool_]:
        """Whether the texts of these hashes are in it."""
        found: npt.NDArray[np.bool_] = self._table[self._slots(asked)] == asked
        if self._others.size and not found.all():
            missed = np.flatnonzero(~found)
            places = np.searchsorted(self._others, asked[missed])
            found[missed] = self._others[np.minimum(places, self._others.size - 1)] == asked[missed]
        return found

    def _slots(self, hashes: Hashes) -> Hashes:
        return (hashes * _SPREAD) >> self._shift


class _Sums:
    """Running sums over `data`, by which any part of it is hashed."""

    _known = (np.ones(1, np.uint64), np.ones(1, np.uint64))

    def __init__(self, data: Bytes) -> None:
        if self._known[0].size <= data.size:
            _Sums._known = _powers(_BASE, 2 * data.size), _powers(_INVERSE, 2 * data.size)
        self.powers, self._inverse = self._known
        self._sums = np.zeros(data.size + 1, np.uint64)
        # One is added, so that a NUL counts.
        np.cumsum((data.astype(np.uint64) + np.uint64(1)) * self.powers[: data.size], out=self._sums[1:])

    def hashes(self, starts: Places, ends: Places) -> Hashes:
        """Of the parts from `starts` to `ends`."""
        found: Hashes = (self._sums[ends] - self._sums[starts]) * self._inverse[starts]
        return found


def _powers(base: int, count: int) -> Hashes:
    factors = np.full(count + 1, base, np.uint64)
    factors[0] = 1
    found: Hashes = np.cumprod(factors, dtype=np.uint64)
    return found
