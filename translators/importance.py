"""Importance: how much each column of a tensor matters when it is quantised.

An importance matrix (llama-imatrix makes them, `sources/imatrix.py` reads them) has for each weight tensor
the squares of the activations that met its columns, summed; a tensor of stacked experts has a slice of
columns for each. Only where the sums lie is kept: they are read with the weights that they belong to, from
a source file like any other, so a layout stays small and never mixes two versions of a matrix.
Knows nothing of tensors' shapes or types, nor of file formats.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from translators.model import Extent, FileIdentity

Floats = npt.NDArray[np.float32]

WIDTH = 4  # bytes of a sum, a float32


class Source(Protocol):
    """Where extents are read from, as in `recipes`."""

    def read(self, file: int, offset: int, length: int) -> memoryview | bytearray:
        """`length` bytes from `offset` of file number `file`."""


class Importance(msgspec.Struct, frozen=True, array_like=True):
    """The weights of a tensor's columns, one slice of columns after another.

    extent: the sums, as float32.
    counts: what each of as many equal parts of the sums is divided by; where it is 0, nothing was observed
            and every column of the part weighs 1.
    """

    extent: Extent
    counts: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many columns there are, of all slices together."""
        return self.extent.length // WIDTH

    def read(self, first: int, count: int, source: Source) -> Floats:
        """The weights of `count` columns from `first`, by upstream's arithmetic in float32."""
        raw = source.read(self.extent.file, self.extent.offset + first * WIDTH, count * WIDTH)
        return self.averaged(np.frombuffer(raw, "<f4"), first)

    def averaged(self, sums: Floats, first: int) -> Floats:
        """The weights of the columns from `first` on, of which these are the sums."""
        part = self.size // len(self.counts)
        counts = np.array(self.counts[first // part : (first + sums.size - 1) // part + 1], np.float32)
        if counts.size > 1:
            counts = counts[np.arange(first, first + sums.size) // part - first // part]
        if counts.all():
            return np.asarray(sums / counts, np.float32)
        return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), 1), np.float32)


@dataclass(frozen=True)
class ImportanceMatrix:
    """A file of importance, checked as a whole: every weight is finite, not negative and of sane size.

    identity: the file, which every extent of `entries` is in.
    entries:  by the name of the tensor.
    dataset:  what the first text that it was made from is called, if the file says so.
    chunks:   how many pieces of text it was made from; 0 if unknown.
    """

    identity: FileIdentity
    entries: Mapping[str, Importance]
    dataset: bytes | None
    chunks: int

    @property
    def file(self) -> str:
        """The file's name, without its directory."""
        return os.fsdecode(self.identity.path.rpartition(b"/")[2])
