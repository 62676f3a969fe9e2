"""The tensors of a checkpoint as those of its GGUF: names, recipes, order and types as upstream's converter.

Generated tensors come first, then the stored ones in the order of their files. A stack of experts comes when
its layer's last matrix was seen. Types are the family's `stored_type`.
Knows nothing of key-values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from translators.dtypes import F32
from translators.errors import MalformedSource, Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.table import Family, Match, Rule, Stack
from translators.families.transforms import Place
from translators.gguf_file import GgufTensor
from translators.recipes import Recipe, cast, stack


def converted_tensors(source: Checkpoint, family: Family) -> Iterator[GgufTensor]:
    """The GGUF's tensors in upstream's order.

    Raises Unsupported for a tensor that is in no rule, MalformedSource for what does not fit config.json.
    """
    tensors = _all(source, family)
    taken: set[str] = set()
    for tensor in tensors if family.finished is None else family.finished(source, tensors):
        if tensor.name in taken:
            raise MalformedSource("there are two tensors of one meaning", place=f"tensor {tensor.name}")
        taken.add(tensor.name)
        yield tensor


def names_of_blocks(source: Checkpoint, family: Family, name: str) -> tuple[str, ...]:
    """What blocks of a quantised checkpoint, or a factor of such, are called in GGUF. Raises Unsupported."""
    return _match_of_blocks(source, family, name).names


def _all(source: Checkpoint, family: Family) -> Iterator[GgufTensor]:
    made = _Tensors(source, family)
    tensors, first = list(source.logical.tensors.items()), source.logical.first
    for name, recipe in tensors[:first]:
        yield from made.of_blocks(name, recipe)
    if family.generated is not None:
        yield from family.generated(source)
    for name, recipe in tensors[first:]:
        yield from made.of(name, recipe)
    made.check_finished()


class _Tensors:
    """The tensors of a GGUF, one of the checkpoint's after another."""

    def __init__(self, source: Checkpoint, family: Family) -> None:
        self._source, self._family = source, family
        self._prefix = family.prefix if source.architecture in family.bare else ""
        self._stacks: dict[tuple[int, int], _Pile] = {}
        self._taken: dict[str, str] = {}

    def of(self, name: str, recipe: Recipe) -> Iterator[GgufTensor]:
        """What becomes of a tensor, and of a stack of experts that it completes."""
        source, family = self._source, self._family
        kept = family.kept(name, source.config)
        if kept is None:
            return
        match = family.to_gguf(self._prefix + kept)
        if match is None:
            raise Unsupported(f"the {family.arch} family has no such tensor", place=f"tensor {name}")
        place = source.place(name, match.layer)
        recipes = match.rule.transform.to_gguf(recipe, place)
        if match.stack is None:
            made = list(zip(match.names, recipes, strict=True))
        else:
            key = id(match.stack), place.layer
            if key not in self._stacks:
                self._stacks[key] = _Pile(match.stack, place)
            made = list(self._stacks[key].with_matrix(match, recipes, name))
        for gguf_name, part in made:
            dtype = family.stored_type(gguf_name, part.shape, source.own)
            yield self._tensor(name, gguf_name, cast(part, dtype))

    def of_blocks(self, name: str, recipe: Recipe) -> Iterator[GgufTensor]:
        """Blocks of four-bit floats as they are, but for the order of rows; or a factor of such, in F32."""
        if self._family.kept(name, self._source.config) is None:
            return
        match = _match_of_blocks(self._source, self._family, name)
        recipes: tuple[Recipe, ...] = (recipe,)
        if recipe.dtype.is_quantised:
            place = self._source.place(name, match.layer)
            recipes = match.rule.transform.to_gguf(recipe, place)
        for gguf_name, part in zip(match.names, recipes, strict=True):
            yield self._tensor(name, gguf_name, part)

    def check_finished(self) -> None:
        """Raise MalformedSource where experts are missing."""
        for pile in self._stacks.values():
            pile.check_finished()

    def _tensor(self, name: str, gguf_name: str, recipe: Recipe) -> GgufTensor:
        if gguf_name in self._taken:
            raise MalformedSource(
                f"another tensor is {gguf_name} as well", place=f"tensor {name}",
                remedy=f"one of them is {self._taken[gguf_name]}",
            )  # fmt: skip
        self._taken[gguf_name] = name
        return GgufTensor(gguf_name, recipe.shape, recipe)


def _match_of_blocks(source: Checkpoint, family: Family, name: str) -> Match:
    """A factor is called as its weight, but for the end; stacked experts as one of them without a number."""
    stem, _, end = name.rpartition(".")
    prefix = family.prefix if source.architecture in family.bare else ""
    kept = prefix + (family.kept(f"{stem}.weight", source.config) or f"{stem}.weight")
    match = family.to_gguf(kept) or family.to_gguf(kept.replace(".experts.", ".experts.0."))
    if match is None or (end != "weight" and len(match.names) > 1):
        raise Unsupported(f"the {family.arch} family has no such tensor", place=f"tensor {name}")
    return match._replace(names=tuple(each.removesuffix("weight") + end for each in match.names))


class _Pile:
    """The experts of one layer, as far as they were seen."""

    def __init__(self, of: Stack, place: Place) -> None:
        self._stack = of
        self._place = place
        self._count = of.count if isinstance(of.count, int) else place.count(*of.count)
        self._matrices: dict[Rule, dict[int, Recipe]] = defaultdict(dict)
        self._names: dict[Rule, tuple[str, ...]] = {}

    def with_matrix(
        self, match: Match, recipes: tuple[Recipe, ...], name: str
    ) -> Iterator[tuple[str, Recipe]]:
        """Add one matrix; what is complete by it, in the stack's order."""
        number = match.numbers[-1] if match.numbers else -1
        matrices = self._matrices[match.rule]
        if number in matrices or not 0 <= number < self._count:
            raise self._place.misfit(f"{name} is not one of {self._count} experts")
        (matrices[number],) = recipes
        self._names[match.rule] = match.names
        if self._stack.apart:
            if len(matrices) == self._count:
                yield from self._stacked(match.rule)
        elif sum(map(len, self._matrices.values())) == self._count * len(self._stack.parts):
            for rule in self._stack.parts:
                yield from self._stacked(rule)

    def check_finished(self) -> None:
        """Raise MalformedSource where a matrix is missing."""
        for matrices in self._matrices.values():
            if len(matrices) < self._count:
                raise self._place.misfit(
                    f"{self._count - len(matrices)} experts of {self._count} are missing"
                )
        if len(self._matrices) < len(self._stack.parts):
            raise self._place.misfit("experts lack one of their matrices")

    def _stacked(self, rule: Rule) -> Iterator[tuple[str, Recipe]]:
        (name,) = self._names[rule]
        parts = tuple(self._matrices[rule][number] for number in range(self._count))
        if len({part.shape for part in parts}) > 1 or len({part.dtype.name for part in parts}) > 1:
            parts = self._alike(parts)
        yield name, stack(parts)

    def _alike(self, parts: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
        if len({part.shape for part in parts}) > 1:
            raise self._place.misfit("experts of different shapes")
        # As torch promotes; F32 holds all values of both.
        return tuple(cast(part, F32) for part in parts)
