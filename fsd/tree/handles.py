"""Handles: open files, of three kinds behind one face.

A source file behaves as the plain file that it is; a virtual file's bytes come from the engine; a status
file is text made when it was opened. Reads may run side by side; close when none is under way.
Knows nothing of names.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from types import TracebackType

from fsd.engine import EngineFile, Interrupt
from fsd.errors import StaleHandle


class Handle(ABC):
    """An open file: `ino`, `size` when it was opened, `read_into`, `backing`, `close`. A context manager."""

    def __init__(self, ino: int, size: int) -> None:
        self.ino = ino
        self.size = size

    @abstractmethod
    def read_into(self, offset: int, buffer: memoryview, interrupt: Interrupt | None = None) -> int:
        """Fill `buffer` from `offset`; returns how many bytes: fewer only at the end, none behind it.

        Raises StaleHandle, Interrupted, OSError, and what translating raises.
        """

    def view(self, offset: int, buffer: memoryview, interrupt: Interrupt | None = None) -> memoryview:
        """As `read_into`; gives the bytes, which are `buffer`'s or lie elsewhere in memory already."""
        return buffer[: self.read_into(offset, buffer, interrupt)]

    def read(self, offset: int, size: int) -> bytes:
        """As `read_into`, into bytes of its own."""
        buffer = bytearray(size)
        return bytes(memoryview(buffer)[: self.read_into(offset, memoryview(buffer))])

    def backing(self) -> int | None:
        """A descriptor of a plain file that holds exactly these bytes, open as long as the handle is.

        None where there is no such file. Whoever can read it by itself need not call `read`.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Let go of it. Twice is harmless."""

    def __enter__(self) -> Handle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SourceHandle(Handle):
    """A file of the source, read by pread. Raises OSError, StaleHandle where it is not as `expected`."""

    def __init__(self, ino: int, path: str, expected: tuple[int, int]) -> None:
        # Without O_NONBLOCK a pipe that was put in the file's place would hold the daemon up.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(self._descriptor)
        if (status.st_dev, status.st_ino) != expected or not stat.S_ISREG(status.st_mode):
            os.close(self._descriptor)
            raise StaleHandle("the file was replaced")
        super().__init__(ino, status.st_size)

    def read_into(self, offset: int, buffer: memoryview, interrupt: Interrupt | None = None) -> int:
        """What the file holds now."""
        if self._descriptor < 0:
            raise StaleHandle("the file has been closed")
        done = 0
        # One preadv gives 2 GiB at most, and some file systems less than was asked for.
        while done < len(buffer):
            count = os.preadv(self._descriptor, [buffer[done:]], offset + done)
            if not count:
                break
            done += count
        return done

    def backing(self) -> int | None:
        """The file itself."""
        return self._descriptor if self._descriptor >= 0 else None

    def close(self) -> None:
        """Close the descriptor."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class VirtualHandle(Handle):
    """A form of a model."""

    def __init__(self, ino: int, file: EngineFile) -> None:
        super().__init__(ino, file.size)
        self._file = file

    def read_into(self, offset: int, buffer: memoryview, interrupt: Interrupt | None = None) -> int:
        """Translated bytes; SourceChanged once the source is another."""
        return self._file.read_into(offset, buffer, interrupt)

    def view(self, offset: int, buffer: memoryview, interrupt: Interrupt | None = None) -> memoryview:
        """Of a chunk that has just been translated, its own bytes."""
        return self._file.view(offset, buffer, interrupt)

    def backing(self) -> int | None:
        """The store's file, once it holds all of it."""
        return self._file.lend()

    def close(self) -> None:
        """Let go of the layout."""
        self._file.close()


class TextHandle(Handle):
    """Bytes made when the file was opened."""

    def __init__(self, ino: int, data: bytes) -> None:
        super().__init__(ino, len(data))
        self._data = data

    def read_into(self, offset: int, buffer: memoryview, interrupt: Interrupt | None = None) -> int:
        """A part of them."""
        part = self._data[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """Nothing is held."""
