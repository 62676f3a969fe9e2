"""The links of a group: the objects in it, by name. Of all three ways that HDF5 keeps them in.

Hard links alone lead to what is listed: a soft link is another name of something that has one, and is left
out. A link to another file is refused by name and never followed: nothing outside the model is opened.
Knows nothing of what objects are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from translators.sources.hdf5.headers import LINK, LINK_INFO, SYMBOL_TABLE, Header
from translators.sources.hdf5.heaps import LONGEST_NAME, FractalHeap, LocalHeap
from translators.sources.hdf5.region import Cursor
from translators.sources.hdf5.trees import GROUP, new_tree, old_tree
from translators.sources.stored_file import clipped

_BY_NAME = 5
_HARD, _SOFT = 0, 1
_SOFT_IN_CACHE = 2
_NUMBERS = re.compile(r"(\d+)", re.ASCII)


class Link(NamedTuple):
    """A name, and the address of the object that it leads to. `order`: when it was made, -1 if unknown."""

    name: str
    address: int
    order: int


def links_of(header: Header) -> list[Link]:
    """The hard links of a group in the order in which they were made, if that is known for all; else by name,
    numbers in it as numbers. Raises MalformedSource, Unsupported.
    """
    found = [*_table(header), *(link for body in header.all(LINK) for link in _link(body)), *_many(header)]
    if len({link.name for link in found}) != len(found):
        raise header.file.malformed("two links of one name", header.file.base + header.address)
    if all(link.order >= 0 for link in found):
        return sorted(found, key=lambda link: link.order)
    return sorted(found, key=lambda link: natural(link.name))


def natural(name: str) -> list[tuple[str, int, str]]:
    """What sorts `vars/2` before `vars/10`: text, and numbers by how long they are."""
    parts = _NUMBERS.split(name)
    numbers = [(number.lstrip("0"), number) for number in parts[1::2]] + [("", "")]
    return [(text, len(n), n + full) for text, (n, full) in zip(parts[::2], numbers, strict=True)]


def is_group(header: Header) -> bool:
    """Whether the object has links."""
    return header.has(SYMBOL_TABLE) or header.has(LINK_INFO) or header.has(LINK)


def _table(header: Header) -> Iterator[Link]:
    """Of the older kind: a tree of tables, whose names are in a heap."""
    file = header.file
    for body in header.all(SYMBOL_TABLE):
        tree, names = body.there(), LocalHeap(file, body.there())
        entry = 2 * file.address_width + 24
        seen: set[int] = set()
        for _, address in old_tree(file, tree, GROUP, file.length_width):
            table = file.block(address, 8, b"SNOD")
            table.take(2)
            count = table.uint(2)
            if address in seen:
                raise table.malformed("a group that has the same names twice")
            seen.add(address)
            entries = file.block(address + 8, count * entry)
            for _ in range(count):
                one = entries.part(entry)
                name, at = names.name(one.uint(file.address_width)), one.address()
                if one.uint(4) != _SOFT_IN_CACHE:
                    if at is None:
                        raise one.malformed("a link to nowhere")
                    yield Link(_text(one, name), at, -1)


def _many(header: Header) -> Iterator[Link]:
    """Of the newer kind, where there are many: messages in a heap, found by a tree."""
    info = header.first(LINK_INFO)
    if info is None:
        return
    if info.uint(1):
        raise header.file.unsupported("a group of an unknown version")
    info.take(8 if info.uint(1) & 1 else 0)
    heap, tree = info.address(), info.address()
    if heap is not None and tree is not None:
        messages = FractalHeap(header.file, heap)
        for record in new_tree(header.file, tree, _BY_NAME):
            record.take(4)  # of its name's hash
            yield from _link(messages.object(record.part(messages.id_length)))


def _link(body: Cursor) -> Iterator[Link]:
    if body.uint(1) != 1:
        raise body.file.unsupported("a link of an unknown version")
    flags = body.uint(1)
    kind = body.uint(1) if flags & 8 else _HARD
    order = body.uint(8) if flags & 4 else -1
    body.take(1 if flags & 16 else 0)
    length = body.uint(1 << (flags & 3))
    if not 0 < length <= LONGEST_NAME:
        raise body.malformed(f"a name of {length:,} bytes")
    name = _text(body, body.take(length))
    if kind == _HARD:
        yield Link(name, body.there(), order)
    elif kind != _SOFT:
        reason = f"{clipped(name)!r} is a link to another file, which is not followed"
        raise body.file.unsupported(reason, "copy what it links to into this file with h5repack or h5copy")


def _text(at: Cursor, name: bytes) -> str:
    try:
        text = name.decode()
    except UnicodeDecodeError as error:
        raise at.malformed("a name that is no text") from error
    if not text or "/" in text or "\0" in text:
        raise at.malformed("a name that is none")
    return text
