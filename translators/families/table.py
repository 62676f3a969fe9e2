"""A family as a table: what its tensors are called in each world, and how their rows are ordered.

The table is read in both directions: Hugging Face -> GGUF when a checkpoint is converted, GGUF ->
Hugging Face when a GGUF is shown as a folder. A rule names a module without `.weight` or `.bias`;
`{}` stands for the layer.
Knows nothing of files, key-values or tokenizers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, Literal

from translators.errors import MalformedSource
from translators.recipes import Recipe, SwapRows

_SUFFIXES = (".weight", ".bias")


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of tensor. `rotary` names the configuration's key for the number of heads whose rows
    Hugging Face stores half by half and llama.cpp's llama graph pair by pair."""

    huggingface: str
    gguf: str
    rotary: str | None = None


@dataclass(frozen=True)
class Family:
    """An architecture family.

    architectures: Hugging Face class names.
    arch:          `general.architecture` of its GGUF.
    vocabulary:    which of upstream's orders of looking for a tokenizer it follows.
    rules:         every tensor that it may hold.
    bare:          those of `architectures` whose tensors must lack the `model.` prefix.
    """

    architectures: tuple[str, ...]
    arch: str
    vocabulary: Literal["llama", "qwen"]
    rules: tuple[Rule, ...]
    bare: frozenset[str] = field(default_factory=frozenset)

    def to_gguf(self, name: str) -> tuple[str, Rule] | None:
        """The GGUF name of a Hugging Face tensor and its rule; None for a name that is in no rule.

        A name may lack `model.`, as in checkpoints of embedding models that were saved without their head.
        """
        whole = name if name.startswith(("model.", "lm_head.")) else f"model.{name}"
        return _match(whole, self._by_huggingface, lambda rule: rule.gguf)

    def to_huggingface(self, name: str) -> tuple[str, Rule] | None:
        """The Hugging Face name of a GGUF tensor and its rule; None for a name that is in no rule."""
        return _match(name, self._by_gguf, lambda rule: rule.huggingface)

    @cached_property
    def _by_huggingface(self) -> dict[str, Rule]:
        return {rule.huggingface: rule for rule in self.rules}

    @cached_property
    def _by_gguf(self) -> dict[str, Rule]:
        return {rule.gguf: rule for rule in self.rules}


def _match(name: str, rules: Mapping[str, Rule], other: Any) -> tuple[str, Rule] | None:
    suffix = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), None)
    if suffix is None:
        return None
    parts = name.removesuffix(suffix).split(".")
    # The layer is the first part that is a number, written as numbers are.
    at = next((i for i, part in enumerate(parts) if part.isdecimal() and part == str(int(part))), None)
    layer = "" if at is None else parts[at]
    if at is not None:
        parts[at] = "{}"
    rule = rules.get(".".join(parts))
    return None if rule is None else (other(rule).format(layer) + suffix, rule)


def pairwise(recipe: Recipe, rule: Rule, heads: Mapping[str, int], place: str) -> Recipe:
    """Rows in llama.cpp's order, from Hugging Face's. Raises MalformedSource where they do not fit."""
    groups, half = _halves(recipe, rule, heads, place)
    return SwapRows(recipe, groups, 2, half) if groups else recipe


def halfwise(recipe: Recipe, rule: Rule, heads: Mapping[str, int], place: str) -> Recipe:
    """Rows in Hugging Face's order, from llama.cpp's: the inverse of `pairwise`."""
    groups, half = _halves(recipe, rule, heads, place)
    return SwapRows(recipe, groups, half, 2) if groups else recipe


def _halves(recipe: Recipe, rule: Rule, heads: Mapping[str, int], place: str) -> tuple[int, int]:
    if rule.rotary is None:
        return 0, 0
    rows, groups = recipe.shape[0] if recipe.shape else 0, heads[rule.rotary]
    if groups <= 0 or rows % (2 * groups) or not prod(recipe.shape):
        raise MalformedSource(
            f"{rows} rows cannot be divided among {groups} heads", place=place, remedy="check config.json"
        )
    return groups, rows // groups // 2
