"""Adapters of parameters: weights that are no layers, such as all experts of a layer in one tensor.

    merged = merged_parameter(weight, a, b, scale, rank, swapped=True)

PEFT wraps the module that has them, once for each of its parameters, one wrapper in another; which is which
is told by `target_parameters` and by the order in which the module declares them. A has the experts' ranks
one after another, B the experts of each rank. An update is rounded to the weight's type before it is added.
Whether a weight counts as [experts, outputs, inputs] depends on the versions of PEFT and transformers that
made the adapter: the factors' shapes tell, for a square weight those of its module's other ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from translators.dtypes import F32
from translators.errors import MalformedSource, Unsupported
from translators.recipes import Recipe, cast, low_rank, reshape, slice_, stack, stored, transpose2d
from translators.sources.peft.modules import Module

# A wrapper in another one has this at the end of its name, once for each around it.
_INNER = ".base_layer"
# As transformers' classes declare them: the first is wrapped first.
_ORDER = ("gate_up_proj", "gate_up_proj_bias", "up_proj", "down_proj", "down_proj_bias")
_REMEDY = "merge it with PEFT"


def told_apart(modules: Iterable[Module], targets: Sequence[str]) -> tuple[dict[str, Module], list[Module]]:
    """The adapters of parameters, by the parameters' names, and all other modules.

    Raises MalformedSource, Unsupported (a module's parameters of which nobody knows which is which).
    """
    wrapped: dict[str, list[Module]] = {}
    others: list[Module] = []
    for module in modules:
        name = module.name
        while name.endswith(_INNER):
            name = name.removesuffix(_INNER)
        if name == module.name and not _parameters(name, targets):
            others.append(module)
        else:
            wrapped.setdefault(name, []).append(module)
    found = {
        name: each for module, inside in wrapped.items() for name, each in _named(module, inside, targets)
    }
    return found, others


def _named(name: str, wrappers: list[Module], targets: Sequence[str]) -> Iterator[tuple[str, Module]]:
    parameters = _parameters(name, targets)
    if len(parameters) != len(wrappers):
        raise MalformedSource(
            f"{len(wrappers)} adapters for {len(parameters)} parameters", place=f"module {name:.200}",
            remedy="fetch the adapter again",
        )  # fmt: skip
    if len(parameters) > 1:
        unknown = [each for each in parameters if each not in _ORDER]
        if unknown:
            reason = f"nothing here knows in which order its module declares {unknown[0]:.60}"
            raise Unsupported(reason, place="target_parameters", remedy=_REMEDY)
        parameters.sort(key=_ORDER.index)
    # The last one is outside, and has the shortest name.
    for parameter, module in zip(parameters, sorted(wrappers, key=lambda each: -len(each.name)), strict=True):
        yield f"{name}.{parameter}", module


def _parameters(module: str, targets: Sequence[str]) -> list[str]:
    """The last parts of those targets that are parameters of the module."""
    found: dict[str, None] = {}
    for target in targets:
        prefix, _, parameter = target.rpartition(".")
        if f".{module}".endswith(f".{prefix}") and prefix:
            found[parameter] = None
    return list(found)


def orientations(
    shapes: Mapping[str, tuple[int, ...]], adapters: Mapping[str, Module], old: bool
) -> dict[str, bool]:
    """Whether each weight, by name, counts as [experts, outputs, inputs]. `old`: what PEFT before 0.19 saved.

    Raises MalformedSource, Unsupported (square weights alone).
    """
    clear: dict[str, bool] = {}
    for name, shape in shapes.items():
        if len(shape) != 3:
            continue
        inputs, outputs = adapters[name].parts["a"].shape[-1], adapters[name].parts["b"].shape[0]
        straight, swapped = (inputs, outputs) == shape[1:], (outputs, inputs) == shape[1:]
        if not straight and not swapped:
            raise MalformedSource(
                f"factors of {inputs} inputs and {outputs} outputs are no update of {shape}",
                place=f"tensor {name:.200}",
                remedy="check that this is the model that the adapter was trained on",
            )  # fmt: skip
        if straight != swapped:
            clear[name] = swapped
    found = dict(clear)
    for name, shape in shapes.items():
        if len(shape) == 3 and name not in found:
            module = name.rpartition(".")[0]
            beside = {swapped for other, swapped in clear.items() if other.rpartition(".")[0] == module}
            if old:
                beside = {False}
            if len(beside) != 1:
                reason = "its weights are square, and do not tell which side are the inputs"
                raise Unsupported(reason, place=f"tensor {name:.200}", remedy=_REMEDY)
            found[name] = beside.pop()
    return found


def merged_parameter(of: Recipe, module: Module, scale: float, rank: int, *, swapped: bool) -> Recipe:
    """A weight of two or three dimensions with its update. Raises MalformedSource, Unsupported."""
    a, b = (cast(stored(module.parts[part]), F32) for part in ("a", "b"))
    if len(of.shape) == 2:
        return low_rank(of, b, a, scale, rounded=True)
    experts = of.shape[0]
    if a.shape[0] != experts * rank or b.shape[1] != experts * rank:
        raise MalformedSource(
            f"factors of shape {a.shape} and {b.shape} for {experts} experts of rank {rank:,}",
            remedy="fetch the adapter again",
        )
    return stack([_merged_expert(of, (a, b), scale, number, swapped=swapped) for number in range(experts)])


def _merged_expert(
    of: Recipe, factors: tuple[Recipe, Recipe], scale: float, number: int, *, swapped: bool
) -> Recipe:
    experts, rows, columns = of.shape
    own = reshape(slice_(of, 0, number, number + 1), (rows, columns))
    ranks = factors[0].shape[0]
    a = slice_(factors[0], 0, number * (ranks // experts), (number + 1) * (ranks // experts))
    b = slice_(factors[1], 1, number, ranks, experts)
    if swapped:
        return low_rank(own, b, a, scale, rounded=True)
    return low_rank(own, transpose2d(a), transpose2d(b), scale, rounded=True)
