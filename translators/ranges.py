"""Ranges: which bytes of a file, which elements of a tensor.

A range is one value, not two loose integers, so that an offset is never mistaken for an end.
Knows nothing of files, tensors or formats.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`length` bytes of a file or layout, from `offset`."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The offset of the first byte after the range."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class ElementRange:
    """`count` elements of a tensor in row-major order, from `first`."""

    first: int
    count: int

    @property
    def end(self) -> int:
        """The index of the first element after the range."""
        return self.first + self.count

    def widened(self, unit: int, total: int) -> ElementRange:
        """The smallest range of whole units of `unit` elements that covers this one, within `total`."""
        first = self.first - self.first % unit
        end = min(-(-self.end // unit) * unit, total)
        return ElementRange(first, end - first)
