"""A GGUF as a Hugging Face checkpoint: tensors under their names, and the config.json to go with them.

config.json is written in the style of transformers 4 (top-level `rope_theta`, `torch_dtype`), which every
client reads. Weights come back in the GGUF's own precision, BF16 where it is quantised.
Reads key-values, and of tensor data only `rope_freqs` (it is where a GGUF keeps Llama 3's scaling).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from translators.dtypes import BF16, F32, DType
from translators.errors import MalformedSource, Unsupported
from translators.families import family_of_gguf
from translators.families.described import Told, decimal, number
from translators.families.table import Match
from translators.families.transforms import Place
from translators.keyvalues import KeyValues
from translators.model import Model
from translators.quants import can_decode
from translators.recipes import Recipe, cast, reshape, slice_, stored

# DeepSeek's bias of the router, as the rules have it and as checkpoints do.
_CORRECTION = ("e_score_correction.bias", "e_score_correction_bias")
# What checkpoints keep in F32 whatever their precision is.
_PRECISE = (_CORRECTION[1],)
# Tensors that no checkpoint has.
_GENERATED = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")


def own_dtype(model: Model) -> DType:
    """The precision that weights come back in: that of matrices which are not F32 in every GGUF."""
    matrices = [tensor.dtype for tensor in model.tensors.values() if len(tensor.shape) > 1]
    if not matrices or not all(dtype.is_float for dtype in matrices):
        return BF16
    return next((dtype for dtype in matrices if dtype != F32), F32)


def weights(model: Model, dtype: DType | None = None) -> Iterator[tuple[str, Recipe]]:
    """The checkpoint's tensors: Hugging Face name and recipe, in the order of the GGUF, of type `dtype`.

    None is its own precision. A tensor that a GGUF has in parts comes where the last of them is; a stack of
    experts as one after the other. Raises Unsupported (architecture, tensor, or type that cannot be
    decoded), MalformedSource.
    """
    family, dtype = family_of_gguf(model), dtype or own_dtype(model)
    described = config(model, dtype)
    bare = family.prefix if _is_headless(described["architectures"][0]) else ""
    waiting: dict[tuple[int, tuple[int, ...], str], dict[str, Recipe]] = {}
    for tensor in model.tensors.values():
        if tensor.name in _GENERATED:
            continue
        match = family.to_huggingface(tensor.name)
        if match is None:
            raise Unsupported(f"the {family.arch} family has no such tensor", place=f"tensor {tensor.name}")
        if not can_decode(tensor.dtype):
            raise Unsupported(f"{tensor.dtype.name} cannot be decoded", place=f"tensor {tensor.name}")
        place = Place(described, tensor.name, match.layer)
        name = match.names[0].removeprefix(bare)
        if family.returned is not None:
            name = family.returned(name, described)
        if name.endswith(_CORRECTION[0]):
            name = name.removesuffix(_CORRECTION[0]) + _CORRECTION[1]
        # Values are computed with as stored; blocks must be decoded before rows of them can move.
        recipe = stored(tensor) if tensor.dtype.is_float else cast(stored(tensor), dtype)
        if match.stack is not None:
            yield from _experts(name, match, recipe, place, dtype)
            continue
        parts = waiting.setdefault((id(match.rule), match.numbers, name), {})
        parts[tensor.name.removesuffix(".weight").removesuffix(".bias")] = recipe
        wanted = [each.removesuffix(".weight").removesuffix(".bias") for each in _filled(match)]
        if len(parts) == len(wanted):
            whole = match.rule.transform.to_huggingface(tuple(parts[each] for each in wanted), place)
            yield name, cast(whole, F32 if name.endswith(_PRECISE) else dtype)
            del waiting[id(match.rule), match.numbers, name]
    for _, _, name in waiting:
        raise MalformedSource("a part of it is missing", place=f"tensor {name}")


def _is_headless(architecture: str) -> bool:
    """Whether a class is a model without a head, which has no prefix before its names."""
    return architecture.endswith("Model") and not architecture.endswith("HeadModel")


def _filled(match: Match) -> list[str]:
    """The GGUF names of all of a rule's parts."""
    layer = match.numbers[0] if match.numbers else ""
    return [name.format(layer) for name in match.rule.names]


def _experts(
    name: str, match: Match, recipe: Recipe, place: Place, dtype: DType
) -> Iterator[tuple[str, Recipe]]:
    """The matrices of a stack, one for each expert."""
    for expert in range(recipe.shape[0]):
        matrix = reshape(slice_(recipe, 0, expert, expert + 1), recipe.shape[1:])
        yield name.format(expert), cast(match.rule.transform.to_huggingface((matrix,), place), dtype)


def config(model: Model, dtype: DType | None = None) -> dict[str, Any]:
    """config.json for tensors of `dtype` (None: the own precision), such that converting the folder again
    gives the same hyper-parameters.

    Raises Unsupported for what config.json could not say truly, MalformedSource for absent keys.
    """
    key_values = _key_values(model)
    family = family_of_gguf(model)
    assert family.described is not None
    told = Told(model, key_values, family.arch, dtype or own_dtype(model))
    described = family.described(told)
    return described | {key: token for key, token in told.tokens.items() if key not in described}


def generation_config(model: Model, described: Mapping[str, Any]) -> dict[str, Any]:
    """generation_config.json: special tokens, as in `config`'s answer, and the GGUF's sampling settings."""
    key_values = _key_values(model)
    names = {"temp": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p",
             "penalty_repeat": "repetition_penalty"}  # fmt: skip
    sampling = {
        name: decimal(value) if isinstance(value, float) else value
        for key, name in names.items()
        if f"general.sampling.{key}" in key_values
        for value in (number(key_values, f"general.sampling.{key}"),)
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
