"""Which models a directory holds, decided from file names alone: no file is opened.

A listing of a thousand directories must not read one of them. Safetensors come before GGUF, as where both
lie together the GGUFs were made from the safetensors. Names that start with `model` are the checkpoint,
as upstream's converter and transformers take it; other names count where there are none of these.
An importance matrix is no model, although it may be a GGUF: it is known by its name, `imatrix` first or last.
Knows nothing of what is in a file: whether a set is complete and valid is told when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

SAFETENSORS, GGUF = ".safetensors", ".gguf"
INDEX = SAFETENSORS + ".index.json"

# llama.cpp writes five digits; some safetensors sets count to six (model-00001-of-000163).
_SPLIT = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5,6})", re.DOTALL)
# Weights that go beside a model: adapters, optimiser states, vision projectors.
_BESIDE = ("adapter_model", "adapters", "optimizer", "scheduler", "random_states", "training_args")
_PROJECTOR = "mmproj"
# Names that people give: imatrix.gguf and imatrix.dat (llama-imatrix itself), imatrix_unsloth.dat or
# .gguf_file, imatrix-Model.dat, Model.imatrix, Model.imatrix.dat, Model-imatrix.gguf.
_IMATRIX = re.compile(
    r"(?:imatrix(?:[-._](?P<last>.+))?|(?P<first>.+)[-._]imatrix)\.(?:gguf|gguf_file|dat)|(?P<all>.+)\.imatrix",
    re.DOTALL | re.IGNORECASE,
)
# ... while Model-Q4_K_M-imatrix.gguf is a model that was made with one.
_QUANTISED = re.compile(
    r"(?:.*[-._])?(?:i?q|tq)[1-8]_\w+[-_]imatrix\.gguf|.*[-._](?:bf16|fp?16|f32)[-_]imatrix\.gguf",
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True)
class Found:
    """A model in a directory. `name` is "" where the directory itself is the model, else the files' stem.

    `files` are names: what must be read, an index file first, then the weights sorted.
    """

    format: str
    name: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """What a weight file's name says: shard `number` (from 1) of `count` of `stem`; 0 of 0: all of it."""

    stem: str
    number: int = 0
    count: int = 0


def part_of(name: str) -> Part:
    """What the name of a .gguf, .safetensors or .safetensors.index.json file says."""
    if name.endswith(INDEX):
        return Part(name[: -len(INDEX)])
    stem = name[: name.rindex(".")]
    match = _SPLIT.fullmatch(stem)
    return Part(match["stem"], int(match["number"]), int(match["count"])) if match else Part(stem)


def recognise(names: Iterable[str]) -> list[Found]:
    """The models in a directory that holds files of these names, sorted by name; [] for no weights."""
    # Hidden files are a system's own: macOS puts a "._model.safetensors" beside what it copies.
    ordered = sorted(name for name in names if not name.startswith("."))
    return _safetensors(ordered) or _gguf(ordered)


def set_of(name: str, siblings: Collection[str]) -> Found:
    """The model that one file belongs to: itself, or the split set that it is a shard or the index of."""
    part, gguf, is_index = part_of(name), is_gguf(name), name.endswith(INDEX)
    suffix = GGUF if gguf else SAFETENSORS
    if not part.count and not is_index:
        return Found(suffix[1:], part.stem, (name,))
    candidates = [other for other in sorted(siblings) if other.lower().endswith(suffix)]
    parts = {other: part_of(other) for other in candidates}
    same = [
        other
        for other, its in parts.items()
        if its.stem == part.stem and (is_index or its.count == part.count)
    ]
    index = [] if gguf else [other for other in siblings if other == part.stem + INDEX]
    return Found(suffix[1:], part.stem, (*index, *same))


def is_gguf(name: str) -> bool:
    """True for the name of a GGUF file, in any case."""
    return name.lower().endswith(GGUF)


def is_imatrix(name: str) -> bool:
    """True for the name of an importance matrix, in any case."""
    return _IMATRIX.fullmatch(name) is not None and not _QUANTISED.fullmatch(name)


def imatrices(names: Iterable[str], model: str = "") -> tuple[str, ...]:
    """The importance matrix for a model among files of these names; several where none can be preferred.

    `model` is the model's name where others lie in the same directory: a matrix is then for those models
    whose name begins with its own. Elsewhere every matrix counts, and imatrix.* before all others. Of the
    same name in both formats, the GGUF is meant.
    """
    own = {name: _own(name) for name in sorted(names) if not name.startswith(".") and is_imatrix(name)}
    if model:
        own = {name: stem for name, stem in own.items() if stem and _begins(model.lower(), stem)}
        longest = max(map(len, own.values()), default=0)
        own = {name: stem for name, stem in own.items() if len(stem) == longest}
    chosen = [name for name, stem in own.items() if not stem] or list(own)
    if len({own[name] for name in chosen}) > 1:
        return tuple(chosen)
    return tuple(sorted(chosen, key=lambda name: not is_gguf(name))[:1])


def _own(name: str) -> str:
    """What a matrix calls itself, as a rule like its model, in lower case; "" for imatrix.*"""
    match = _IMATRIX.fullmatch(name)
    return next(filter(None, match.groups()), "").lower() if match else ""


def _begins(model: str, stem: str) -> bool:
    return model == stem or (model.startswith(stem) and model[len(stem)] in "-._ ")


def _safetensors(names: list[str]) -> list[Found]:
    weights = [name for name in names if name.endswith((SAFETENSORS, INDEX))]
    weights = [name for name in weights if not name.startswith(_BESIDE) and _PROJECTOR not in name.lower()]
    shards = [name for name in weights if name.startswith("model") and name.endswith(SAFETENSORS)]
    index = [name for name in weights if name == "model" + INDEX]
    if shards or index:
        return [Found("safetensors", "", (*index, *shards))]
    sets: dict[str, list[str]] = {}
    for name in sorted(weights, key=lambda name: (not name.endswith(INDEX), name)):
        sets.setdefault(part_of(name).stem, []).append(name)
    return _named("safetensors", [(stem, tuple(files)) for stem, files in sorted(sets.items())])


def _gguf(names: list[str]) -> list[Found]:
    sets: dict[tuple[str, int], list[str]] = {}
    for name in (name for name in names if is_gguf(name) and not is_imatrix(name)):
        part = part_of(name)
        sets.setdefault((part.stem, part.count), []).append(name)
    models = {key: files for key, files in sets.items() if _PROJECTOR not in key[0].lower()} or sets
    return _named("gguf", [(stem, tuple(files)) for (stem, _), files in sorted(models.items())])


def _named(kind: str, sets: list[tuple[str, tuple[str, ...]]]) -> list[Found]:
    if len(sets) == 1:
        return [Found(kind, "", sets[0][1])]
    return [Found(kind, stem, files) for stem, files in sets]
