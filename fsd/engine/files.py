"""EngineFile: a handle on a layout. Cuts a read into pieces, and sees when a reader is sequential.

A piece is either read straight through (it is a slice of a source, literal or padding) or cut out of a
chunk. The chunks of one read are asked for some way ahead of the one that is waited for, so that they are
translated side by side. Knows nothing of who translates, nor of names.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from types import TracebackType
from typing import TYPE_CHECKING

from fsd.engine.chunks import CHUNK
from fsd.engine.opened import OpenLayout
from fsd.errors import StaleHandle
from translators.ranges import ByteRange

if TYPE_CHECKING:
    from fsd.engine.flights import Engine

# A piece of a read: bytes, or a view of a chunk. Making one asks for its chunk; calling it waits.
_Piece = Callable[[], bytes | memoryview]


class EngineFile:
    """A handle and context manager. Reads may run side by side; `close` may be called while they do."""

    def __init__(self, engine: Engine, opened: OpenLayout, number: int) -> None:
        self._engine = engine
        self._opened = opened
        self._number = number
        self._window = max(2, 2 * engine.workers)
        self._pattern = _Pattern(self._window * CHUNK)
        self._lock = threading.Lock()
        self._asked_from = -1
        self._closed = False

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return self._opened.layout.size

    @property
    def identity(self) -> str:
        """The layout's identity."""
        return self._opened.layout.identity

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` (0 or more); fewer only at the end of the file.

        Raises StaleHandle (closed), and what `Layout.read_into` raises.
        """
        wanted = ByteRange(offset, max(0, min(size, self.size - offset)))
        with self._lock:
            if self._closed:
                raise StaleHandle("the file has been closed")
            self._engine.begin_read(self._opened)
            sequential, broken = self._pattern.follow(wanted)
        data = b""
        try:
            self._opened.prove_current()
            if broken:
                self._asked_from = -1
                self._engine.call_off(self._number)
            if sequential:
                self._read_ahead(wanted)
            data = self._read(wanted)
        except CancelledError:
            raise StaleHandle("the engine was closed while the file was read") from None
        finally:
            self._engine.end_read(self._opened, len(data))
        return data

    def close(self) -> None:
        """Let go of the layout, and of what was to be read ahead. Twice is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._engine.call_off(self._number)
        self._engine.release(self._opened)

    def __enter__(self) -> EngineFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, wanted: ByteRange) -> bytes:
        waiting: deque[_Piece] = deque()
        parts: list[bytes | memoryview] = []
        for piece in self._pieces(wanted):
            waiting.append(piece)
            if len(waiting) > self._window:
                parts.append(waiting.popleft()())
        parts += [piece() for piece in waiting]
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def _read_ahead(self, wanted: ByteRange) -> None:
        following = -(-wanted.end // CHUNK)
        if following == self._asked_from:  # small reads: this chunk's successors were asked for already
            return
        self._asked_from = following
        for number in range(following, min(following + self._engine.ahead, self._opened.chunks)):
            if self._opened.is_translated(self._opened.chunk(number)):
                self._engine.chunk_ahead(self._opened, number, self._number)

    def _pieces(self, wanted: ByteRange) -> Iterator[_Piece]:
        """What makes up `wanted`, in order; neighbouring parts that need no translation are one piece."""
        untranslated = at = wanted.offset
        while at < wanted.end:
            end = min((at // CHUNK + 1) * CHUNK, wanted.end)
            if self._opened.is_translated(ByteRange(at, end - at)):
                if untranslated < at:
                    yield self._straight(untranslated, at)
                yield self._from_chunk(at, end)
                untranslated = end
            at = end
        if untranslated < at:
            yield self._straight(untranslated, at)

    def _straight(self, start: int, end: int) -> _Piece:
        return lambda: self._opened.layout.read(start, end - start)

    def _from_chunk(self, start: int, end: int) -> _Piece:
        number = start // CHUNK
        result = self._engine.chunk(self._opened, number)
        return lambda: result.result()[start - number * CHUNK : end - number * CHUNK]


class _Pattern:
    """Whether a handle is read front to back, give or take `slack` bytes.

    The slack is for the kernel, which sends several read-ahead requests at once, in any order.
    """

    def __init__(self, slack: int) -> None:
        self._slack = slack
        self._frontier = 0
        self._run = 0

    def follow(self, read: ByteRange) -> tuple[bool, bool]:
        """Note a read. Returns whether it goes on a sequence, and whether it breaks one."""
        if abs(read.offset - self._frontier) <= self._slack:
            if read.end > self._frontier:
                self._frontier = read.end
                self._run += 1
            return self._run > 1, False
        broken = self._run > 1
        self._frontier, self._run = read.end, 1
        return False, broken
