"""config.json as transformers completes it: what upstream's converter really starts from.

Upstream reads a configuration through transformers' AutoConfig (4.57.6 is the version that I10 is bound to),
which fills in what the file leaves out: a Llama without `rope_theta` gains one, and with it a key-value. What
AutoConfig refuses, upstream reads as it is. Both are reproduced here as far as a converted file can show it.
Sources: transformers' configuration classes, configuration_utils.py, modeling_rope_utils.py and
configuration_auto.py. Knows nothing of GGUF keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.families.transformers_names import MODEL_TYPES, TORCH_DTYPES

# How AutoConfig fails on a configuration; upstream then takes the file as it is.
_REFUSALS = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
_LAYER_TYPES = ("full_attention", "sliding_attention", "chunked_attention", "linear_attention")
_MOST_LAYERS = 100_000
_PROBLEMS = (None, "regression", "single_label_classification", "multi_label_classification")
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
class ConfigClass:
    """A configuration class of transformers: what it fills in.

    values:   its parameters with their defaults.
    head_dim: a missing head_dim is derived from the width. kv_heads: missing ones are as many as heads.
    rope:     rope_scaling is normalised and checked.
    layers:   how layer_types are filled in: "" (never), "checked" (by the window, and checked), "alike".
    """

    model_type: str
    values: Mapping[str, Any]
    head_dim: bool = False
    kv_heads: bool = True
    rope: bool = False
    layers: str = ""


# Of every class here: what PretrainedConfig itself fills in.
_BASE = {"architectures": None, "tie_word_embeddings": False, "max_length": 20}
_WINDOW = {"sliding_window": 4096, "use_sliding_window": False}


def _values(
    hidden: int, ffn: int, layers: int, heads: int, kv_heads: int | None, **others: Any
) -> dict[str, Any]:
    return {
        "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0, **others,
    }  # fmt: skip


def _llama(
    kv_heads: int | None = 8, ffn: int = 14336, context: int = 131072, **others: Any
) -> dict[str, Any]:
    common = {"vocab_size": 32000, "max_position_embeddings": context, "head_dim": None}
    return _values(4096, ffn, 32, 32, kv_heads, **{**common, **others})


def _qwen(*shape: int, **others: Any) -> dict[str, Any]:
    common = {"vocab_size": 151936, "max_position_embeddings": 32768, "rope_scaling": None, **_WINDOW}
    return _values(*shape, **{**common, **others})


_QWEN2_EXPERTS = {
    "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632, "num_experts_per_tok": 4,
    "num_experts": 60,
}  # fmt: skip
_QWEN3_EXPERTS = {"moe_intermediate_size": 768, "num_experts_per_tok": 8, "num_experts": 128}
_CLASSES = (
    ConfigClass("llama", _llama(None, 11008, 2048, rope_scaling=None), head_dim=True, rope=True),
    ConfigClass("mistral", _llama(sliding_window=4096)),
    ConfigClass("ministral", _llama(sliding_window=4096, layer_types=None), layers="alike"),
    ConfigClass(
        "mixtral",
        _llama(
            rms_norm_eps=1e-5, rope_theta=1e6, sliding_window=None, num_experts_per_tok=2, num_local_experts=8
        ),
    ),
    ConfigClass(
        "qwen2", _qwen(4096, 22016, 32, 32, 32, max_window_layers=28, layer_types=None),
        rope=True, layers="checked",
    ),
    ConfigClass(
        "qwen3", _qwen(4096, 22016, 32, 32, 32, head_dim=128, max_window_layers=28, layer_types=None),
        rope=True, layers="checked",
    ),
    ConfigClass(
        "qwen2_moe", _qwen(2048, 5632, 24, 16, 16, **_QWEN2_EXPERTS), kv_heads=False, rope=True
    ),
    ConfigClass(
        "qwen3_moe", _qwen(2048, 6144, 24, 32, 4, **_QWEN3_EXPERTS), kv_heads=False, rope=True
    ),
)  # fmt: skip
CLASSES = {each.model_type: each for each in _CLASSES} | {"code_llama": _CLASSES[0]}


def completed(config: Mapping[str, Any], root: Path | None = None) -> dict[str, Any]:
    """`config` with what AutoConfig fills in, or a copy as it is where AutoConfig refuses it.

    root: the model's directory; its name decides where `model_type` is missing.
    `_name_or_path` stays that of the file, which is what metadata is made of; AutoConfig would put its own
    argument there. A nested `text_config` is laid over the rest.
    Raises Unsupported for a type that AutoConfig completes in a way not known here, MalformedSource for
    numbers of layers beyond all measure or a text_config that is no object.
    """
    try:
        whole = _constructed(config, root.name if root else "")
    except _REFUSALS:
        whole = dict(config)
    text = whole.get("text_config", {})
    if not isinstance(text, dict):
        raise MalformedSource("no JSON object", path="config.json", place="text_config")
    return {**whole, **text}


def _constructed(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What AutoConfig makes of `config`; raises one of `_REFUSALS` where AutoConfig raises anything."""
    kind = _config_class(config, name)
    if "self" in config or "use_return_dict" in config:
        raise TypeError("a key that the class cannot be constructed with")
    whole = {**_BASE, **kind.values, **config, "model_type": kind.model_type}
    if whole["num_key_value_heads"] is None and kind.kv_heads:
        whole["num_key_value_heads"] = whole["num_attention_heads"]
    if whole.get("head_dim") is None and kind.head_dim:
        whole["head_dim"] = whole["hidden_size"] // whole["num_attention_heads"]
    if "use_sliding_window" in kind.values and not whole["use_sliding_window"]:
        whole["sliding_window"] = None
    if kind.rope and whole["rope_scaling"] is not None:
        whole["rope_scaling"] = _checked_scaling(whole, known_head_dim="head_dim" in kind.values)
    if kind.layers:
        whole["layer_types"] = _layer_types(whole, checked=kind.layers == "checked")
    _check_common(whole)
    return whole


def _config_class(config: Mapping[str, Any], name: str) -> ConfigClass:
    """The class that AutoConfig takes. Raises ValueError for none, Unsupported for one not known here."""
    if "configuration_files" in config:
        raise Unsupported(
            "its configuration depends on the version of transformers", path="config.json",
            place="configuration_files", remedy="remove the key, if config.json is complete",
        )  # fmt: skip
    model_type = config.get("model_type")
    if "auto_map" in config and "AutoConfig" in config["auto_map"]:
        # Custom code is never run, so only a type that transformers has code for itself will do.
        from_elsewhere = "--" in config["auto_map"]["AutoConfig"]  # fails where transformers' own test does
        if model_type not in MODEL_TYPES:
            raise ValueError("custom code of another repository" if from_elsewhere else "custom code")
    if "model_type" not in config:
        by_length = sorted(MODEL_TYPES, key=len, reverse=True)
        model_type = next((each for each in by_length if each in name), None)
    elif model_type == "mistral" and "layer_types" in config:
        model_type = "ministral"
    if model_type not in MODEL_TYPES:
        raise ValueError("not a type of transformers")
    if model_type not in CLASSES:
        raise Unsupported(
            f"the defaults of type {model_type} are not known", path="config.json", place="model_type",
            remedy="use a model of type " + ", ".join(CLASSES),
        )  # fmt: skip
    return CLASSES[model_type]


def _checked_scaling(whole: Mapping[str, Any], known_head_dim: bool) -> dict[str, Any]:
    """rope_scaling with `type` also as `rope_type`; raises where transformers' own sums would."""
    scaling = whole["rope_scaling"]
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


def _layer_types(whole: Mapping[str, Any], checked: bool) -> list[Any]:
    """layer_types, filled in by the sliding window where missing; raises where transformers does."""
    types, number, window = whole["layer_types"], whole["num_hidden_layers"], whole["sliding_window"]
    if types is None:
        if isinstance(number, int) and number > _MOST_LAYERS:
            raise MalformedSource(
                f"a model of more than {_MOST_LAYERS:,} layers",
                path="config.json", place="num_hidden_layers",
                remedy="take config.json from the model's original repository",
            )  # fmt: skip
        from_layer = whole["max_window_layers"] if checked else 0
        types = [_LAYER_TYPES[window is not None and layer >= from_layer] for layer in range(number)]
    if checked:
        if not all(each in _LAYER_TYPES for each in types):
            raise ValueError("an unknown layer type")
        if number is not None and number != len(types):
            raise ValueError("not one type for each layer")
    return types  # type: ignore[no-any-return]


def _check_common(whole: Mapping[str, Any]) -> None:
    """Raise where PretrainedConfig's constructor or its to_dict would."""
    for key in ("label2id", "id2label", "quantization_config", "pruned_heads"):
        # A null quantization_config is no object either; the others may be null.
        nothing = whole.get(key) is None and (key != "quantization_config" or key not in whole)
        if not nothing and not isinstance(whole[key], dict):
            raise ValueError(f"{key} is no object")
    if whole.get("problem_type") not in _PROBLEMS:
        raise ValueError("an unknown problem_type")
    for key in (*(whole.get("id2label") or ()), *(whole.get("pruned_heads") or ())):
        int(key)
    if whole.get("id2label") is None and whole.get("num_labels") is not None:
        range(whole["num_labels"])
    dtype = whole.get("torch_dtype") if whole.get("dtype") is None else whole["dtype"]
    if isinstance(dtype, str) and dtype not in TORCH_DTYPES:
        raise AttributeError("no dtype of torch")
    _check_dtypes({**whole, "dtype": dtype})


def _check_dtypes(values: Mapping[str, Any]) -> None:
    """to_dict writes each `dtype`, nested ones too, as what follows the dot in its text."""
    dtype = values.get("dtype")
    if not isinstance(dtype, str | int | dict | None):
        str(dtype).split(".")[1]
    for value in values.values():
        if isinstance(value, dict):
            _check_dtypes(value)
