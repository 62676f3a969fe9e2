"""Inputs made smaller, as long as they show the same bug: pieces are left out, half of it first.

Knows nothing of what a bug is: `shows` says whether there still is one.
"""

from __future__ import annotations

from collections.abc import Callable


def smaller(data: bytes, shows: Callable[[bytes], bool], tries: int = 3000) -> bytes:
    """`data` without most of what `shows` has no need of, after so many tries at most."""
    piece = len(data) // 2
    while piece and tries > 0:
        at = 0
        while at < len(data) and tries > 0:
            less = data[:at] + data[at + piece :]
            tries -= 1
            if less and shows(less):
                data = less
            else:
                at += piece
        piece //= 2
    return data
