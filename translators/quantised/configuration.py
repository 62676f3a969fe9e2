"""What a checkpoint says of its quantisation: `quantization_config`, and ModelOpt's hf_quant_config.json.

Both were written by whoever made the checkpoint; nothing of them is believed that shapes can tell.
Knows nothing of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.model import Model

MODELOPT = "hf_quant_config.json"
PLACE = "quantization_config"
# Where mlx-lm says it; it repeats that under the other name, without a method.
MLX_PLACE = "quantization"


@dataclass(frozen=True)
class Quantisation:
    """How a checkpoint is quantised.

    method:   `quant_method`; None where nothing says.
    settings: the whole of `quantization_config`.
    algorithm, format, groups, layers: ModelOpt's, or those of the settings.
    """

    method: str | None
    settings: Mapping[str, Any]
    algorithm: str | None = None
    format: str | None = None
    groups: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[str, Any] = field(default_factory=dict)


def quantisation_of(model: Model) -> Quantisation | None:
    """How `model` is quantised; None where it is not. Raises MalformedSource, MissingSource."""
    settings: Any = model.config.get(PLACE)
    # A language model within a larger one has its configuration in this, and what is there comes first.
    text = model.config.get("text_config")
    if isinstance(text, dict) and text.get(PLACE) is not None:
        settings = text[PLACE]
    if settings is not None and not isinstance(settings, dict):
        raise malformed(f"{settings!r:.40} does not describe a quantisation", PLACE)
    settings = settings or {}
    by_mlx = model.config.get(MLX_PLACE)
    if isinstance(by_mlx, dict) and "bits" in by_mlx and "quant_method" not in settings:
        return Quantisation("mlx", by_mlx)
    algorithm, layers = settings.get("quant_algo"), settings.get("quantized_layers")
    method, form, groups = (settings.get(key) for key in ("quant_method", "format", "config_groups"))
    if not algorithm or not layers:
        told = model.modelopt
        inner, producer = told.get("quantization"), told.get("producer")
        if method is None and isinstance(producer, dict):
            method = str(producer.get("name") or "").lower() or None
        if isinstance(inner, dict):
            algorithm, method = inner.get("quant_algo", algorithm), inner.get("quant_method", method)
            form, groups = inner.get("format", form), inner.get("config_groups", groups)
            layers = inner.get("quantized_layers", layers)
    if method is not None and not isinstance(method, str):
        raise malformed(f"{method!r:.40} is no method of quantisation", f"{PLACE}.quant_method")
    if not settings and method is None and algorithm is None:
        return None
    return Quantisation(method, settings, _text(algorithm), _text(form), _mapping(groups), _mapping(layers))


def number(settings: Mapping[str, Any], *keys: str, default: int | None = None) -> int:
    """A whole number of the settings, under the first of `keys` that is there. Raises MalformedSource."""
    for key in keys:
        value = settings.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value < 1 << 31:
            raise malformed(f"{value!r:.40} is no count", f"{PLACE}.{key}")
        return value
    if default is None:
        raise malformed("it is missing", f"{PLACE}.{keys[0]}")
    return default


def unsupported(reason: str, key: str) -> Unsupported:
    """The error for settings that are sound, but that nothing here translates."""
    return Unsupported(
        reason, path="config.json", place=f"{PLACE}.{key}",
        remedy="use the checkpoint in BF16, F16 or F32, or one quantised otherwise",
    )  # fmt: skip


def malformed(reason: str, place: str) -> MalformedSource:
    """The error for settings that are none."""
    return MalformedSource(
        reason,
        path="config.json",
        place=place,
        remedy="take config.json from the model's original repository",
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
