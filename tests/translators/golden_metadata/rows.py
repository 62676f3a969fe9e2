"""Reading metadata.json: upstream's answers as key-values."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from translators.keyvalues import KeyValues, ValueType, array, scalar, string

_NAMES = {
    "UINT32": ValueType.U32,
    "INT32": ValueType.I32,
    "FLOAT32": ValueType.F32,
    "BOOL": ValueType.BOOL,
    "STRING": ValueType.STRING,
}


@cache
def _answers() -> dict[str, list[Any]]:
    answers: dict[str, list[Any]] = json.loads(Path(__file__).with_name("metadata.json").read_text())
    return answers


def golden(section: str) -> list[Any]:
    """The rows of a section of metadata.json."""
    return _answers()[section]


def key_values(rows: list[Any]) -> KeyValues:
    """Upstream's (key, type, value) rows as they are in a file."""
    kv = KeyValues()
    for key, kind, value in rows:
        *is_array, name = kind.split()
        if is_array:
            kv.set(key, array(_NAMES[name], value))
        else:
            kv.set(key, string(value) if name == "STRING" else scalar(_NAMES[name], value))
    return kv


def folder(parent: Path, case: dict[str, Any]) -> Path:
    """A case's directory, made below `parent`."""
    root = parent / str(case["name"])
    root.mkdir(parents=True)
    for path, text in {"config.json": json.dumps(case["config"]), **case["files"]}.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(text.encode("utf-8", "surrogatepass"))
    return root
