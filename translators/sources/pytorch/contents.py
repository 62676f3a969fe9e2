"""The tensors in what a pickle would build, by the names that a state dict gives them.

A file is a state dict, a training checkpoint that has one among other things, or a module with parameters
inside modules (TorchScript's, or a pickled nn.Module). Of a training checkpoint the state dict is meant, not
the optimiser's moments; where none can be told, every tensor counts, under its path.
Knows nothing of storages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from translators.errors import MalformedSource
from translators.sources.pytorch.pickled import Made, Named
from translators.sources.pytorch.storages import View

# Where training frameworks keep the weights, the preferred first.
_WEIGHTS = ("state_dict", "model_state_dict", "model", "module", "net", "params", "weights")
# nn.Module keeps what it has in these.
_MODULE_PARTS = ("_parameters", "_buffers", "_modules")
_DEEPEST, _MOST = 64, 5_000_000


def state_dict(value: Any) -> dict[str, View]:
    """The tensors by name, in order. Raises MalformedSource for what is nested without bound."""
    found = _weights(value)
    views: dict[str, View] = {}
    for count, (name, view) in enumerate(_walk(found, "", 0)):
        if count > _MOST:
            raise MalformedSource(f"more than {_MOST:,} tensors")
        if name in views and views[name] != view:
            raise MalformedSource("two tensors of one name", place=f"tensor {name[:200]!r}")
        views[name] = view
    return views


def _weights(value: Any) -> Any:
    """The part of a checkpoint that is the model's."""
    if isinstance(value, dict) and not any(isinstance(each, View) for each in value.values()):
        for key in _WEIGHTS:
            inner = value.get(key)
            if isinstance(inner, dict | Made) and next(_walk(inner, "", 0), None) is not None:
                return _weights(inner)
    return value


def _walk(value: Any, path: str, depth: int) -> Iterator[tuple[str, View]]:
    if depth > _DEEPEST:
        raise MalformedSource(f"nested deeper than {_DEEPEST}", place=path[:200])
    if isinstance(value, View):
        yield path, value
    elif isinstance(value, Made):
        yield from _inside(value, path, depth)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _walk(each, _joined(path, key), depth + 1)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _walk(each, _joined(path, number), depth + 1)


def _inside(made: Made, path: str, depth: int) -> Iterator[tuple[str, View]]:
    """What an object has: a module's parameters, buffers and modules; else its state, items and values."""
    state = made.state
    if isinstance(state, Mapping) and any(part in state for part in _MODULE_PARTS):
        for part in _MODULE_PARTS:
            yield from _walk(state.get(part) or {}, path, depth + 1)
        return
    for each in (made.items, state, made.values):
        if each and not isinstance(each, Named):
            yield from _walk(each, path, depth + 1)


def _joined(path: str, key: object) -> str:
    name = key if isinstance(key, str) else str(key) if isinstance(key, int | float) else "?"
    return f"{path}.{name}" if path else name
