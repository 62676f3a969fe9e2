"""translators: files, tensors and formats. One model in, every format out, any byte range at a time.

    model  = translators.open_model(path)    # a source directory or file -> Model
    plans  = translators.plans(model)        # name -> Plan, or a Refusal with its reason
    layout = plans[name].layout()            # exact bytes: .size, .identity, .read_into(offset, buffer)

A library of its own: it never imports `fsd`, and knows nothing of FUSE, HTTP, caches or threads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from translators.errors import (
    BadValues,
    MalformedSource,
    MissingSource,
    SourceChanged,
    TranslationError,
    Unsupported,
)

if TYPE_CHECKING:
    from translators.layout import Layout
    from translators.model import Model
    from translators.plan import Plan, Refusal
    from translators.sources import open_model
    from translators.targets import folders, plans

__all__ = [
    "BadValues", "Layout", "MalformedSource", "MissingSource", "Model", "Plan", "Refusal", "SourceChanged",
    "TranslationError", "Unsupported", "folders", "open_model", "plans",
]  # fmt: skip

# NumPy, msgspec and the tokenizers take four tenths of a second to import: whoever only handles errors,
# as most verbs of the command line do, need not wait for them.
_MODULES = {
    "Layout": "layout", "Model": "model", "Plan": "plan", "Refusal": "plan", "open_model": "sources",
    "folders": "targets", "plans": "targets",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
