"""B-trees of both versions, walked from the root: their leaves' entries, in order.

A tree that leads back to itself, or whose levels do not go down by one, is refused. Checksums are not
verified. Knows nothing of what entries are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from translators.sources.hdf5.region import Cursor, Hdf5File

GROUP, CHUNKS = 0, 1
_DEEPEST = 32
_PREFIX = 10  # signature, version, type and checksum of a node of version 2


def old_tree(file: Hdf5File, address: int, kind: int, key: int) -> Iterator[tuple[Cursor, int]]:
    """Of a tree of version 1, whose keys have `key` bytes: each leaf's key, and the address it is for."""
    width, seen = file.address_width, set[int]()

    def below(address: int, level: int | None) -> Iterator[tuple[Cursor, int]]:
        node = file.block(address, 8 + 2 * width, b"TREE")
        found, its, entries = node.uint(1), node.uint(1), node.uint(2)
        if address in seen or found != kind or its > _DEEPEST or level not in (None, its):
            raise node.malformed("a tree whose nodes are not in order")
        seen.add(address)
        body = file.block(address + 8 + 2 * width, entries * (key + width))
        for _ in range(entries):
            own, child = body.part(key), body.there()
            if its:
                yield from below(child, its - 1)
            else:
                yield own, child

    yield from below(address, None)


@dataclass(frozen=True)
class _Tree:
    """A tree of version 2: what its header says."""

    file: Hdf5File
    type: int
    node: int
    record: int
    most: tuple[int, ...]  # records of a node, by its depth
    totals: tuple[int, ...]  # bytes of how many records are below a node, by its depth

    @property
    def count(self) -> int:
        """Bytes of how many records a node has."""
        return wide(self.most[0])

    def pointer(self, depth: int) -> int:
        """Bytes of a pointer to a node of that depth."""
        return self.file.address_width + self.count + self.totals[depth]


def new_tree(file: Hdf5File, address: int, kind: int) -> Iterator[Cursor]:
    """The records of a tree of version 2."""
    head = file.block(address, 30 + file.address_width + file.length_width, b"BTHD", most=True)
    version, found = head.uint(1), head.uint(1)
    node, record, depth = head.uint(4), head.uint(2), head.uint(2)
    head.take(2)
    root, count = head.address(), head.uint(2)
    if version or found != kind or not record or depth > _DEEPEST or node < _PREFIX + record:
        raise head.malformed("a tree of another kind than there should be")
    most, totals, below = [(node - _PREFIX) // record], [0], (node - _PREFIX) // record
    for level in range(depth):
        pointer = file.address_width + wide(most[0]) + totals[level]
        most.append(max(0, node - _PREFIX - pointer) // (record + pointer))
        below = (most[-1] + 1) * below + most[-1]
        totals.append(wide(below))
    tree = _Tree(file, kind, node, record, tuple(most), tuple(totals))
    if root is not None:
        yield from _new_node(tree, root, count, depth, set())


def _new_node(tree: _Tree, address: int, count: int, depth: int, seen: set[int]) -> Iterator[Cursor]:
    pointers = tree.pointer(depth - 1) * (count + 1) if depth else 0
    length = 6 + count * tree.record + pointers
    node = tree.file.block(address, length, b"BTIN" if depth else b"BTLF")
    if address in seen or count > tree.most[depth] or node.uint(1) or node.uint(1) != tree.type:
        raise node.malformed("a tree whose nodes are not in order")
    seen.add(address)
    records = [node.part(tree.record) for _ in range(count)]
    if not depth:
        yield from records
        return
    for number in range(count + 1):
        child, its = node.there(), node.uint(tree.count)
        node.take(tree.totals[depth - 1])
        yield from _new_node(tree, child, its, depth - 1, seen)
        yield from records[number : number + 1]


def wide(value: int) -> int:
    """How many bytes hold a number."""
    return max(1, -(-value.bit_length() // 8))
