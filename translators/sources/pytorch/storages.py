"""What PyTorch's pickles say of tensors: storages by key, and views of them.

A tensor is pickled as a call of `torch._utils._rebuild_tensor_v2` (storage, offset, shape, strides, ...), its
storage as a persistent id ("storage", class, key, device, elements). What these calls make is a `View` here;
layout: torch/serialization.py and torch/_utils.py (2.13).
Knows nothing of where a storage lies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from translators.dtypes import DTYPES, DType
from translators.errors import MalformedSource, Unsupported
from translators.sources.pytorch.pickled import Made, Named
from translators.sources.stored_file import clipped
from translators.torch_types import STORAGES, TORCH_NAMES

# Legacy classes of storages, which say the type; others say "UntypedStorage", and the call says it.
_STORAGES = {storage: name for name, storage in STORAGES.items()}
_TYPES = {named: name for name, named in TORCH_NAMES.items()} | {
    "double": "F64", "float": "F32", "half": "F16", "long": "I64", "int": "I32", "short": "I16",
}  # fmt: skip
_UNTYPED = "UntypedStorage"
# PyTorch's own bound.
_MOST_DIMENSIONS = 64


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of memory that was saved: its key, its type ("" where the view says), and its elements.

    start: where in the storage of that key it begins, in elements (legacy files have views of storages).
    """

    key: str
    type: str
    elements: int
    start: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """A tensor: `shape` and `steps` in elements of `dtype`, from element `offset` of its storage."""

    storage: Storage
    dtype: DType
    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]


def storage_of(key: Any) -> Any:
    """The storage that a persistent id names; other ids as they are. Raises MalformedSource."""
    if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage":
        return Made(Named("", "persistent id"), key)
    _, kind, name, _, elements, *rest = key
    if not isinstance(kind, Named) or not isinstance(name, str | int) or not _is_count(elements):
        raise MalformedSource("a storage without type, key or length", place="data.pkl")
    type_ = "" if kind.name == _UNTYPED else _STORAGES.get(kind.name)
    if type_ is None:
        type_name = clipped(f"{kind.module}.{kind.name}")
        raise Unsupported(f"storage of type {type_name}", place=f"storage {clipped(str(name))}")
    if isinstance(name, int) and not _is_count(name):
        raise MalformedSource("a storage whose key is no count", place="data.pkl")
    whole = Storage(str(name), type_, elements)
    view = rest[0] if rest else None
    if view is None:
        return whole
    if not isinstance(view, tuple) or len(view) != 3 or not _is_count(view[1]) or not _is_count(view[2]):
        raise MalformedSource("a view of a storage that says nothing", place=f"storage {clipped(whole.key)}")
    return replace(whole, start=view[1])


def _tensor(arguments: tuple[Any, ...]) -> Any:
    storage, offset, shape, steps = arguments[:4]
    dtype = _dtype(arguments[6]) if len(arguments) > 6 and isinstance(arguments[6], Named) else None
    if not isinstance(storage, Storage) or not _is_count(offset) or not _are_counts(shape, steps):
        raise MalformedSource("a tensor without storage, offset, shape or strides", place="data.pkl")
    if dtype is None:
        if not storage.type:
            raise MalformedSource("a tensor whose type nothing says", place=f"storage {clipped(storage.key)}")
        dtype = DTYPES[storage.type]
    if any(each.get(bit) for each in arguments[6:8] if isinstance(each, dict) for bit in ("conj", "neg")):
        raise Unsupported(
            "a tensor that is to be negated or conjugated when it is read",
            place=f"storage {clipped(storage.key)}", remedy="save it after resolve_conj() and resolve_neg()",
        )  # fmt: skip
    return View(storage, dtype, offset, tuple(shape), tuple(steps))


def _dtype(named: Named) -> DType | None:
    if named.module != "torch":
        return None
    if named.name not in _TYPES:
        raise Unsupported(f"tensors of type torch.{clipped(named.name)}", place="data.pkl")
    return DTYPES[_TYPES[named.name]]


def _first(arguments: tuple[Any, ...]) -> Any:
    """A parameter is the tensor that it was made of."""
    return arguments[0]


def _from_type(arguments: tuple[Any, ...]) -> Any:
    """A subclass's tensor: (function, class, its arguments, state)."""
    function, inner = arguments[0], arguments[2]
    build = BUILT.get(function) if isinstance(function, Named) else None
    return build(inner) if build is not None and isinstance(inner, tuple) else Made(function, inner)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _are_counts(*values: Any) -> bool:
    return all(
        isinstance(value, tuple | list) and len(value) <= _MOST_DIMENSIONS and all(map(_is_count, value))
        for value in values
    )


BUILT = {
    Named("torch._utils", "_rebuild_tensor"): _tensor,
    Named("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Named("torch._utils", "_rebuild_tensor_v3"): _tensor,
    Named("torch._utils", "_rebuild_parameter"): _first,
    Named("torch._utils", "_rebuild_parameter_with_state"): _first,
    Named("torch._tensor", "_rebuild_from_type_v2"): _from_type,
}
