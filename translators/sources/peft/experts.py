"""Adapters of parameters: weights that are no layers, such as all experts of a layer in one tensor.

    merged = merged_parameter(weight, module, scale, rank, swapped=True)
    names = one_by_one("model.layers.0.mlp.experts.gate_up_proj", known, tensors)

PEFT wraps the module that has them, once for each of its parameters, one wrapper in another; which is which
is told by `target_parameters` and by the order in which the module declares them. A has the experts' ranks
one after another, B the experts of each rank. An update is rounded to the weight's type before it is added.
Whether a weight counts as [experts, outputs, inputs] depends on the versions of PEFT and transformers that
made the adapter: the factors' shapes tell, for a square weight those of its module's other ones.

Classes of today have all experts in one tensor also of checkpoints that hold them one by one: an expert's
rows are then those of its gate and of what goes up, or of what goes down.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count

from translators.dtypes import F32
from translators.errors import MalformedSource, Unsupported
from translators.recipes import Recipe, cast, low_rank, reshape, slice_, stack, stored, transpose2d
from translators.sources.peft.modules import Module

# A wrapper in another one has this at the end of its name, once for each around it.
_INNER = ".base_layer"
# As transformers' classes declare them: the first is wrapped first.
_ORDER = ("gate_up_proj", "gate_up_proj_bias", "up_proj", "down_proj", "down_proj_bias")
_REMEDY = "merge it with PEFT"
# What checkpoints call the matrices of one expert, whose rows follow one another in the parameter of all.
_ONE_BY_ONE = {
    "gate_up_proj": (("gate_proj", "up_proj"), ("w1", "w3")),
    "down_proj": (("down_proj",), ("w2",)),
}
# Where Mixtral's are called w1, w2 and w3, the module has another name than in its class.
_OF_MIXTRAL = (".mlp.", ".block_sparse_moe.")


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


def one_by_one(
    given: str, known: Callable[[str], str | None], tensors: Collection[str]
) -> list[tuple[str, ...]]:
    """The names of each expert's matrices in a checkpoint that holds them one by one; [] where it does not.

    given: the parameter's name. known: the checkpoint's name for one that the classes have.
    """
    module, _, parameter = given.rpartition(".")
    for parts in _ONE_BY_ONE.get(parameter, ()):
        end = f".0.{parts[0]}.weight"
        first = known((module if "proj" in end else module.replace(*_OF_MIXTRAL)) + end)
        if first is None:
            continue
        found: list[tuple[str, ...]] = []
        for number in count():
            names = tuple(f"{first.removesuffix(end)}.{number}.{part}.weight" for part in parts)
            if not all(name in tensors for name in names):
                return found
            found.append(names)
    return []


def merged_parameter(of: Recipe, module: Module, scale: float, rank: int, *, swapped: bool) -> Recipe:
    """A weight of two or three dimensions with its update. Raises MalformedSource, Unsupported."""
    if len(of.shape) == 2:
        a, b = _factors(module)
        return low_rank(of, b, a, scale, rounded=True)
    experts = [reshape(slice_(of, 0, each, each + 1), of.shape[1:]) for each in range(of.shape[0])]
    return stack(merged_experts(experts, module, scale, rank, swapped=swapped))


def merged_experts(
    experts: Sequence[Recipe], module: Module, scale: float, rank: int, *, swapped: bool
) -> list[Recipe]:
    """Matrices, one an expert, with their updates. Raises MalformedSource, Unsupported."""
    a, b = _factors(module)
    ranks = len(experts) * rank
    if a.shape[0] != ranks or b.shape[1] != ranks:
        raise MalformedSource(
            f"factors of shape {a.shape} and {b.shape} for {len(experts)} experts of rank {rank:,}",
            remedy="fetch the adapter again",
        )
    merged: list[Recipe] = []
    for number, own in enumerate(experts):
        right = slice_(a, 0, number * rank, (number + 1) * rank)
        left = slice_(b, 1, number, ranks, len(experts))
        if not swapped:
            left, right = transpose2d(right), transpose2d(left)
        merged.append(low_rank(own, left, right, scale, rounded=True))
    return merged


def _factors(module: Module) -> tuple[Recipe, Recipe]:
    return cast(stored(module.parts["a"]), F32), cast(stored(module.parts["b"]), F32)
