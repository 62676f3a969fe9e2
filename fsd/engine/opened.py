"""A layout in use: which of its chunks are kept, and whether its source is still the one planned from.

Shared by every handle of one identity. `users` is the engine's, under the engine's lock; the rest may be
asked by many threads at once. Knows nothing of chunks in flight, nor of stores.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass

from fsd.engine.chunks import CHUNK, ChunkKey
from translators.layout import Layout, TensorBytes
from translators.ranges import ByteRange

# A source that changes is noticed by the layout whenever it is read. Bytes from a store read no source, so
# there the files are looked at, at most this often (seconds): 100 shards cost 150 us a look.
_LOOK_AGAIN = 0.05


@dataclass(eq=False)
class OpenLayout:
    """A layout, used by `users` handles, reads and chunks under way. `target` is what it is counted under.

    Where most of a layout has to be computed, all of it is kept, header and all, so that one file of the
    store holds it from end to end. Of any other only the computed parts are kept (`is_kept`); the rest is
    read through, as it lies in the source already.
    """

    layout: Layout
    users: int = 0
    target: str = ""

    def __post_init__(self) -> None:
        self._translated = _translated(self.layout)
        self.kept_whole = 2 * self.layout.translated >= self.layout.size > 0
        self._bytes_read_before = self.layout.sources.bytes_read
        self._looked = float("-inf")

    @property
    def source_bytes(self) -> int:
        """What was read from the sources since the layout was opened."""
        return self.layout.sources.bytes_read - self._bytes_read_before

    @property
    def chunks(self) -> int:
        """How many chunks the file has; the last may be short."""
        return -(-self.layout.size // CHUNK)

    def key(self, number: int) -> ChunkKey:
        """What chunk `number` is called."""
        return ChunkKey(self.layout.identity, number)

    def chunk(self, number: int) -> ByteRange:
        """Where chunk `number` lies in the file."""
        start = number * CHUNK
        return ByteRange(start, min(CHUNK, self.layout.size - start))

    def is_kept(self, part: ByteRange) -> bool:
        """Whether `part`, which lies in one chunk, comes from a kept chunk, not through the source."""
        if self.kept_whole:
            return True
        at = bisect_right(self._translated, part.offset, key=lambda piece: piece.end)
        return at < len(self._translated) and self._translated[at].offset < part.end

    def kept_chunks(self) -> list[int]:
        """The chunks that a store keeps once all of the file was read."""
        return [number for number in range(self.chunks) if self.is_kept(self.chunk(number))]

    def prove_current(self) -> None:
        """Raise SourceChanged where a source file is no longer the one that was planned from.

        Raises MissingSource where that cannot be told.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_AGAIN:
            return
        self.layout.sources.prove_unchanged()
        self._looked = now


def _translated(layout: Layout) -> list[ByteRange]:
    """The parts that are computed, neighbours joined, in order."""
    sliced = {part.range.offset for part in layout.slices}
    parts: list[ByteRange] = []
    at = 0
    for segment in layout.segments:
        if isinstance(segment, TensorBytes) and at not in sliced:
            before = parts.pop() if parts and parts[-1].end == at else ByteRange(at, 0)
            parts.append(ByteRange(before.offset, before.length + segment.length))
        at += segment.length
    return parts
