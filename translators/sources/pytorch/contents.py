"""The tensors in what a pickle would build, by the names that a state dict gives them.

A file is a state dict, a training checkpoint that has one among other things, or a module with parameters
inside modules (TorchScript's, or a pickled nn.Module). Of a training checkpoint the state dict is meant, not
the optimiser's moments; where none can be told, every tensor counts, under its path.
What a pickle built may hold itself, or the same thing a thousand times: a walk has a budget.
Knows nothing of storages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.sources.pytorch.pickled import Made, Named
from translators.sources.pytorch.storages import View
from translators.sources.stored_file import clipped

# Where training frameworks keep the weights, the preferred first.
_WEIGHTS = ("state_dict", "model_state_dict", "model", "module", "net", "params", "weights")
# nn.Module keeps what it has in these.
_PARAMETERS, _BUFFERS, _MODULES = "_parameters", "_buffers", "_modules"
_NOT_SAVED = "_non_persistent_buffers_set"
_DEEPEST, _MOST, _LONGEST = 64, 1_000_000, 4096


def state_dict(value: Any) -> dict[str, View]:
    """The tensors by name, in order.

    Raises MalformedSource for what is nested without bound, Unsupported for tensors of rare kinds.
    """
    walk = _Walk()
    views: dict[str, View] = {}
    for name, view in walk.tensors(_weights(value, walk), "", 0):
        if name in views and views[name] != view:
            raise MalformedSource("two tensors of one name", place=f"tensor {clipped(name)!r}")
        views[name] = view
    return views


def _weights(value: Any, walk: _Walk) -> Any:
    """The part of a checkpoint that is the model's: a state dict, or a model, within a few dictionaries.

    Tensors may lie beside it: states of random generators.
    """
    for _ in range(4):
        if not isinstance(value, dict):
            break
        parts = [part for key in _WEIGHTS if isinstance(part := value.get(key), dict | Made)]
        inner = next((part for part in parts if walk.has_tensor(part)), None)
        if inner is None:
            break
        value = inner
    return value


class _Walk:
    """A walk through what was built, of so many steps in all."""

    def __init__(self) -> None:
        self._left = _MOST

    def has_tensor(self, value: Any) -> bool:
        """Whether there is any in it."""
        return next(self.tensors(value, "", 0), None) is not None

    def tensors(self, value: Any, path: str, depth: int) -> Iterator[tuple[str, View]]:
        """Every tensor in `value`, by its path."""
        self._left -= 1
        if self._left < 0:
            raise MalformedSource(f"more than {_MOST:,} things to look at", place=clipped(path))
        if depth > _DEEPEST:
            raise MalformedSource(f"nested deeper than {_DEEPEST}", place=clipped(path))
        if len(path) > _LONGEST:
            raise MalformedSource(f"a name of {len(path):,} characters", place=clipped(path))
        if isinstance(value, View):
            yield path, value
        elif isinstance(value, Made):
            yield from self._inside(value, path, depth)
        elif isinstance(value, dict):
            for key, each in value.items():
                yield from self.tensors(each, _joined(path, key), depth + 1)
        elif isinstance(value, list | tuple):
            for number, each in enumerate(value):
                yield from self.tensors(each, _joined(path, number), depth + 1)

    def _inside(self, made: Made, path: str, depth: int) -> Iterator[tuple[str, View]]:
        """What an object has: a module's parameters, buffers, modules; else its items, state and values."""
        maker, state = made.maker, made.state
        if isinstance(maker, Named) and maker.module == "torch._utils" and maker.name.startswith("_rebuild"):
            reason = f"tensors that torch._utils.{clipped(maker.name)} makes"
            raise Unsupported(reason, place=f"tensor {clipped(path)!r}", remedy="save a plain tensor")
        if isinstance(state, Mapping) and _PARAMETERS in state:
            buffers = state.get(_BUFFERS)
            if isinstance(buffers, dict):
                unsaved = _members(state.get(_NOT_SAVED))
                buffers = {key: each for key, each in buffers.items() if key not in unsaved}
            for part in (state[_PARAMETERS], buffers, state.get(_MODULES)):
                yield from self.tensors(part, path, depth + 1)
            return
        for each in (made.items, state, made.values):
            if each:
                yield from self.tensors(each, path, depth + 1)


def _members(value: Any) -> frozenset[str]:
    """The names in a set, as either way of pickling one has them."""
    if not isinstance(value, Made):
        return frozenset()
    first = value.arguments[0] if isinstance(value.arguments, tuple) and value.arguments else ()
    named = [*(first if isinstance(first, list | tuple) else ()), *(value.values or ())]
    return frozenset(name for name in named if isinstance(name, str))


def _joined(path: str, key: object) -> str:
    name = key if isinstance(key, str) else str(key) if isinstance(key, int | float) else "?"
    return f"{path}.{name}" if path else name
