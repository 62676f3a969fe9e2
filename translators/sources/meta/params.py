"""params.json: what Meta's originals tell of a model's shape, every number checked before use.

    params = params_of(root)

Llama 1 to 4 have few keys in common, and files of the same model differ in which they tell; what a model
was trained with and no key tells (the longest text, how rotations are scaled) is concluded elsewhere.
Knows nothing of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.sources.side_files import is_there, json_object
from translators.sources.stored_file import malformed

NAME = "params.json"
_REMEDY = "fetch params.json again, from the model's own place"
# Each several times what the largest model has.
_MOST = {"dim": 1 << 20, "n_layers": 4096, "n_heads": 1 << 14, "n_kv_heads": 1 << 14, "head_dim": 1 << 14}


@dataclass(frozen=True)
class Params:
    """A model's shape: width, layers, heads, heads of keys and values, width of a head; and its constants.

    eps:    of the norms. theta: the base of the rotations. scaled: whether they are scaled for long texts.
    told:   all that the file tells.
    path:   the file.
    """

    dim: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    eps: float
    theta: float
    scaled: bool
    told: Mapping[str, Any]
    path: Path

    def refusal(self, reason: str, key: str) -> MalformedSource:
        """The error for a key that cannot be right."""
        return malformed(self.path, reason, key, _REMEDY)

    def part(self, key: str) -> Mapping[str, Any] | None:
        """An object within the file; None where it is missing or null. Raises MalformedSource."""
        value = self.told.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.refusal("no JSON object", key)
        return value

    def count(
        self, told: Mapping[str, Any], key: str, otherwise: int | None = None, most: int = 1 << 20
    ) -> int:
        """A positive number of `told`. Raises MalformedSource."""
        value = told.get(key)
        value = otherwise if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
            raise self.refusal(f"{value!r:.40} is no count from 1 to {most:,}", key)
        return value

    def number(self, told: Mapping[str, Any], key: str, otherwise: float) -> float:
        """A positive finite number of `told`. Raises MalformedSource."""
        value = told.get(key)
        value = otherwise if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
            raise self.refusal(f"{value!r:.40} is no positive number", key)
        return float(value)


def params_of(root: Path) -> Params:
    """The params.json of a directory. Raises MissingSource, MalformedSource, or Unsupported (quantised)."""
    path = root / NAME
    if not is_there(str(path)):
        raise malformed(root, f"{NAME} is missing, which tells the model's shape", "", _REMEDY)
    told = json_object(path)
    told = told["model"] if isinstance(told.get("model"), dict) else told
    for key in ("quantization_args", "lora_args"):
        if told.get(key) is not None:
            raise Unsupported(
                "weights that Meta quantised or trained adapters for", path=str(path), place=key,
                remedy="use the model's weights in BF16",
            )  # fmt: skip
    empty = Params(0, 0, 0, 0, 0, 0.0, 0.0, False, told, path)
    found = {key: empty.count(told, key, most=_MOST[key]) for key in ("dim", "n_layers", "n_heads")}
    heads, dim = found["n_heads"], found["dim"]
    kv_heads = empty.count(told, "n_kv_heads", heads, _MOST["n_kv_heads"])
    head_dim = empty.count(told, "head_dim", max(dim // heads, 1), _MOST["head_dim"])
    if heads % kv_heads or head_dim % 2:
        key = "n_kv_heads" if heads % kv_heads else "n_heads"
        raise empty.refusal(f"{heads} heads of {head_dim}, {kv_heads} of keys, go not together", key)
    return Params(
        dim, found["n_layers"], heads, kv_heads, head_dim,
        empty.number(told, "norm_eps", 1e-5), empty.number(told, "rope_theta", 10000.0),
        told.get("use_scaled_rope") is True, told, path,
    )  # fmt: skip
