"""Modules of a sentence-transformers model: what modules.json names beside the model itself.

Each lies in a directory of its own: `1_Pooling/config.json`, `2_Dense/config.json` and its few weights. Only
plain names that such directories have are followed, into directories that are no links, and large files are
left out. A modules.json that makes no sense names nothing: what needs it says so.
Knows nothing of what a module does.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from translators.errors import TranslationError
from translators.sources.stored_file import StoredFile

MODULES = "modules.json"
_NAME = re.compile(r"[0-9]{1,3}_[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")
_ALONG = (".json", ".txt", ".md", ".model", ".py", ".safetensors", ".bin")
_LONGEST, _MOST = 1 << 20, 64
# A dense layer of 8192 by 2048 floats.
LARGEST = 64 << 20


def module_files(root: Path) -> tuple[str, ...]:
    """The files of the modules of the model in `root`, "2_Dense/config.json", in order; never raises."""
    found: list[str] = []
    for directory in _directories(root / MODULES):
        path = os.path.join(root, directory)
        try:
            if os.path.islink(path):  # noqa: PTH114  (as all here: asked for every model)
                continue
            with os.scandir(path) as entries:
                names = [entry.name for entry in entries if _goes_along(entry)]
        except OSError:
            continue
        found += [f"{directory}/{name}" for name in sorted(names)[:_MOST]]
    return tuple(found)


def _directories(path: Path) -> list[str]:
    """The directories that a modules.json names; a transformer's holds what is translated."""
    try:
        with StoredFile(path) as file:
            modules: Any = json.loads(file.read(0, file.size)) if file.size <= _LONGEST else []
    except (TranslationError, OSError, ValueError, RecursionError):
        return []
    named: dict[str, None] = {}
    for module in modules if isinstance(modules, list) else ():
        kind, name = (module.get("type"), module.get("path")) if isinstance(module, dict) else (None, None)
        is_other = isinstance(kind, str) and not kind.endswith("Transformer")
        if is_other and isinstance(name, str) and _NAME.fullmatch(name.removesuffix("/")):
            named[name.removesuffix("/")] = None
    return list(named)[:_MOST]


def _goes_along(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    return (
        not name.startswith(".")
        and name.lower().endswith(_ALONG)
        and entry.is_file()
        and entry.stat().st_size <= LARGEST
    )
