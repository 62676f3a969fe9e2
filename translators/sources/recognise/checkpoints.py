"""Which names are a model: what training frameworks and makers of models write, one function a format.

Each gets its format and the names in a directory, sorted. Knows nothing of which format is preferred.
"""

from __future__ import annotations

import re

from translators.sources.recognise.kinds import (
    BIN,
    INDEX_SUFFIX,
    PARAMS,
    PROJECTOR,
    Format,
    Found,
    named,
    part_of,
)

# Weights that go beside a model: adapters, optimiser states, vision projectors.
_BESIDE = (
    "adapter_model", "adapters", "optimizer", "scheduler", "random_states", "training_args", "rng_state",
)  # fmt: skip
# transformers' and diffusers' names; Meta's consolidated.NN.pth are shards of another kind.
_PYTORCH = ("pytorch_model", "diffusion_pytorch_model", "model")
_CONSOLIDATED = "consolidated"
_META = re.compile(r"consolidated(?:\.[0-9]{2})?\.pth")


def checkpoint(kind: Format, names: list[str]) -> list[Found]:
    """Models of a format that training frameworks write: `model*`, else each set of shards by itself."""
    weights = [name for name in names if kind.is_weight(name) or kind.is_index(name)]
    weights = [name for name in weights if not name.startswith(_BESIDE) and PROJECTOR not in name.lower()]
    own = [name for name in weights if name.startswith("model") and kind.is_weight(name)]
    index = [name for name in weights if kind.is_index(name) and part_of(name).stem == "model"]
    if own or index:
        return [Found(kind.name, "", (*index, *own))]
    if mistral(kind, names):
        return []
    sets: dict[str, list[str]] = {}
    for name in sorted(weights, key=lambda name: (not kind.is_index(name), name)):
        sets.setdefault(part_of(name).stem, []).append(name)
    return named(kind.name, [(stem, tuple(files)) for stem, files in sorted(sets.items())])


def pytorch(kind: Format, names: list[str]) -> list[Found]:
    """transformers' shards, or whatever people call a file that torch.save wrote."""
    weights = [name for name in names if kind.is_weight(name) or kind.is_index(name)]
    weights = [name for name in weights if not name.startswith(_BESIDE) and not _META.fullmatch(name)]
    for stem in _PYTORCH:
        own = [name for name in weights if name.startswith(stem) and name.endswith((BIN, BIN + INDEX_SUFFIX))]
        if own:
            return [Found(kind.name, "", (*filter(kind.is_index, own), *filter(kind.is_weight, own)))]
    if any(map(_META.fullmatch, names)):
        return []
    single: list[tuple[str, tuple[str, ...]]] = []
    for name in weights:
        if not name.lower().endswith(BIN):
            single.append((name[: name.rindex(".")], (name,)))
    return named(kind.name, single)


def mistral(kind: Format, names: list[str]) -> list[Found]:
    """Mistral's shards of one model, which upstream's converter tells by their beginning."""
    if PARAMS not in names:
        return []
    own = [name for name in names if kind.is_weight(name) or kind.is_index(name)]
    own = [name for name in own if part_of(name).stem == _CONSOLIDATED]
    weights = tuple(filter(kind.is_weight, own))
    return [Found(kind.name, "", (*filter(kind.is_index, own), *weights))] if weights else []


def meta(kind: Format, names: list[str]) -> list[Found]:
    """Meta's shards of one model."""
    shards = tuple(filter(_META.fullmatch, names))
    return [Found(kind.name, "", shards)] if shards else []


def flax(kind: Format, names: list[str]) -> list[Found]:
    """transformers' name, `flax_model.msgpack` or shards of it with an index; else `model.msgpack`."""
    weights = [name for name in names if kind.is_weight(name) or kind.is_index(name)]
    for stem in ("flax_model", "model"):
        own = [name for name in weights if part_of(name).stem == stem]
        if own:
            return [Found(kind.name, "", (*filter(kind.is_index, own), *filter(kind.is_weight, own)))]
    return []
