"""Sources: one module for each stored format, and `open_model`, which picks it.

    model = open_model("models/SmolLM2-135M")                 # a directory
    model = open_model("models/q4/m-00001-of-00003.gguf")     # a file; any shard stands for its set

Headers are read and checked here, tensor data never. Whoever adds a format adds a module here, and the names
of its files to `recognise.FORMATS`.
Knows nothing of targets or architectures.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from translators.errors import MissingSource, Unsupported
from translators.model import FileIdentity, Model
from translators.sources import (
    flax,
    ggml,
    gguf,
    hdf5,
    meta,
    mistral,
    npz,
    onnx,
    peft,
    pytorch,
    safetensors,
    tensorflow,
    tflite,
)
from translators.sources.bases import Bases
from translators.sources.matrices import imatrices, is_imatrix
from translators.sources.recognise import Found, format_of, recognise, set_of
from translators.sources.stored_file import identity_of, shown, unreadable

__all__ = ["Bases", "Found", "open_model", "recognise"]

_USUAL = Bases()
_Named = str | os.PathLike[str] | Bases
# What reads the model of each format of `recognise.FORMATS`: (its directory, its files' names, its name).
_READERS: dict[str, Callable[[Path, Sequence[str], str], Model]] = {
    "safetensors": safetensors.read,
    "pytorch": pytorch.read,
    "mistral": mistral.read,
    "meta": meta.read,
    "gguf": gguf.read,
    "ggml": ggml.read,
    "flax": flax.read,
    "npz": npz.read,
    "hdf5": hdf5.read,
    "onnx": onnx.read,
    "savedmodel": tensorflow.read_saved_model,
    "tensorflow": tensorflow.read_checkpoint,
    "graphdef": tensorflow.read_graph,
    "tflite": tflite.read,
}


def open_model(
    path: str | os.PathLike[str],
    *,
    imatrix: str | os.PathLike[str] | None = None,
    base: str | os.PathLike[str] | Bases = _USUAL,
) -> Model:
    """The model in a directory, or the one that a weight file belongs to; of an adapter the merged model.

    `imatrix` names its importance matrix; otherwise it is one that lies beside the weights. `base` is the
    directory of the model that an adapter is for, or says where it is looked for by its name.

    Raises
      MissingSource    nothing is there, no weights are in it, a shard is missing, a file cannot be read
      MalformedSource  a file does not hold what its format says, or files contradict each other
      Unsupported      another format; an unknown version or tensor type; a directory of several models
    """
    source = Path(path)
    try:
        model = _open_directory(source, base) if source.is_dir() else _open_file(source, base)
        return replace(model, imatrices=(identity_of(Path(imatrix)),)) if imatrix is not None else model
    except OSError as error:
        raise unreadable(source, error) from error


def _open_directory(root: Path, base: _Named) -> Model:
    names = [entry.name for entry in root.iterdir()]
    found = recognise(names)
    if not found:
        reason, remedy = "holds no weights that are read here", "safetensors and GGUF files are"
        raise MissingSource(reason, path=shown(root), remedy=remedy)
    if len(found) > 1:
        listed = ", ".join(model.name for model in found[:10]) + (", ..." if len(found) > 10 else "")
        raise Unsupported(
            f"holds {len(found)} models: {listed}", path=shown(root), remedy="name the file of one of them"
        )
    return _read(root, found[0], Path(os.path.abspath(root)).name, imatrices(names), base)


def _open_file(path: Path, base: _Named) -> Model:
    path.stat()
    if is_imatrix(path.name):
        reason, remedy = "is an importance matrix, no model", "name the model that it lies beside"
        raise Unsupported(reason, path=shown(path), remedy=remedy)
    kind = format_of(path.name)
    if kind is None:
        reason, remedy = "holds no weights that are read here", "name a model's directory or weights"
        raise Unsupported(reason, path=shown(path), remedy=remedy)
    siblings = [entry.name for entry in path.parent.iterdir()]
    directory = recognise(siblings)
    alone = len(directory) == 1 and path.name in directory[0].files
    if alone and not kind.alone:
        # The checkpoint of the directory, by one of its files: it has the directory's name.
        name = Path(os.path.abspath(path.parent)).name
        return _read(path.parent, directory[0], name, imatrices(siblings), base)
    found = set_of(path.name, siblings)
    return _read(path.parent, found, found.name, imatrices(siblings, "" if alone else found.name), base)


def _read(root: Path, found: Found, name: str, beside: Collection[str], base: _Named) -> Model:
    if found.format == "peft":
        model = peft.read(root, found.files, name, _base_model(root, base))
    else:
        model = _READERS[found.format](root, found.files, name)
    return replace(model, imatrices=tuple(_identities(root, beside)))


def _base_model(root: Path, named: _Named) -> Model:
    base = named.of(root) if isinstance(named, Bases) else Path(named)
    found = recognise(entry.name for entry in base.iterdir())
    if any(each.format == "peft" for each in found):
        # Its own base might be this adapter.
        remedy = "merge the first one, and name that model as the base"
        raise Unsupported(
            "the base model of an adapter is an adapter itself", path=shown(base), remedy=remedy
        )
    return _open_directory(base, _USUAL)


def _identities(root: Path, names: Collection[str]) -> Iterator[FileIdentity]:
    for name in names:
        try:
            yield identity_of(root / name)
        except MissingSource:
            # Told when it is read: the model's other forms have no need of it.
            yield FileIdentity(os.fsencode((root / name).absolute()), 0, 0, 0)
