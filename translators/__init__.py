"""translators: files, tensors and formats. One model in, every format out, any byte range at a time.

    model  = translators.open_model(path)    # a source directory or file -> Model
    plans  = translators.plans(model)        # name -> Plan, or a Refusal with its reason
    layout = plans[name].layout()            # exact bytes: .size, .identity, .read_into(offset, buffer)

A library of its own: it never imports `fsd`, and knows nothing of FUSE, HTTP, caches or threads.
"""

from translators.errors import (
    BadValues,
    MalformedSource,
    MissingSource,
    SourceChanged,
    TranslationError,
    Unsupported,
)
from translators.layout import Layout
from translators.model import Model
from translators.plans import Plan, Refusal
from translators.sources import open_model
from translators.targets import plans

__all__ = [
    "BadValues", "Layout", "MalformedSource", "MissingSource", "Model", "Plan", "Refusal", "SourceChanged",
    "TranslationError", "Unsupported", "open_model", "plans",
]  # fmt: skip
