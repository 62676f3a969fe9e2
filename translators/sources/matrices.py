"""Which files beside a model are importance matrices for it, decided from their names alone.

An importance matrix is no model, although it may be a GGUF: it is known by its name, `imatrix` first or last.
Knows nothing of what is in a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_GGUF = ".gguf"
# Names that people give: imatrix.gguf and imatrix.dat (llama-imatrix itself), imatrix_unsloth.dat or
# .gguf_file, imatrix-Model.dat, Model.imatrix, Model.imatrix.dat, Model-imatrix.gguf.
_IMATRIX = re.compile(
    r"(?:imatrix(?:[-._](?P<last>.+))?|(?P<first>.+)[-._]imatrix)\.(?:gguf|gguf_file|dat)|(?P<all>.+)\.imatrix",
    re.DOTALL | re.IGNORECASE,
)
# ... while Model-Q4_K_M-imatrix.gguf is a model that was made with one.
_QUANTISED = re.compile(
    r"(?:.*[-._])?(?:i?q|tq)[1-8]_\w+[-_]imatrix\.gguf|.*[-._](?:bf16|fp?16|f32)[-_]imatrix\.gguf",
    re.DOTALL | re.IGNORECASE,
)


def is_imatrix(name: str) -> bool:
    """True for the name of an importance matrix, in any case."""
    return _IMATRIX.fullmatch(name) is not None and not _QUANTISED.fullmatch(name)


def imatrices(names: Iterable[str], model: str = "") -> tuple[str, ...]:
    """The importance matrix for a model among files of these names; several where none can be preferred.

    `model` is the model's name where others lie in the same directory: a matrix is then for those models
    whose name begins with its own. Elsewhere every matrix counts, and imatrix.* before all others. Of the
    same name in both formats, the GGUF is meant.
    """
    own = {name: _own(name) for name in sorted(names) if not name.startswith(".") and is_imatrix(name)}
    if model:
        own = {name: stem for name, stem in own.items() if stem and _begins(model.lower(), stem)}
        longest = max(map(len, own.values()), default=0)
        own = {name: stem for name, stem in own.items() if len(stem) == longest}
    chosen = [name for name, stem in own.items() if not stem] or list(own)
    if len({own[name] for name in chosen}) > 1:
        return tuple(chosen)
    return tuple(sorted(chosen, key=lambda name: not name.lower().endswith(_GGUF))[:1])


def _own(name: str) -> str:
    """What a matrix calls itself, as a rule like its model, in lower case; "" for imatrix.*"""
    match = _IMATRIX.fullmatch(name)
    return next(filter(None, match.groups()), "").lower() if match else ""


def _begins(model: str, stem: str) -> bool:
    return model == stem or (model.startswith(stem) and model[len(stem)] in "-._ ")
