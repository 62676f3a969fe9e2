"""What is wrong with the bytes of a read, in words. Imports nothing: readers start in no time."""

from __future__ import annotations

CHUNK = 1 << 20


class WrongBytes(AssertionError):
    """The mount gave other bytes than the reference has, or told of another size."""


def difference(offset: int, got: bytes, right: bytes) -> str:
    """In words: where `got`, read from `offset`, differs from what is right."""
    if len(got) != len(right):
        return f"{len(got)} bytes at {offset}, not {len(right)}"
    wrong = [at for at, (one, other) in enumerate(zip(got, right, strict=True)) if one != other]
    first, last = offset + wrong[0], offset + wrong[-1]
    shown = got[wrong[0] : wrong[0] + 16].hex(), right[wrong[0] : wrong[0] + 16].hex()
    return (
        f"{len(wrong)} wrong bytes of {len(got)} from {offset}: "
        f"the first at {first} (chunk {first // CHUNK}), the last at {last}; {shown[0]} instead of {shown[1]}"
    )
