"""config.json as transformers completes it: what upstream's converter really starts from.

Upstream reads a configuration through transformers' AutoConfig (4.57.6 is the version that I10 is bound to),
which fills in what the file leaves out: a Llama without `rope_theta` gains one, and with it a key-value. What
AutoConfig refuses, upstream reads as it is. Both are reproduced here as far as a converted file can show it.
Sources: transformers' configuration classes, configuration_utils.py, modeling_rope_utils.py and
configuration_auto.py. Knows nothing of GGUF keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.families import FAMILIES, TEXT_PARTS
from translators.families.composed import COMPOSED
from translators.families.configuration import ConfigClass, checked_scaling, layer_types
from translators.families.transformers_names import MODEL_TYPES, TORCH_DTYPES

# How AutoConfig fails on a configuration; upstream then takes the file as it is.
_REFUSALS = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
_PROBLEMS = (None, "regression", "single_label_classification", "multi_label_classification")

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
    ConfigClass(
        "llama", _llama(None, 11008, 2048, rope_scaling=None), head_dim=True, rope=True,
        others=("code_llama",),
    ),
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
_OF_FAMILIES = (*(each for family in FAMILIES for each in family.configurations), *COMPOSED)
CLASSES = {name: each for each in (*_CLASSES, *_OF_FAMILIES) for name in (each.model_type, *each.others)}


def completed(config: Mapping[str, Any], root: Path | None = None) -> dict[str, Any]:
    """`config` with what AutoConfig fills in, or a copy as it is where AutoConfig refuses it.

    root: the model's directory; its name decides where `model_type` is missing.
    `_name_or_path` stays that of the file, which is what metadata is made of; AutoConfig would put its own
    argument there. A nested `text_config` is laid over the rest.
    Raises Unsupported for a type that AutoConfig completes in a way not known here, MalformedSource for
    numbers of layers beyond all measure or a text_config that is no object.
    """
    whole = nested(config, root)
    text = whole.get("text_config", {})
    if not isinstance(text, dict):
        raise MalformedSource("no JSON object", path="config.json", place="text_config")
    return {**whole, **text}


def nested(config: Mapping[str, Any], root: Path | None = None) -> dict[str, Any]:
    """The same with its parts where they are; that of the language model is called text_config."""
    try:
        whole = _constructed(config, root.name if root else "")
    except _REFUSALS:
        whole = dict(config)
    for name in TEXT_PARTS:
        if name in whole:
            whole["text_config"] = whole[name]
    return whole


def _constructed(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What AutoConfig makes of `config`; raises one of `_REFUSALS` where AutoConfig raises anything."""
    return constructed(_config_class(config, name), config)


def constructed(kind: ConfigClass, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a class makes of `config`; raises one of `_REFUSALS` where it raises anything."""
    if "self" in config or "use_return_dict" in config:
        raise TypeError("a key that the class cannot be constructed with")
    given = {key: value for key, value in config.items() if key not in kind.aliases}
    # Set last, as PretrainedConfig does with what a class's own constructor does not name.
    given |= {kind.aliases[key]: value for key, value in config.items() if key in kind.aliases}
    whole = {**_BASE, **kind.values, **given, "model_type": kind.model_type}
    for key, part in kind.parts.items():
        absent = {name: config[name] for name in config if name not in kind.parts}
        inner = whole.get(key)
        if inner is None:
            inner = absent if part.whole else part.absent
        named = inner.get("model_type", part.model_type) if part.chosen else part.model_type
        whole[key] = constructed(part.of or _known_class(named), inner)
    if kind.kv_heads and "num_key_value_heads" in kind.values and whole["num_key_value_heads"] is None:
        whole["num_key_value_heads"] = whole["num_attention_heads"]
    if whole.get("head_dim") is None and kind.head_dim:
        whole["head_dim"] = whole["hidden_size"] // whole["num_attention_heads"]
    if "use_sliding_window" in kind.values and not whole["use_sliding_window"]:
        whole["sliding_window"] = None
    if kind.rope and whole["rope_scaling"] is not None:
        whole["rope_scaling"] = checked_scaling(
            whole, known_head_dim="head_dim" in kind.values, told=kind.rope == "told"
        )
    if kind.layers:
        whole["layer_types"] = layer_types(whole, checked=kind.layers == "checked")
    if kind.finished is not None:
        whole = kind.finished(whole)
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
    return _known_class(model_type)


def _known_class(model_type: Any) -> ConfigClass:
    """The class of a type. Raises ValueError where transformers has none, Unsupported if it is not here."""
    if model_type not in MODEL_TYPES:
        raise ValueError("not a type of transformers")
    if model_type not in CLASSES:
        raise Unsupported(
            f"the defaults of type {model_type} are not known", path="config.json", place="model_type",
            remedy="use a model of type " + ", ".join(CLASSES),
        )  # fmt: skip
    return CLASSES[model_type]


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
