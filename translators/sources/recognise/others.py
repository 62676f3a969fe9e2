"""Which names are a model: files for running models, and arrays of any kind, one function a format.

Each gets its format and the names in a directory, sorted. Knows nothing of which format is preferred.
"""

from __future__ import annotations

import re

from translators.sources.matrices import is_imatrix
from translators.sources.recognise.kinds import (
    BUNDLE_INDEX,
    KERAS,
    KERAS_WEIGHTS,
    PROJECTOR,
    SAVED_MODEL,
    Format,
    Found,
    named,
    part_of,
)

# Keras' shards (model_00003.weights.h5), and members of an ensemble (net1.h5, net2.h5).
_KERAS_SHARD = re.compile(r"(?P<stem>.+)_\d{5}\.weights\.h5", re.DOTALL)
_NUMBERED = re.compile(r"(?P<stem>.*?)\d+\.(h5|hdf5)", re.DOTALL | re.IGNORECASE)
# What people call the graphs that they froze; protocol buffers hold much else.
_FROZEN = re.compile(r"frozen|graph|^model\b|_model\b", re.IGNORECASE)


def gguf(kind: Format, names: list[str]) -> list[Found]:
    sets: dict[tuple[str, int], list[str]] = {}
    for name in (name for name in names if kind.is_weight(name) and not is_imatrix(name)):
        part = part_of(name)
        sets.setdefault((part.stem, part.count), []).append(name)
    models = {key: files for key, files in sets.items() if PROJECTOR not in key[0].lower()} or sets
    return named(kind.name, [(stem, tuple(files)) for (stem, _), files in sorted(models.items())])


def arrays(kind: Format, names: list[str]) -> list[Found]:
    """`model*.npz`, or the only one of a directory: several of other names are data of any kind."""
    arrays = [name for name in names if kind.is_weight(name)]
    own = [name for name in arrays if name.startswith("model")]
    sets: dict[tuple[str, int], list[str]] = {}
    for name in own or (arrays if len(arrays) == 1 else []):
        part = part_of(name)
        sets.setdefault((part.stem, part.count), []).append(name)
    return named(kind.name, [(stem, tuple(files)) for (stem, _), files in sorted(sets.items())])


def hdf5(kind: Format, names: list[str]) -> list[Found]:
    """`tf_model.h5`; Keras' own names; `model*.h5`; the only one; or members of an ensemble, by numbers.

    Others are data of any kind, of which HDF5 files are full.
    """
    weights = [name for name in names if kind.is_weight(name) or kind.is_index(name)]
    transformers = [name for name in weights if part_of(name).stem == "tf_model"]
    if transformers:
        index = [name for name in transformers if kind.is_index(name)]
        return [Found(kind.name, "", (*index, *filter(kind.is_weight, transformers)))]
    weights = [name for name in weights if kind.is_weight(name)]
    sets: dict[str, tuple[str, ...]] = {}
    own = [name for name in weights if name.lower().endswith((KERAS, KERAS_WEIGHTS))]
    own = own or [name for name in weights if name.startswith("model")]
    numbered = [match and match["stem"] for match in map(_NUMBERED.fullmatch, weights)]
    for name in own or (weights if len(weights) == 1 or (len({*numbered}) == 1 and numbered[0]) else []):
        shard = _KERAS_SHARD.fullmatch(name)
        stem = shard["stem"] if shard else part_of(name).stem
        sets[stem] = (*sets.get(stem, ()), name)
    return named(kind.name, sorted(sets.items()))


def bundles(kind: Format, names: list[str]) -> list[Found]:
    """Every set of data that has its index, by the name that they have in common."""
    sets: dict[str, list[str]] = {}
    for name in filter(kind.is_weight, names):
        sets.setdefault(part_of(name).stem, []).append(name)
    indices = {stem: stem + BUNDLE_INDEX for stem in sorted(sets) if stem + BUNDLE_INDEX in names}
    return named(kind.name, [(stem, (index, *sets[stem])) for stem, index in indices.items()])


def saved_model(kind: Format, names: list[str]) -> list[Found]:
    """The directory, if it is one; its variables lie in a directory of their own."""
    return [Found(kind.name, "", (name,)) for name in kind.suffixes if name in names]


def frozen(kind: Format, names: list[str]) -> list[Found]:
    """Frozen graphs by the names that people give them: `.pb` is what any protocol buffer is called."""
    graphs = [name for name in names if kind.is_weight(name) and _FROZEN.search(part_of(name).stem)]
    return singles(kind, [name for name in graphs if name != SAVED_MODEL])


def singles(kind: Format, names: list[str]) -> list[Found]:
    """Each file as a model."""
    return named(kind.name, [(part_of(name).stem, (name,)) for name in names if kind.is_weight(name)])
