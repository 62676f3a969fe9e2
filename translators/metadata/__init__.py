"""`general.*`: what a GGUF tells of the model as a whole, by the rules of upstream's converter.

    parameters = count_parameters((tensor.name, tensor.shape) for tensor in tensors)
    write_general(key_values, root, name, config, parameters)

The directory's name, README.md and generation_config.json decide these keys, and with them the offset of
the tensor data: they are part of a model's identity. Rules: llama.cpp b11434, gguf-py's metadata.py and
conversion/base.py (prepare_metadata). Nothing here knows an architecture or a tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from translators.keyvalues import KeyValues
from translators.metadata.authorship import write_authorship
from translators.metadata.checked import Checked
from translators.metadata.modelcard import model_card
from translators.metadata.parameters import ParameterCount, count_parameters
from translators.metadata.sampling import write_sampling

__all__ = ["ParameterCount", "count_parameters", "write_adapter", "write_general"]


def write_general(
    kv: KeyValues,
    root: Path,
    name: str,
    config: Mapping[str, Any],
    parameters: ParameterCount,
    *,
    kind: str = "model",
    made: Mapping[str, bytes | None] | None = None,
) -> None:
    """Append `general.type` up to `general.languages`, in upstream's order.

    `general.architecture` comes before them in a file; whoever knows it has set it.
    root: the model's directory. name: the directory's name. config: config.json, of which only
    `_name_or_path` is read, as the file has it. kind: of file, in upstream's words.
    made: files that are as if they lay in `root`.
    Raises MalformedSource (bad YAML, values that a GGUF cannot hold, a name that is no UTF-8) or
    MissingSource (a file that cannot be read).
    """
    kv.string("general.type", kind)
    write_sampling(kv, root, made or {})
    Checked(kv, str(root), "rename the directory").text(name, "its name")
    of_config = Checked(kv, str(root / "config.json"))
    origin = config.get("_name_or_path")
    if origin is not None:
        origin = of_config.text(origin, "_name_or_path")
    write_authorship(Checked(kv, str(root / "README.md")), model_card(root), origin, name, parameters)


def write_adapter(kv: KeyValues, root: Path, name: str, pairs: Iterable[tuple[int, int]]) -> None:
    """The same of a LoRA adapter, up to `general.languages`.

    pairs: the first dimension of each B, and the last of its A. Raises as `write_general`.
    """
    kv.string("general.type", "adapter")
    kv.string("adapter.type", "lora")
    Checked(kv, str(root), "rename the directory").text(name, "its name")
    # Negative: that many the model has at least.
    parameters = ParameterCount(-sum(rows * columns for rows, columns in pairs), 0, 0, 0)
    write_authorship(Checked(kv, str(root / "README.md")), model_card(root), None, name, parameters)
