"""What Keras has its own way of saying in an HDF5 file: which datasets are weights, and in which order.

    order = legacy_order(file)            # Keras 1 and 2, and .h5 of Keras 3: paths, () for other files
    is_of_an_optimiser("optimizer/vars/3")   # of .weights.h5 and .keras

A legacy file names its layers, and each layer its weights, in attributes; a long list is cut into several.
transformers' shards name their weights there, which lie at the root without their first level.
Knows nothing of data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from translators.sources.hdf5.attributes import texts
from translators.sources.hdf5.headers import Header, header_of
from translators.sources.hdf5.links import is_group, links_of
from translators.sources.hdf5.region import Hdf5File

WEIGHTS = "model_weights"
_LAYERS, _NAMES = "layer_names", "weight_names"
_MOST_PARTS = 10_000
# Where weights are, and their paths.
LegacyOrder = tuple[str, tuple[str, ...]]
_OPTIMISER = re.compile(r"optimizer/(.*/)?vars/\d+")


def is_of_an_optimiser(path: str) -> bool:
    """Whether Keras 3 calls a variable of an optimiser so."""
    return _OPTIMISER.fullmatch(path) is not None


def legacy_order(file: Hdf5File) -> LegacyOrder | None:
    """Where a legacy file's weights are ("" or "model_weights/"), and the paths of those that it names.

    None for a file of another kind. Raises MalformedSource, Unsupported.
    """
    root = header_of(file, file.root)
    within = {link.name: link.address for link in links_of(root)}
    for prefix, top in ((f"{WEIGHTS}/", within.get(WEIGHTS)), ("", file.root)):
        group = header_of(file, top) if top is not None else None
        if group is not None and is_group(group) and _is_named(group):
            return prefix, tuple(prefix + path for path in _paths(group))
    return None


def variables_of(order: LegacyOrder, paths: Iterable[str]) -> dict[str, str]:
    """What Keras calls the variables at `paths`, with the model's name before the rest ("" in a shard).

    A layer's group holds whatever it uses: a variable may lie in several.
    """
    prefix, first = order
    if not first:
        return {path: f"/{path}" for path in paths}
    return {path: path.removeprefix(prefix).partition("/")[2] for path in paths}


def name_in_shard(name: str) -> str:
    """What one of transformers' shards calls the variable that its index calls `name`."""
    return name if "model." in name or "/" not in name else name.partition("/")[2]


def _is_named(group: Header) -> bool:
    return bool(_list(group, _LAYERS))


def _paths(top: Header) -> list[str]:
    groups = {link.name: link.address for link in links_of(top)}
    found: list[str] = []
    for layer in _list(top, _LAYERS):
        if layer in groups:
            header = header_of(top.file, groups[layer])
            found += (f"{layer}/{weight}" for weight in _list(header, _NAMES))
    return found


def _list(group: Header, name: str) -> list[str]:
    """An attribute's texts; a list that is too long for one goes on in others with a number behind."""
    found = [*texts(group, name)]
    for number in range(_MOST_PARTS):
        part = () if found and not number else texts(group, f"{name}{number}")
        if not part:
            break
        found += part
    return found
