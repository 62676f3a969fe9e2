"""Attributes that are texts, or lists of texts: what Keras notes the order of layers and weights in.

    texts(header, "layer_names")     # a tuple, () where there is no such attribute

Others are passed over. Knows nothing of what an attribute means.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from translators.sources.hdf5.datatypes import Kind, dataspace, datatype
from translators.sources.hdf5.headers import ATTRIBUTE, ATTRIBUTE_INFO, DATASPACE, DATATYPE, Header, shared
from translators.sources.hdf5.heaps import FractalHeap, global_object
from translators.sources.hdf5.region import Cursor
from translators.sources.hdf5.trees import new_tree

_BY_NAME = 8


def texts(header: Header, name: str) -> tuple[str, ...]:
    """The texts of an attribute, flat. Raises MalformedSource, Unsupported."""
    wanted = name.encode()
    for body in _attributes(header):
        found = _text(body, wanted)
        if found is not None:
            return tuple(each.decode("utf-8", "replace") for each in found)
    return ()


def _attributes(header: Header) -> Iterator[Cursor]:
    yield from header.all(ATTRIBUTE)
    info = header.first(ATTRIBUTE_INFO)
    if info is None or info.uint(1):
        return
    info.take(2 if info.uint(1) & 1 else 0)
    heap, tree = info.address(), info.address()
    if heap is not None and tree is not None:
        objects = FractalHeap(header.file, heap)
        for record in new_tree(header.file, tree, _BY_NAME):
            yield objects.object(record.part(objects.id_length))


def _text(body: Cursor, wanted: bytes) -> list[bytes] | None:
    """The texts of this attribute, None if it is another one or holds something else."""
    version, flags = body.uint(1), body.uint(1)
    if not 1 <= version <= 3:
        raise body.file.unsupported(f"an attribute of version {version}")
    flags = flags if version > 1 else 0
    sizes = [body.uint(2) for _ in range(3)]
    body.take(1 if version == 3 else 0)
    padding = 8 if version == 1 else 1
    name, kind, space = (_padded(body, size, padding) for size in sizes)
    if name.data.rstrip(b"\0") != wanted:
        return None
    its = datatype(shared(kind, DATATYPE) if flags & 1 else kind)
    shape = dataspace(shared(space, DATASPACE) if flags & 2 else space)
    return None if shape.null or not its.text else _values(body, its, prod(shape.shape))


def _padded(body: Cursor, size: int, padding: int) -> Cursor:
    part = body.part(size)
    body.take(-size % padding)
    return part


def _values(body: Cursor, kind: Kind, count: int) -> list[bytes]:
    """A text ends where zeros begin, or spaces; one of any length is in the file's global heap."""
    if count * kind.size > body.left:
        raise body.malformed("an attribute that holds less than it should")
    found: list[bytes] = []
    for _ in range(count):
        value = body.part(kind.size)
        if kind.text == "fixed":
            found.append(value.data.rstrip(b"\0 "))
            continue
        length, address, number = value.uint(4), value.address(), value.uint(4)
        if not length or address is None:
            found.append(b"")
            continue
        found.append(global_object(body.file, address, number)[:length])
    return found
