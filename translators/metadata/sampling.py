"""Sampling parameters: what generation_config.json advises, as `general.sampling.*`.

Keys, types and order are gguf-py's (metadata.py, gguf_writer.py). A file that is no JSON is passed over, as
upstream does; a value that the type cannot hold is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from translators.keyvalues import KeyValues
from translators.metadata.checked import Checked
from translators.sources.stored_file import StoredFile

_FILE = "generation_config.json"
# Published files have at most a few kilobytes.
_LIMIT = 10_000_000
# The GGUF's name, the names in the file (the first that is there), and the kind of value.
_KEYS = (
    ("sequence", ("sequence",), "string"),
    ("top_k", ("top_k",), "i32"),
    ("top_p", ("top_p",), "f32"),
    ("min_p", ("min_p",), "f32"),
    ("xtc_probability", ("xtc_probability",), "f32"),
    ("xtc_threshold", ("xtc_threshold",), "f32"),
    ("temp", ("temperature",), "f32"),
    ("penalty_last_n", ("penalty_last_n",), "i32"),
    ("penalty_repeat", ("penalty_repeat", "repetition_penalty"), "f32"),
    ("mirostat", ("mirostat",), "i32"),
    ("mirostat_tau", ("mirostat_tau",), "f32"),
    ("mirostat_eta", ("mirostat_eta",), "f32"),
)


def write_sampling(kv: KeyValues, root: Path, made: Mapping[str, bytes | None]) -> None:
    """Append `general.sampling.*` from generation_config.json in `root`, or in `made`, if it is there.

    Raises MalformedSource (no object, values of wrong types or out of range) or MissingSource.
    """
    path, data = root / _FILE, made.get(_FILE)
    if data is None and not path.is_file():
        return
    advice = _generation_config(path) if data is None else json.loads(data)
    checked = Checked(kv, str(path))
    if not advice:
        return
    if not isinstance(advice, dict):
        raise checked.refusal("no JSON object", "")
    for name, keys, kind in _KEYS:
        place = next((key for key in keys if key in advice), keys[0])
        value = advice.get(place)
        if value is None:
            continue
        set_value = {"string": checked.string, "i32": checked.i32, "f32": checked.f32}[kind]
        set_value(f"general.sampling.{name}", value, place)


def _generation_config(path: Path) -> object:
    """What the file holds; None where it is no JSON."""
    with StoredFile(path) as file:
        if file.size > _LIMIT:
            raise file.malformed(f"{file.size:,} bytes are too many for such a file")
        try:
            value: object = json.loads(file.read(0, file.size).decode("utf-8"))
        except json.JSONDecodeError:
            return None
        except (ValueError, RecursionError) as error:
            raise file.malformed("no usable JSON: its text, a number or its nesting") from error
        return value
