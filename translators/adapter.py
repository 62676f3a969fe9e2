"""An adapter by itself: the factors that its model was merged with, for targets that keep them apart.

Knows nothing of how they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass

from translators.recipes import Recipe


@dataclass(frozen=True, slots=True)
class Update:
    """`scale * (left @ right)`, added to the weight that the base model calls `name`; both F32.

    transposed: the weight is stored [inputs, outputs], as GPT-2's, and so is the product.
    embedding:  the weight is a table of rows.
    """

    name: str
    left: Recipe
    right: Recipe
    scale: float
    transposed: bool = False
    embedding: bool = False


@dataclass(frozen=True, slots=True)
class Adapter:
    """A model's adapter: `alpha` as its configuration has it, the updates in the order of their names.

    beyond: what it holds that is no such update ("" for nothing), and keeps it from standing alone.
    """

    alpha: float
    updates: tuple[Update, ...]
    beyond: str = ""
