"""Configuration classes of transformers 4.57.6 as data: what each fills in of a config.json.

    ConfigClass("gemma", {"vocab_size": 256000, ...})       # among `configurations` of the family

`python -m tests.oracle.families.configuration gemma` writes one from transformers' own signature.
What of a constructor is no plain default are functions (`layer_types`, `checked_scaling`, a class's own);
they raise what the constructor raises. Knows nothing of how a configuration is completed; that is `defaults`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from translators.errors import MalformedSource

_LAYER_TYPES = ("full_attention", "sliding_attention", "chunked_attention", "linear_attention")
_MOST_LAYERS = 100_000
_ROPE_KEYS = {
    "default": {"rope_type"},
    "linear": {"rope_type", "factor"},
    "dynamic": {"rope_type", "factor"},
    "yarn": {"rope_type", "factor"},
    "longrope": {"rope_type", "short_factor", "long_factor"},
    "llama3": {
        "rope_type", "factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A configuration within another.

    model_type: of its class; `chosen`: unless it names another itself. absent: what holds where it is null.
    whole: where it is null, it is made of all that the configuration around it holds.
    of: its class, where another has the same model_type.
    """

    model_type: str
    chosen: bool = False
    absent: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    of: ConfigClass | None = None


@dataclass(frozen=True)
class ConfigClass:
    """A configuration class of transformers: what it fills in.

    values:   its parameters with their defaults.
    head_dim: a missing head_dim is derived from the width. kv_heads: missing ones are as many as heads.
    rope:     rope_scaling is normalised and checked; "told": checked as it is, so `type` alone is refused.
    layers:   how layer_types are filled in: "" (never), "checked" (by the window, and checked), "alike".
    aliases:  its attribute_map: names that a file may use, and what they are called in the result.
    parts:    keys that hold a configuration of their own.
    finished: what else its constructor does with the whole; it raises where that raises.
    others:   further model_types of the same class.
    """

    model_type: str
    values: Mapping[str, Any]
    head_dim: bool = False
    kv_heads: bool = True
    rope: bool | Literal["told"] = False
    layers: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)
    finished: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    others: tuple[str, ...] = ()


def checked_scaling(whole: Mapping[str, Any], known_head_dim: bool, told: bool = False) -> dict[str, Any]:
    """rope_scaling with `type` also as `rope_type`; raises where transformers' own sums would.

    told: `rope_type` must be there.
    """
    scaling = whole["rope_scaling"]
    if told and "rope_type" not in scaling and scaling.get("type", "default") in _ROPE_KEYS:
        raise KeyError("rope_scaling lacks its rope_type")
    if "type" in scaling:
        scaling = {**scaling, "rope_type": scaling["type"]}
    rope_type = scaling.get("rope_type", "default")
    if _ROPE_KEYS.get(rope_type, set()) - scaling.keys():
        raise KeyError("rope_scaling lacks keys")
    context, original = whole["max_position_embeddings"], scaling.get("original_max_position_embeddings")
    probes: dict[str, Callable[[], object]] = {
        "yarn": lambda: (
            (scaling.get("beta_fast") or 32) < (scaling.get("beta_slow") or 1),
            original is None or context / original,
        ),
        "llama3": lambda: (scaling["high_freq_factor"] <= scaling["low_freq_factor"], original >= context),
        "longrope": lambda: (
            int((whole["head_dim"] if known_head_dim else 1) * 1.0),
            whole["hidden_size"] // whole["num_attention_heads"],
            *(_length_of_factors(scaling[key]) for key in ("short_factor", "long_factor")),
        ),
    }
    probes.get(rope_type, bool)()
    return dict(scaling)


def _length_of_factors(factors: Any) -> int:
    if not isinstance(factors, list):
        iter(factors)
    return len(factors)


def layer_types(whole: Mapping[str, Any], checked: bool) -> list[Any]:
    """layer_types, filled in by the sliding window where missing; raises where transformers does."""
    window = whole["sliding_window"]
    from_layer = whole["max_window_layers"] if checked else 0
    types = whole["layer_types"]
    if types is None:
        layers = range(counted_layers(whole))
        types = [_LAYER_TYPES[window is not None and layer >= from_layer] for layer in layers]
    if checked:
        check_layer_types(types, whole["num_hidden_layers"])
    return types  # type: ignore[no-any-return]


def checked_layers(
    whole: dict[str, Any], other: Callable[[int], bool], kind: str = "sliding_attention"
) -> dict[str, Any]:
    """A configuration whose missing layer_types are filled in, and all of which are checked.

    other: whether a layer's attention is of `kind`; else it is full.
    """
    types = whole["layer_types"]
    if types is None:
        types = [kind if other(layer) else "full_attention" for layer in range(counted_layers(whole))]
    check_layer_types(types, whole["num_hidden_layers"])
    return {**whole, "layer_types": types}


def counted_layers(whole: Mapping[str, Any]) -> int:
    """num_hidden_layers for a list of that length. Raises MalformedSource beyond all measure."""
    number: int = whole["num_hidden_layers"]
    if isinstance(number, int) and number > _MOST_LAYERS:
        raise MalformedSource(
            f"a model of more than {_MOST_LAYERS:,} layers", path="config.json", place="num_hidden_layers",
            remedy="take config.json from the model's original repository",
        )  # fmt: skip
    return number


def check_layer_types(types: Any, number: Any) -> None:
    """Raise where transformers' layer_type_validation does."""
    if not all(each in _LAYER_TYPES for each in types):
        raise ValueError("an unknown layer type")
    if number is not None and number != len(types):
        raise ValueError("not one type for each layer")
