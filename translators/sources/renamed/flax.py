"""Flax's names: the keys on the way to an array, joined by "/".

Kernels are stored with inputs first, also GPT-2's, whose PyTorch modules have them otherwise than all others:
its Flax module has them the other way round as well. What is saved of a base model has no prefix.
Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping

from translators.sources.renamed.kinds import Kind
from translators.sources.renamed.names import Leaf, Named, leaf_of

_LEAVES = {
    "kernel": Leaf("weight", (2,), turned=True),
    "embedding": Leaf("weight", (2,)),
    "scale": Leaf("weight", (1,)),
    "weight": Leaf("weight", (1,)),
    "bias": Leaf("bias", (1,)),
    "final_logits_bias": Leaf("final_logits_bias", (2,)),
}


def named(name: str, shape: tuple[int, ...]) -> Named:
    """What PyTorch calls the array at `name`. Raises Unsupported."""
    *way, last = name.split("/")
    leaf = leaf_of(last, shape, _LEAVES)
    return Named(".".join((*way, leaf.name)), leaf.turned)


def placed(names: Mapping[str, str], kind: Kind, base: bool) -> Mapping[str, str]:
    """`names` with the prefix if the configuration's class has a head and the file is of its base model;
    without it if it is the other way round."""
    prefix = kind.prefix and f"{kind.prefix}."
    if base:
        return {own: name.removeprefix(prefix) for own, name in names.items()}
    if any(name.startswith(prefix) for name in names.values()):
        return names
    return {own: prefix + name for own, name in names.items()}
