"""Object headers: the messages that describe a group, a dataset or a named type, of both versions.

    header = header_of(file, address)
    header.first(DATASPACE)          # its body as a cursor, or None

A message may be shared, that is, lie in the header of a named type; the checksums of the newer version are
not verified, as every length and address is. Knows nothing of what messages mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from translators.sources.hdf5.region import Cursor, Hdf5File

(
    DATASPACE, LINK_INFO, DATATYPE, OLD_FILL, FILL, LINK, EXTERNAL, LAYOUT, FILTERS, ATTRIBUTE,
    CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO,
) = 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 17, 21  # fmt: skip
_SHARED = 2
# Most headers are no longer: one read.
_AT_ONCE = 512
_MOST_MESSAGES = 1 << 16


class Message(NamedTuple):
    """One message: its type, its flags, and its body."""

    type: int
    flags: int
    body: Cursor


class Header(NamedTuple):
    """The messages of an object, in their order."""

    file: Hdf5File
    address: int
    messages: tuple[Message, ...]

    def has(self, type: int) -> bool:
        """Whether there is such a message."""
        return any(message.type == type for message in self.messages)

    def all(self, type: int) -> Iterator[Cursor]:
        """The bodies of all messages of a type. Raises Unsupported for those in a heap of the file's."""
        for message in self.messages:
            if message.type == type:
                yield shared(message.body, type) if message.flags & _SHARED else _again(message.body)

    def first(self, type: int) -> Cursor | None:
        """The body of the first message of a type, None where there is none."""
        return next(self.all(type), None)


def header_of(file: Hdf5File, address: int) -> Header:
    """The header at an address. Raises MalformedSource, Unsupported."""
    start = file.block(address, _AT_ONCE, most=True)
    newer = start.data.startswith(b"OHDR")
    size, flags = _sizes(start, newer)
    if size > start.left:
        start = file.block(address, start.at + size)
        _sizes(start, newer)
    blocks, seen = [start.part(size)], {address}
    messages: list[Message] = []
    for block in blocks:  # grows meanwhile
        for message in _messages(block, newer, flags):
            file.charge(0)
            messages.append(message)
            if len(messages) > _MOST_MESSAGES:
                raise block.malformed(f"an object of more than {_MOST_MESSAGES:,} messages")
            if message.type == CONTINUATION:
                body = _again(message.body)
                at, length = body.there(), body.length()
                if at in seen:
                    raise body.malformed("an object header that leads back to itself")
                seen.add(at)
                more = file.block(at, length, b"OCHK" if newer else b"")
                blocks.append(more.part(more.left - 4) if newer and more.left >= 4 else more)
    return Header(file, address, tuple(messages))


def shared(body: Cursor, type: int) -> Cursor:
    """The body of a message that is elsewhere: in the header of a named type."""
    body = _again(body)
    version, kind = body.uint(1), body.uint(1)
    if version == 1:
        body.take(6 + body.file.length_width)
    elif version not in (2, 3) or kind != _SHARED:
        raise body.file.unsupported("messages that are shared among objects")
    # Another's header, of which a message may not be elsewhere again.
    for message in header_of(body.file, body.there()).messages:
        if message.type == type and not message.flags & _SHARED:
            return message.body
    raise body.malformed("a named type that is none")


def _sizes(start: Cursor, newer: bool) -> tuple[int, int]:
    """How many bytes of messages follow, and flags; the cursor is then at the first."""
    if not newer:
        if start.uint(1) != 1:
            raise start.malformed("there is no object header")
        start.take(7)
        size = start.uint(4)
        start.take(4)
        return size, 0
    start.take(4)
    if start.uint(1) != 2:
        raise start.malformed("an object header of an unknown version")
    flags = start.uint(1)
    start.take((16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0))
    return start.uint(1 << (flags & 3)), flags


def _messages(block: Cursor, newer: bool, flags: int) -> Iterator[Message]:
    fixed = 8 if not newer else 6 if flags & 4 else 4
    while block.left >= fixed:
        type = block.uint(1 if newer else 2)
        size, own = block.uint(2), block.uint(1)
        block.take(fixed - (4 if newer else 5))
        yield Message(type, own, block.part(size))


def _again(body: Cursor) -> Cursor:
    return Cursor(body.file, body.data, body.place)
