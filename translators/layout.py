"""Layout: the exact bytes of one virtual file, as ordered segments of known length.

A layout is complete before a byte of tensor data is read (invariant I1): a header is literal bytes,
padding is a count, a tensor is a slice of a source file or a recipe. It is bound to the identity of every
source file that it was planned from; `identity` names the bytes themselves, so that whatever is kept
under it stays right.
Knows nothing of tensors' names or formats beyond what an error has to say; nothing of caches or threads
(reads may run side by side).
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate, compress

import msgspec

from translators.copying import copy
from translators.errors import BadValues
from translators.model import Extent, FileIdentity
from translators.ranges import ByteRange
from translators.reading import SourceFiles
from translators.recipes import Recipe, Stored, fill_bytes, nbytes, recipe_print, stored_bytes

# Raised whenever the same plan would give other bytes than before, so that nothing stale is ever served.
BYTES_VERSION = 1


class LiteralBytes(msgspec.Struct, frozen=True, tag="bytes", array_like=True, gc=False):
    """Bytes computed while planning: a header, a JSON file."""

    data: bytes

    @property
    def length(self) -> int:
        """Bytes in the layout."""
        return len(self.data)


class Zeros(msgspec.Struct, frozen=True, tag="zeros", array_like=True, gc=False):
    """Padding."""

    length: int


class TensorBytes(msgspec.Struct, frozen=True, tag="tensor", array_like=True, gc=False):
    """A tensor: `name` is for errors; a `Stored` recipe is a slice of its source file."""

    name: str
    recipe: Recipe

    @property
    def length(self) -> int:
        """Bytes in the layout."""
        return nbytes(self.recipe)


Segment = LiteralBytes | Zeros | TensorBytes


def print_of(segment: Segment) -> bytes:
    """What stands for a segment in a layout's identity; of literal bytes their digest."""
    if isinstance(segment, TensorBytes):
        return tensor_print(segment.name, segment.recipe)
    return _ENCODER.encode(blake2b(segment.data).digest() if isinstance(segment, LiteralBytes) else segment)


def tensor_print(name: str, recipe: Recipe) -> bytes:
    """`print_of` a tensor; where the recipe is a cast, its operand's with what follows it."""
    return _ENCODER.encode(name) + recipe_print(recipe)


def identity_of(files: tuple[FileIdentity, ...], prints: bytes) -> str:
    """The identity of a layout of `files` whose segments, as far as they are not empty, have these prints."""
    return blake2b(_ENCODER.encode((BYTES_VERSION, files)) + prints, digest_size=32).hexdigest()


class _Plan(msgspec.Struct, frozen=True, array_like=True):
    version: int
    files: tuple[FileIdentity, ...]
    segments: tuple[Segment, ...]


class Slice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a layout's bytes are a source's bytes: `range` of the layout is at `offset` of `file`."""

    range: ByteRange
    file: int
    offset: int


class Layout:
    """One virtual file's bytes: `size`, `identity`, `read_into`."""

    def __init__(self, files: tuple[FileIdentity, ...], segments: tuple[Segment, ...]) -> None:
        self.files = files
        lengths = [segment.length for segment in segments]
        self.segments = tuple(compress(segments, lengths))
        self._starts = list(accumulate(filter(None, lengths), initial=0))
        self.size = self._starts.pop()
        self.sources = SourceFiles(files)

    @staticmethod
    def whole(file: FileIdentity, name: str) -> Layout:
        """That of a source file as it is; `name` is for errors."""
        content = Stored(Extent(0, 0, file.size), "U8", (file.size,))
        return Layout((file,), (TensorBytes(name, content),))

    @cached_property
    def identity(self) -> str:
        """64 hex digits that name these bytes: same identity, same bytes."""
        return identity_of(self.files, b"".join(map(print_of, self.segments)))

    @cached_property
    def slices(self) -> tuple[Slice, ...]:
        """The parts that are a source's own bytes, which need no translation and no second copy."""
        return tuple(
            Slice(ByteRange(start, segment.length), segment.recipe.extent.file, segment.recipe.extent.offset)
            for start, segment in zip(self._starts, self.segments, strict=True)
            if isinstance(segment, TensorBytes) and isinstance(segment.recipe, Stored)
        )

    @property
    def is_translated(self) -> bool:
        """Whether any byte is computed rather than sliced or literal."""
        return any(
            isinstance(segment, TensorBytes) and not isinstance(segment.recipe, Stored)
            for segment in self.segments
        )

    @property
    def translated(self) -> int:
        """Bytes that are computed rather than sliced or literal."""
        return sum(
            segment.length
            for segment in self.segments
            if isinstance(segment, TensorBytes) and not isinstance(segment.recipe, Stored)
        )

    @property
    def source_bytes(self) -> int:
        """Bytes of the sources that a reader of all of it needs; those needed twice count twice."""
        return sum(
            stored_bytes(segment.recipe) for segment in self.segments if isinstance(segment, TensorBytes)
        )

    def encoded(self) -> bytes:
        """The layout as data, for another process or a disk."""
        return _ENCODER.encode(_Plan(BYTES_VERSION, self.files, self.segments))

    @staticmethod
    def decoded(data: bytes) -> Layout:
        """The layout that `encoded` gave. Raises msgspec.MsgspecError or ValueError for anything else."""
        plan = _DECODER.decode(data)
        if plan.version != BYTES_VERSION:
            raise ValueError(f"layout of version {plan.version}, this is {BYTES_VERSION}")
        return Layout(plan.files, plan.segments)

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer at the end, none behind it."""
        buffer = bytearray(max(0, min(length, self.size - offset)))
        if buffer:
            self.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes from `offset`; the range must lie within the layout.

        Raises ValueError for a range outside, SourceChanged, MalformedSource, MissingSource, BadValues.
        """
        if offset < 0 or offset + len(buffer) > self.size:
            raise ValueError(f"bytes {offset}+{len(buffer)} lie outside a layout of {self.size}")
        at = bisect_right(self._starts, offset) - 1
        filled = 0
        while filled < len(buffer):
            segment = self.segments[at]
            skip = offset + filled - self._starts[at]
            count = min(segment.length - skip, len(buffer) - filled)
            self._fill(segment, skip, buffer[filled : filled + count])
            filled += count
            at += 1

    def prefetch(self, part: ByteRange) -> None:
        """Have the system begin to read what of `part` is a source's own bytes. Never raises."""
        at = max(0, bisect_right(self._starts, part.offset) - 1)
        while at < len(self.segments) and self._starts[at] < part.end:
            segment, start = self.segments[at], self._starts[at]
            if isinstance(segment, TensorBytes) and isinstance(segment.recipe, Stored):
                first, end = max(part.offset, start), min(part.end, start + segment.length)
                extent = segment.recipe.extent
                self.sources.prefetch(extent.file, extent.offset + first - start, end - first)
            at += 1

    def close(self) -> None:
        """Close the source files; only when no read is under way."""
        self.sources.close()

    def _fill(self, segment: Segment, skip: int, buffer: memoryview) -> None:
        if isinstance(segment, LiteralBytes):
            copy(buffer, memoryview(segment.data)[skip : skip + len(buffer)])
        elif isinstance(segment, Zeros):
            buffer[:] = bytes(len(buffer))
        elif isinstance(segment.recipe, Stored):
            extent = segment.recipe.extent
            self.sources.read_into(extent.file, extent.offset + skip, buffer)
        else:
            try:
                fill_bytes(segment.recipe, skip, buffer, self.sources)
            except BadValues as error:
                error.place = f"tensor {segment.name}, {error.place}"
                raise


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Plan)
