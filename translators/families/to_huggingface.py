"""A GGUF as a Hugging Face checkpoint: tensors under their names, and the config.json to go with them.

config.json is written in the style of transformers 4 (top-level `rope_theta`, `torch_dtype`), which every
client reads. Weights come back in the GGUF's own precision, BF16 where it is quantised.
Reads key-values, and of tensor data only `rope_freqs` (it is where a GGUF keeps Llama 3's scaling).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from translators.dtypes import BF16, DType
from translators.errors import MalformedSource, Unsupported
from translators.families import family_of_arch
from translators.families.rope import Llama3Scaling, scaling_behind
from translators.families.table import Family, Match
from translators.families.transforms import Place
from translators.keyvalues import KeyValues
from translators.model import Model
from translators.quants import can_decode
from translators.reading import SourceFiles
from translators.recipes import Recipe, cast, reshape, slice_, stored

# Families whose config.json can be written.
_MODEL_TYPES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
_TORCH_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_ROPE_FREQS = "rope_freqs.weight"
# Tensors that no checkpoint has.
_GENERATED = (_ROPE_FREQS, "rope_factors_long.weight", "rope_factors_short.weight")


def has_way_back(arch: str) -> bool:
    """Whether a GGUF of this architecture is shown as a Hugging Face folder."""
    return arch in _MODEL_TYPES or family_of_arch(arch).described is not None


def own_dtype(model: Model) -> DType:
    """The precision that the weights come back in."""
    matrices = (tensor.dtype for tensor in model.tensors.values() if len(tensor.shape) > 1)
    first = next(matrices, BF16)
    return first if first.is_float and all(dtype.is_float for dtype in matrices) else BF16


def weights(model: Model) -> Iterator[tuple[str, Recipe]]:
    """The checkpoint's tensors: Hugging Face name and recipe, in the order of the GGUF.

    A tensor that a GGUF has in parts comes where the last of them is; a stack of experts as one after the
    other. Raises Unsupported (architecture, tensor, or type that cannot be decoded), MalformedSource.
    """
    family, dtype = _family(_key_values(model)), own_dtype(model)
    described = config(model)
    waiting: dict[tuple[int, tuple[int, ...], str], dict[str, Recipe]] = {}
    for tensor in model.tensors.values():
        if tensor.name in _GENERATED:
            continue
        match = family.to_huggingface(tensor.name)
        if match is None:
            raise Unsupported(f"the {family.arch} family has no such tensor", place=f"tensor {tensor.name}")
        if not can_decode(tensor.dtype):
            raise Unsupported(f"{tensor.dtype.name} cannot be decoded", place=f"tensor {tensor.name}")
        (name,), place = match.names, Place(described, tensor.name, match.numbers[0] if match.numbers else 0)
        recipe = cast(stored(tensor), dtype)
        if match.stack is not None:
            yield from _experts(match, recipe, place)
            continue
        parts = waiting.setdefault((id(match.rule), match.numbers, name), {})
        parts[tensor.name.removesuffix(".weight").removesuffix(".bias")] = recipe
        wanted = [each.removesuffix(".weight").removesuffix(".bias") for each in _filled(match)]
        if len(parts) == len(wanted):
            whole = match.rule.transform.to_huggingface(tuple(parts[each] for each in wanted), place)
            yield name, cast(whole, dtype)
            del waiting[id(match.rule), match.numbers, name]
    for _, _, name in waiting:
        raise MalformedSource("a part of it is missing", place=f"tensor {name}")


def _filled(match: Match) -> list[str]:
    """The GGUF names of all of a rule's parts."""
    layer = match.numbers[0] if match.numbers else ""
    return [name.format(layer) for name in match.rule.names]


def _experts(match: Match, recipe: Recipe, place: Place) -> Iterator[tuple[str, Recipe]]:
    """The matrices of a stack, one for each expert."""
    (name,) = match.names
    for number in range(recipe.shape[0]):
        matrix = reshape(slice_(recipe, 0, number, number + 1), recipe.shape[1:])
        yield name.format(number), match.rule.transform.to_huggingface((matrix,), place)


def config(model: Model) -> dict[str, Any]:
    """config.json, such that converting the folder again gives the same hyper-parameters.

    Raises Unsupported for what config.json could not say truly, MalformedSource for absent keys.
    """
    key_values = _key_values(model)
    family = _family(key_values)
    heads, arch = _heads(key_values), family.arch
    embedding = model.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise MalformedSource("no embedding of two dimensions", place="tensor token_embd.weight")
    hidden = _integer(key_values, f"{arch}.embedding_length")
    head_dim = hidden // max(1, heads["num_attention_heads"])
    if f"{arch}.attention.key_length" in key_values:
        head_dim = _integer(key_values, f"{arch}.attention.key_length")
    base = f"{arch}.rope.freq_base"
    theta = _decimal(_number(key_values, base)) if base in key_values else 10000.0
    described: dict[str, Any] = {
        "architectures": [family.architectures[0]],
        "model_type": _MODEL_TYPES[arch],
        "vocab_size": embedding.shape[0],
        "hidden_size": hidden,
        "intermediate_size": _integer(key_values, f"{arch}.feed_forward_length"),
        "num_hidden_layers": _integer(key_values, f"{arch}.block_count"),
        **heads,
        "head_dim": head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": _integer(key_values, f"{arch}.context_length"),
        "rms_norm_eps": _decimal(_number(key_values, f"{arch}.attention.layer_norm_rms_epsilon")),
        "rope_theta": theta,
        "rope_scaling": _rope_scaling(model, key_values, arch, theta),
        "attention_bias": "blk.0.attn_q.bias" in model.tensors,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": "output.weight" not in model.tensors,
        "use_cache": True,
        "torch_dtype": _TORCH_NAMES[own_dtype(model).name],
    }
    if arch == "llama":
        described["mlp_bias"] = "blk.0.ffn_up.bias" in model.tensors
    for key in ("bos", "eos", "pad"):
        place = f"tokenizer.ggml.{'padding' if key == 'pad' else key}_token_id"
        if place in key_values:
            token = key_values[place].decoded
            if not isinstance(token, int):
                raise MalformedSource("not a token's id", place=f"key {place}", remedy="fetch the file again")
            described[f"{key}_token_id"] = token
    return described


def generation_config(model: Model, described: Mapping[str, Any]) -> dict[str, Any]:
    """generation_config.json: special tokens, as in `config`'s answer, and the GGUF's sampling settings."""
    key_values = _key_values(model)
    names = {"temp": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p",
             "penalty_repeat": "repetition_penalty"}  # fmt: skip
    sampling = {
        name: _decimal(value) if isinstance(value, float) else value
        for key, name in names.items()
        if f"general.sampling.{key}" in key_values
        for value in (_number(key_values, f"general.sampling.{key}"),)
    }
    tokens = {key: value for key, value in described.items() if key.endswith("_token_id")}
    return {
        "_from_model_config": not sampling,
        **tokens,
        **({"do_sample": True} if sampling else {}),
        **sampling,
    }


def _key_values(model: Model) -> KeyValues:
    if model.key_values is None:
        raise Unsupported("only a GGUF is translated into a Hugging Face folder", path=str(model.root))
    return model.key_values


def _family(key_values: KeyValues) -> Family:
    family = family_of_arch(str(key_values.get("general.architecture", "")))
    if not has_way_back(family.arch):
        raise Unsupported(f"GGUF architecture {family.arch!r} has no Hugging Face translation yet")
    if key_values.get(f"{family.arch}.expert_count", 0):
        raise Unsupported("mixtures of experts have no Hugging Face translation yet")
    return family


def _heads(key_values: KeyValues) -> dict[str, int]:
    arch = key_values.get("general.architecture")
    heads = _integer(key_values, f"{arch}.attention.head_count")
    if f"{arch}.attention.head_count_kv" in key_values:
        return {
            "num_attention_heads": heads,
            "num_key_value_heads": _integer(key_values, f"{arch}.attention.head_count_kv"),
        }
    return {"num_attention_heads": heads, "num_key_value_heads": heads}


def _rope_scaling(model: Model, key_values: KeyValues, arch: str, theta: float) -> dict[str, Any] | None:
    prefix = f"{arch}.rope.scaling."
    kind = key_values.get(prefix + "type", "none")
    if _ROPE_FREQS in model.tensors:
        return _llama3(_rope_factors(model), theta)
    if kind == "none":
        return None
    if kind not in ("linear", "yarn"):
        raise Unsupported(f"rope scaling {kind!r} has no place in config.json yet", place=prefix + "type")
    scaling: dict[str, Any] = {"rope_type": kind, "factor": _decimal(_number(key_values, prefix + "factor"))}
    if kind == "yarn":
        scaling["original_max_position_embeddings"] = _integer(key_values, prefix + "original_context_length")
        for key, name in (
            ("yarn_ext_factor", "extrapolation_factor"), ("yarn_attn_factor", "attention_factor"),
            ("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow"),
        ):  # fmt: skip
            if prefix + key in key_values:
                scaling[name] = _decimal(_number(key_values, prefix + key))
    return scaling


def _rope_factors(model: Model) -> np.ndarray[Any, np.dtype[np.float32]]:
    tensor = model.tensors[_ROPE_FREQS]
    if tensor.dtype.name != "F32" or tensor.extent.length > 1 << 16:
        raise Unsupported("rope frequencies of this form", place=f"tensor {_ROPE_FREQS}")
    sources = SourceFiles(model.files)
    try:
        extent = tensor.extent
        return np.frombuffer(sources.read(extent.file, extent.offset, extent.length), np.float32)
    finally:
        sources.close()


def _llama3(factors: np.ndarray[Any, np.dtype[np.float32]], theta: float) -> dict[str, Any]:
    scaling: Llama3Scaling | None = scaling_behind(factors, theta)
    if scaling is None:
        raise Unsupported(
            "these rope frequencies come from no scaling that config.json can say",
            place=f"tensor {_ROPE_FREQS}",
        )
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_context,
    }


def _integer(key_values: KeyValues, key: str) -> int:
    value = key_values.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise MalformedSource("not one whole number", place=f"key {key}", remedy="fetch the file again")
    return value


def _number(key_values: KeyValues, key: str) -> float:
    value = key_values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise MalformedSource("not a number", place=f"key {key}", remedy="fetch the file again")
    return value


def _decimal(value: float) -> float:
    """The shortest decimal that is this F32: 1e-05, not 9.999999747378752e-06.

    A number beyond F32, which other types can hold, stays as it is.
    """
    return float(str(np.float32(value))) if abs(value) < 3e38 else float(value)
