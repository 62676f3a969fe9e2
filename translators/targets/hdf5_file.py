"""An HDF5 file of any tensors, from recipes: what describes them, then each of them in one run.

    layout = layout_of(files, [("w", recipe), ...])

Of the oldest version of the format, which every reader has: groups with tables of symbols, found by B-trees,
and datasets without chunks or filters. It has no checksums of data. A name with "/" is a way through groups,
in each of which HDF5 sorts names. bfloat16, which HDF5 has no type for that its readers share, becomes
float32, which is exact.
Knows nothing of models. Layout: HDF5 File Format Specification 3.0, superblock version 0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from translators.dtypes import F32, DType
from translators.layout import Layout, LiteralBytes, Segment, TensorBytes, Zeros
from translators.model import FileIdentity
from translators.recipes import Recipe, cast, nbytes
from translators.sources.stored_file import clipped

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SUPERBLOCK = 96
_UNDEFINED = (1 << 64) - 1
_ALIGNMENT = 64
_MOST_DIMENSIONS = 32
_LONGEST_NAME = 4096
# Half of how many entries a table and a node of a tree may have: HDF5's own choice.
_TABLE, _NODE = 4, 16
_DATASPACE, _DATATYPE, _FILL, _LAYOUT, _SYMBOLS = 1, 3, 5, 8, 17
_CONSTANT = 1

# Sign, exponent (place, bits), mantissa (place, bits), bias.
_FLOATS = {
    "F16": (15, 10, 5, 0, 10, 15),
    "F32": (31, 23, 8, 0, 23, 127),
    "F64": (63, 52, 11, 0, 52, 1023),
}
_WHOLE = ("I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64")

# A dataset's name in the model and its recipe, or a group.
_Node = tuple[str, Recipe] | dict[str, "_Node"]


def refused(tensors: Mapping[str, Recipe]) -> str:
    """Why these tensors cannot be in such a file; "" where they can."""
    groups: set[str] = set()
    for name, recipe in tensors.items():
        kind, told = recipe.dtype.name, clipped(ascii(name))
        if kind not in (*_FLOATS, *_WHOLE, "BOOL", "C64", "BF16"):
            return f"HDF5 has no type for {kind} (tensor {told})"
        if len(recipe.shape) > _MOST_DIMENSIONS:
            return f"HDF5 has no {len(recipe.shape)} dimensions (tensor {told})"
        steps = name.split("/")
        if any(step in ("", ".") or not step.isprintable() or len(step) > _LONGEST_NAME for step in steps):
            return f"the name of a tensor cannot be a dataset's ({told})"
        groups.update("/".join(steps[:count]) for count in range(1, len(steps)))
    both = next((name for name in tensors if name in groups), None)
    return f"a tensor's name is also a group's ({clipped(ascii(both))})" if both else ""


def layout_of(files: Sequence[FileIdentity], tensors: Iterable[tuple[str, Recipe]]) -> Layout:
    """The file of these tensors, their data in this order, which lie in `files` and are not `refused`."""
    recipes = {name: cast(given, F32) if given.dtype.name == "BF16" else given for name, given in tensors}
    # Its length does not depend on where data are.
    length = len(_described(recipes, dict.fromkeys(recipes, 0), 0))
    places: dict[str, int] = {}
    segments: list[Segment] = []
    position = length
    for name, recipe in recipes.items():
        size = nbytes(recipe)
        places[name] = position + -position % _ALIGNMENT if size else _UNDEFINED
        if size:
            segments += (Zeros(places[name] - position), TensorBytes(name, recipe))
            position = places[name] + size
    return Layout(tuple(files), (LiteralBytes(_described(recipes, places, position)), *segments))


def _described(recipes: Mapping[str, Recipe], places: Mapping[str, int], end: int) -> bytes:
    """All that is not data, for a file that ends at `end`."""
    tree: dict[str, _Node] = {}
    for name, recipe in recipes.items():
        *way, last = name.split("/")
        node = tree
        for step in way:
            below = node.setdefault(step, {})
            assert isinstance(below, dict), name
            node = below
        node[last] = (name, recipe)
    out = bytearray(_SUPERBLOCK)
    header, symbols, names = _group(out, tree, places)
    fields = (0, 0, 0, 0, 0, 8, 8, 0, _TABLE, _NODE, 0, 0, _UNDEFINED, end, _UNDEFINED)
    out[:_SUPERBLOCK] = (
        _SIGNATURE
        + struct.pack("<8B2HI4Q", *fields)
        + struct.pack("<2Q2I2Q", 0, header, 1, 0, symbols, names)
    )
    return bytes(out)


def _group(out: bytearray, tree: Mapping[str, _Node], places: Mapping[str, int]) -> tuple[int, int, int]:
    """Append a group and all below it: where its header, its tree and its heap of names are."""
    entries: list[tuple[int, int]] = []
    names = bytearray(8)
    for name, node in sorted((name.encode(), node) for name, node in tree.items()):
        if isinstance(node, dict):
            header = _group(out, node, places)[0]
        else:
            header = _append(out, _dataset(node[1], places[node[0]]))
        entries.append((len(names), header))
        names += name + bytes(8 - len(name) % 8)
    symbols = _tree(out, entries)
    heap = len(out)
    _append(out, b"HEAP" + struct.pack("<4x3Q", len(names), 1, heap + 32) + names)
    return _append(out, _header((_SYMBOLS, 0, struct.pack("<2Q", symbols, heap)))), symbols, heap


def _tree(out: bytearray, entries: Sequence[tuple[int, int]]) -> int:
    """Append the tables of (name's place, header's address), and the tree above them: where its root is."""
    # Of each node: the address, and the place of the last name below it.
    nodes: list[tuple[int, int]] = []
    for first in range(0, len(entries), 2 * _TABLE):
        some = entries[first : first + 2 * _TABLE]
        table = b"SNOD" + struct.pack("<2BH", 1, 0, len(some))
        table += b"".join(struct.pack("<2Q24x", *entry) for entry in some)
        nodes.append((_append(out, table.ljust(8 + 2 * _TABLE * 40, b"\0")), some[-1][0]))
    level = 0
    while level == 0 or len(nodes) > 1:
        nodes = _level(out, nodes, level)
        level += 1
    return nodes[0][0]


def _level(out: bytearray, nodes: Sequence[tuple[int, int]], level: int) -> list[tuple[int, int]]:
    """Append the nodes of a tree above these."""
    size = 24 + 2 * _NODE * 16 + 8
    groups = [nodes[first : first + 2 * _NODE] for first in range(0, len(nodes), 2 * _NODE)]
    starts = [len(out) + number * size for number in range(len(groups))]
    around = [_UNDEFINED, *starts, _UNDEFINED]
    # What comes before a node's first name is the last of the node before it, or nothing.
    before = [0, *(group[-1][1] for group in groups)]
    for number, group in enumerate(groups):
        node = b"TREE" + struct.pack("<2BH2Q", 0, level, len(group), around[number], around[number + 2])
        node += struct.pack("<Q", before[number]) + b"".join(struct.pack("<2Q", *child) for child in group)
        _append(out, node.ljust(size, b"\0"))
    return [(start, group[-1][1]) for start, group in zip(starts, groups, strict=True)]


def _dataset(recipe: Recipe, place: int) -> bytes:
    """The header of a dataset whose data are at `place`."""
    shape = tuple(recipe.shape)
    return _header(
        (_DATASPACE, 0, struct.pack(f"<3B5x{len(shape)}Q", 1, len(shape), 0, *shape)),
        (_DATATYPE, _CONSTANT, _datatype(recipe.dtype)),
        # Version 2; room is made late, written where a value is set, which is the default: none.
        (_FILL, _CONSTANT, struct.pack("<4BI", 2, 2, 2, 1, 0)),
        (_LAYOUT, 0, struct.pack("<2B2Q", 3, 1, place, nbytes(recipe))),
    )


def _datatype(dtype: DType) -> bytes:
    bits = 8 * dtype.size
    if dtype.name in _FLOATS:
        sign, *places, bias = _FLOATS[dtype.name]
        return struct.pack("<4BI2H4BI", 0x11, 0x20, sign, 0, dtype.size, 0, bits, *places, bias)
    if dtype.name == "BOOL":  # as h5py has it: names for two numbers of a byte
        one = struct.pack("<B3BI2H", 0x10, 8, 0, 0, 1, 0, 8)
        return struct.pack("<B3BI", 0x18, 2, 0, 0, 1) + one + b"FALSE\0\0\0TRUE\0\0\0\0" + b"\0\1"
    if dtype.name == "C64":  # as h5py has it: a record of two numbers
        members = (struct.pack("<8sI28x", name, at) + _datatype(F32) for name, at in ((b"r", 0), (b"i", 4)))
        return struct.pack("<B3BI", 0x16, 2, 0, 0, 8) + b"".join(members)
    signed = 8 if dtype.name.startswith("I") else 0
    return struct.pack("<B3BI2H", 0x10, signed, 0, 0, dtype.size, 0, bits)


def _header(*messages: tuple[int, int, bytes]) -> bytes:
    """An object's header of these messages: type, flags, body."""
    body = b"".join(
        struct.pack("<2HB3x", kind, len(data) + -len(data) % 8, flags) + data + bytes(-len(data) % 8)
        for kind, flags, data in messages
    )
    return struct.pack("<2BH2I4x", 1, 0, len(messages), 1, len(body)) + body


def _append(out: bytearray, data: bytes) -> int:
    """Append a structure, a multiple of 8 bytes: where it is."""
    place = len(out)
    out += data + bytes(-len(data) % 8)
    return place
