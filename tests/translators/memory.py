"""A source of one file that lies in memory, for tests of recipes; and values in it as recipes."""

from __future__ import annotations

import numpy as np

from translators.model import Extent
from translators.recipes import Stored

NAMES = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64", "uint8": "U8", "int16": "I16"}


class Memory:
    """A file that notes what is asked of it. Tensors are put into it, each behind a few other bytes."""

    def __init__(self) -> None:
        self.data = bytearray(b"header..")
        self.asked: list[tuple[int, int]] = []

    def read(self, file: int, offset: int, length: int) -> bytearray:
        """The bytes asked for, which must exist and be some."""
        assert file == 0
        assert 0 < length <= len(self.data) - offset
        self.asked.append((offset, length))
        return self.data[offset : offset + length]

    def put(self, values: np.ndarray, name: str = "", shape: tuple[int, ...] | None = None) -> Stored:
        """The recipe of `values`, which are now in the file; of `name` and `shape` if they are raw blocks."""
        raw = values.tobytes()
        start = len(self.data)
        self.data += raw + b"between"
        extent = Extent(0, start, len(raw))
        return Stored(extent, name or NAMES[values.dtype.name], shape or values.shape)

    @property
    def bytes_asked(self) -> int:
        """How many bytes were asked for since the list was last emptied."""
        return sum(length for _, length in self.asked)
