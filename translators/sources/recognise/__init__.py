"""Which models a directory holds, decided from file names alone: no file is opened.

A listing of a thousand directories must not read one of them. `FORMATS` are the stored formats, the
preferred first: where several lie in one directory, the later were made from the earlier. Names that
start with `model` are the checkpoint, as upstream's converter and transformers take it; other names count
where there are none of these.
Knows nothing of what is in a file: whether a set is complete and valid is told when it is read.

    kinds.py        Format, Found, Part: what a format is, and what a name says
    checkpoints.py  names of what training frameworks and makers of models write
    others.py       names of files for running models, and of arrays of any kind
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from translators.sources.recognise.checkpoints import checkpoint, flax, meta, mistral, pytorch
from translators.sources.recognise.kinds import (
    ADAPTER_CONFIG,
    BIN,
    BUNDLE_INDEX,
    GGUF,
    GRAPH,
    H5,
    INDEX,
    INDEX_SUFFIX,
    INSIDE,
    KERAS,
    KERAS_WEIGHTS,
    MSGPACK,
    NPZ,
    ONNX,
    PARAMS,
    SAFETENSORS,
    SAVED_MODEL,
    TFLITE,
    Bundles,
    Format,
    Found,
    Legacy,
    Named,
    Part,
    PyTorch,
    part_of,
)
from translators.sources.recognise.others import (
    arrays,
    bundles,
    frozen,
    gguf,
    hdf5,
    saved_model,
    singles,
)

# What names of a whole model's weights begin with, beside which an adapter is only a file.
_WHOLE = ("model", "pytorch_model", "consolidated")


def recognise(names: Iterable[str]) -> list[Found]:
    """The models in a directory that holds files of these names, sorted by name; [] for no weights."""
    # Hidden files are a system's own: macOS puts a "._model.safetensors" beside what it copies.
    ordered = sorted(name for name in names if not name.startswith("."))
    return next(filter(None, (format.models(format, ordered) for format in FORMATS)), [])


def format_of(name: str) -> Format | None:
    """The format of which a file of this name is weights, or their index; None for another file."""
    return next((each for each in FORMATS if each.is_weight(name) or each.is_index(name)), None)


def is_weights(name: str) -> bool:
    """Whether a file of this name may hold weights, or say which file does."""
    return format_of(name) is not None


def set_of(name: str, siblings: Collection[str]) -> Found:
    """The model that a weight file belongs to: itself, or the set that it is a shard or the index of."""
    kind = format_of(name)
    assert kind is not None, name
    part, is_index = part_of(name), kind.is_index(name)
    if not part.count and not is_index:
        return Found(kind.name, part.stem, (name,))
    parts = {other: part_of(other) for other in sorted(siblings) if kind.is_weight(other)}
    same = [
        other
        for other, its in parts.items()
        if its.stem == part.stem and (is_index or its.count == part.count)
    ]
    index = [other for other in siblings if kind.is_index(other) and part_of(other).stem == part.stem]
    return Found(kind.name, part.stem, (*index, *same))


def _peft(kind: Format, names: list[str]) -> list[Found]:
    """A LoRA adapter, where no whole model lies beside it."""
    if ADAPTER_CONFIG not in names or any(name.startswith(_WHOLE) for name in names if is_weights(name)):
        return []
    weights = [name for name in names if name in kind.suffixes]
    return [Found(kind.name, "", tuple(weights))] if weights else []


# The preferred first. `sources/__init__.py` has the module that reads each.
FORMATS = (
    Format("peft", ("adapter_model.safetensors", "adapter_model.bin"), _peft),
    Format("safetensors", (SAFETENSORS,), checkpoint),
    PyTorch("pytorch", (BIN, ".pt", ".pth", ".ckpt", ".jit"), pytorch),
    Format("mistral", (SAFETENSORS,), mistral),
    Format("meta", (".pth",), meta),
    Format("gguf", (GGUF,), gguf, alone=True),
    Legacy("ggml", (BIN,), singles, alone=True),
    Named("savedmodel", (SAVED_MODEL,), saved_model),
    Bundles("tensorflow", (), bundles),
    Format("flax", (MSGPACK,), flax),
    Format("npz", (NPZ,), arrays, alone=True),
    Format("hdf5", (KERAS, H5, ".hdf5"), hdf5),
    Format("onnx", (ONNX,), singles, alone=True),
    Format("graphdef", (GRAPH,), frozen, alone=True),
    Format("tflite", (TFLITE,), singles, alone=True),
)

__all__ = [
    "ADAPTER_CONFIG", "BIN", "BUNDLE_INDEX", "FORMATS", "GGUF", "H5", "INDEX", "INDEX_SUFFIX", "INSIDE",
    "KERAS", "KERAS_WEIGHTS", "MSGPACK", "NPZ", "PARAMS", "SAFETENSORS", "SAVED_MODEL", "Format", "Found",
    "Part", "format_of", "is_weights", "part_of", "recognise", "set_of",
]  # fmt: skip
