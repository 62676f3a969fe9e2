"""Many short texts as one run of bytes: a million are looked at, hashed or packed together, not one by one.

A vocabulary has 128,000 tokens and 280,000 merges, and going over them in Python is most of what planning a
model takes. Between each two texts is a NUL; texts that have one themselves are told by None.
Knows nothing of vocabularies, nor of the file that they go into.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

_LENGTH = 8  # bytes of a length in front of a packed text


@dataclass(frozen=True, eq=False)
class Joined:
    """The texts and where in `data` each ends."""

    data: bytes | bytearray
    ends: Places

    @staticmethod
    def of(texts: Collection[Any], errors: str = "strict") -> Joined | None:
        """`texts`, text or bytes, as UTF-8; None where one has a NUL.

        Raises TypeError for what is neither all text nor all bytes, UnicodeEncodeError by `errors`.
        """
        try:
            data = "\0".join(texts).encode("utf-8", errors)
        except TypeError:
            data = b"\0".join(texts)
        joined = Joined.as_it_is(data) if texts else Joined(b"", np.zeros(0, np.int64))
        return joined if len(joined) == len(texts) else None

    @staticmethod
    def as_it_is(data: bytes) -> Joined:
        """One text or more, with a NUL between each two."""
        return Joined(data, np.append(np.flatnonzero(np.frombuffer(data, np.uint8) == 0), len(data)))

    def __len__(self) -> int:
        return self.ends.size

    def __getitem__(self, number: int) -> bytes:
        return bytes(self.data[self.starts[number] : self.ends[number]])

    def split(self) -> list[bytes]:
        """Each by itself."""
        return bytes(self.data).split(b"\0") if self.ends.size else []

    def changed(self, others: Mapping[int, bytes], more: Sequence[bytes]) -> Joined:
        """The same with `others` in place of some, by number, and `more` behind; none of them has a NUL."""
        parts, end = [], 0
        for number in sorted(others):
            parts += [self.data[end : self.starts[number]], others[number]]
            end = self.ends[number]
        parts += [self.data[end:], *(b"\0" + text for text in more)]
        made = Joined.as_it_is(b"".join(parts))
        assert self.ends.size and len(made) == len(self) + len(more)
        return made

    @cached_property
    def starts(self) -> Places:
        """Where each begins."""
        return np.append(0, self.ends[:-1] + 1) if self.ends.size else self.ends

    def portions(self, count: int) -> Iterator[tuple[Bytes, Places, Places]]:
        """`count` texts at a time: their bytes, and where in these each begins and ends."""
        data, starts = np.frombuffer(self.data, np.uint8), self.starts
        for first, stop in pairwise((*range(0, len(self), count), len(self))):
            begin = starts[first]
            ends = self.ends[first:stop] - begin
            yield data[begin : begin + ends[-1]], starts[first:stop] - begin, ends

    def packed(self, head: bytes = b"") -> bytes:
        """`head`, then each behind its length, of eight bytes, little endian."""
        if not self.ends.size:
            return head
        room = bytes(_LENGTH)
        data = bytearray().join((head, room, self.data.replace(b"\0", room)))
        lengths = self.ends - self.starts
        numbers = np.ndarray(len(data) - _LENGTH + 1, "<u8", data, strides=(1,))  # one at every byte
        numbers[np.cumsum(lengths + _LENGTH) - lengths - _LENGTH + len(head)] = lengths
        return bytes(data)
