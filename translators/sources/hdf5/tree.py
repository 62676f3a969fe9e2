"""The datasets of an HDF5 file, by their paths.

    for path, header in datasets(file): ...

Groups are walked from the root, each once, whatever leads to it: groups may hold each other. A dataset that
has several names has them all. Knows nothing of what is in a dataset.
"""

from __future__ import annotations

from collections.abc import Iterator

from translators.sources.hdf5.headers import LAYOUT, Header, header_of
from translators.sources.hdf5.links import is_group, links_of
from translators.sources.hdf5.region import Hdf5File

_DEEPEST = 100
# Bytes of a path: names of groups above count again for every dataset.
_LONGEST = 8192


def datasets(file: Hdf5File) -> Iterator[tuple[str, Header]]:
    """Every dataset with its path, whose steps are joined by "/". Raises MalformedSource, Unsupported."""
    root = header_of(file, file.root)
    if not is_group(root):
        raise file.malformed("the root is no group", file.base + file.root)
    yield from _below(root, "", 0, {file.root})


def group_at(file: Hdf5File, path: str) -> Header | None:
    """The group of a path from the root, None where there is none. Raises MalformedSource, Unsupported."""
    header = header_of(file, file.root)
    for step in filter(None, path.split("/")):
        if not is_group(header):
            return None
        address = next((link.address for link in links_of(header) if link.name == step), None)
        if address is None:
            return None
        header = header_of(file, address)
    return header


def _below(group: Header, prefix: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Header]]:
    if depth > _DEEPEST or len(prefix) > _LONGEST:
        raise group.file.malformed("groups within groups without end", group.file.base + group.address)
    for link in links_of(group):
        if link.address in seen:
            continue
        header = header_of(group.file, link.address)
        group.file.charge(len(prefix))
        if header.has(LAYOUT):
            yield prefix + link.name, header
        elif is_group(header):
            seen.add(link.address)
            yield from _below(header, f"{prefix}{link.name}/", depth + 1, seen)
