"""A file as flax.serialization writes it, of any tensors, from recipes: byte for byte flax's own.

    layout = layout_of(files, [("w", recipe), ...])

A name with "/" is a way through the tree, as flax.traverse_util has it; Hugging Face's names have none, so
that their tree is flat. Keys are sorted, as JAX sorts those of a tree; arrays of more than 2^30 bytes are
flat chunks of at most as many, as msgpack has no larger values than 4 GiB.
Knows nothing of models. Layout: the msgpack specification, flax/serialization.py (0.12).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod

from translators.layout import Layout, LiteralBytes, Segment, TensorBytes
from translators.model import FileIdentity
from translators.recipes import Recipe, nbytes, reshape, slice_
from translators.sources.flax import CHUNKED, TYPES
from translators.sources.stored_file import clipped

CHUNK = 1 << 30
_NAMES = {ours: theirs for theirs, ours in TYPES.items()}
_NDARRAY = 1
_FIXED = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}

# A tensor's name and recipe, or a map.
_Node = tuple[str, Recipe] | dict[str, "_Node"]


def refused(tensors: Mapping[str, Recipe]) -> str:
    """Why these tensors cannot be in such a file; "" where they can."""
    for name, recipe in tensors.items():
        if recipe.dtype.name not in _NAMES:
            return f"JAX has no type for {recipe.dtype.name} (tensor {clipped(name)!r})"
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            return f"the name of a tensor is no text ({clipped(ascii(name))})"
    return ""


def layout_of(
    files: Sequence[FileIdentity], tensors: Iterable[tuple[str, Recipe]], chunk: int = CHUNK
) -> Layout:
    """The file of these tensors, which lie in `files` and are not `refused`; chunks have `chunk` bytes."""
    segments: list[Segment] = []
    pending = bytearray()
    for part in _written(_tree(dict(tensors)), chunk):
        if isinstance(part, bytes):
            pending += part
        else:
            segments += (LiteralBytes(bytes(pending)), part)
            pending.clear()
    return Layout(tuple(files), (*segments, LiteralBytes(bytes(pending))))


def _tree(tensors: Mapping[str, Recipe]) -> dict[str, _Node]:
    """The tensors by the steps of their names; flat, where a tensor lies on the way to another."""
    tree: dict[str, _Node] = {}
    for name, recipe in tensors.items():
        *way, last = name.split("/")
        node = tree
        for step in way:
            below = node.setdefault(step, {})
            if not isinstance(below, dict):
                return {name: (name, recipe) for name, recipe in tensors.items()}
            node = below
        if last in node:
            return {name: (name, recipe) for name, recipe in tensors.items()}
        node[last] = (name, recipe)
    return tree


def _written(tree: dict[str, _Node], chunk: int) -> Iterator[bytes | TensorBytes]:
    yield _map(len(tree))
    for key, node in sorted(tree.items()):
        yield _text(key)
        if isinstance(node, dict):
            yield from _written(node, chunk)
        elif nbytes(node[1]) > chunk:
            yield from _chunks(*node, chunk)
        else:
            yield from _array(*node)


def _chunks(name: str, recipe: Recipe, chunk: int) -> Iterator[bytes | TensorBytes]:
    """A large array: whether it is one, its shape, its chunks, tuples being maps of their indices."""
    elements, step = prod(recipe.shape), max(1, chunk // recipe.dtype.size)
    yield _map(3) + _text(CHUNKED) + b"\xc3" + _text("shape") + _map(len(recipe.shape))
    for axis, size in enumerate(recipe.shape):
        yield _text(str(axis)) + _whole(size)
    yield _text("chunks") + _map(-(-elements // step))
    flat = reshape(recipe, (elements,))
    for number, first in enumerate(range(0, elements, step)):
        yield _text(str(number))
        yield from _array(name, slice_(flat, 0, first, min(first + step, elements)))


def _array(name: str, recipe: Recipe) -> Iterator[bytes | TensorBytes]:
    """An extension that holds shape, type and bytes."""
    size = nbytes(recipe)
    inner = (
        b"\x93" + _counted(len(recipe.shape), 0x90, 16, (0xDC, 0xDD)) + b"".join(map(_whole, recipe.shape))
    )
    inner += _text(_NAMES[recipe.dtype.name]) + _sized(size, (0xC4, 0xC5, 0xC6))
    length = len(inner) + size
    first = bytes([_FIXED[length]]) if length in _FIXED else _sized(length, (0xC7, 0xC8, 0xC9))
    yield first + bytes([_NDARRAY]) + inner
    if size:
        yield TensorBytes(name, recipe)


def _map(count: int) -> bytes:
    return _counted(count, 0x80, 16, (0xDE, 0xDF))


def _text(value: str) -> bytes:
    data = value.encode()
    if len(data) < 32:
        return bytes([0xA0 | len(data)]) + data
    return _sized(len(data), (0xD9, 0xDA, 0xDB)) + data


def _counted(count: int, fixed: int, few: int, wide: tuple[int, int]) -> bytes:
    """The beginning of a map or an array."""
    if count < few:
        return bytes([fixed | count])
    return struct.pack(">BH", wide[0], count) if count < 1 << 16 else struct.pack(">BI", wide[1], count)


def _sized(length: int, first: tuple[int, int, int]) -> bytes:
    """The beginning of a value of so many bytes: one of three, by how long its length is."""
    if length < 1 << 8:
        return struct.pack(">BB", first[0], length)
    return struct.pack(">BH", first[1], length) if length < 1 << 16 else struct.pack(">BI", first[2], length)


def _whole(value: int) -> bytes:
    """A whole number, none negative, in the shortest form."""
    if value < 0x80:
        return bytes([value])
    for first, form, bits in ((0xCC, ">BB", 8), (0xCD, ">BH", 16), (0xCE, ">BI", 32)):
        if value < 1 << bits:
            return struct.pack(form, first, value)
    return struct.pack(">BQ", 0xCF, value)
