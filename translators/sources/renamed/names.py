"""What a tensor of another framework is in PyTorch, and the check that all frameworks' rules share.

Knows nothing of a framework or a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from translators.errors import Unsupported
from translators.sources.stored_file import clipped


@dataclass(frozen=True)
class Named:
    """One tensor: what PyTorch calls it.

    turned: its two axes are exchanged there.
    flat:   its first axis, of one, is not there.
    """

    name: str
    turned: bool = False
    flat: bool = False


@dataclass(frozen=True)
class Leaf:
    """The last part of a name: its PyTorch name, how many axes it has, and whether they are exchanged."""

    name: str
    axes: tuple[int, ...]
    turned: bool = False


def leaf_of(name: str, shape: tuple[int, ...], leaves: Mapping[str, Leaf]) -> Leaf:
    """What a tensor's last part says. Raises Unsupported for one not known, or of another number of axes.

    Layers that were stacked to be scanned over have one axis more than a layer has.
    """
    leaf = leaves.get(name)
    if leaf is None:
        raise Unsupported(f"what PyTorch calls {clipped(name)!r} is not known here")
    if len(shape) not in leaf.axes:
        raise Unsupported(f"{len(shape)} axes are not those of one layer's {name!r}")
    return leaf
