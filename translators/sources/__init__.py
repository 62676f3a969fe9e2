"""Sources: one module for each stored format, and `open_model`, which picks it.

    model = open_model("models/SmolLM2-135M")                 # a directory
    model = open_model("models/q4/m-00001-of-00003.gguf")     # a file; any shard stands for its set

Headers are read and checked here, tensor data never. Whoever adds a format adds a module, and its names
to `recognise`.
Knows nothing of targets or architectures.
"""

from __future__ import annotations

import os
from pathlib import Path

from translators.errors import MissingSource, Unsupported
from translators.model import Model
from translators.sources import gguf, safetensors
from translators.sources.recognise import INDEX, SAFETENSORS, Found, is_gguf, recognise, set_of
from translators.sources.stored_file import shown, unreadable

__all__ = ["Found", "open_model", "recognise"]


def open_model(path: str | os.PathLike[str]) -> Model:
    """The model in a directory, or the one that a weight file belongs to.

    Raises
      MissingSource    nothing is there, no weights are in it, a shard is missing, a file cannot be read
      MalformedSource  a file does not hold what its format says, or files contradict each other
      Unsupported      another format; an unknown version or tensor type; a directory of several models
    """
    source = Path(path)
    try:
        if source.is_dir():
            return _open_directory(source)
        return _open_file(source)
    except OSError as error:
        raise unreadable(source, error) from error


def _open_directory(root: Path) -> Model:
    found = recognise(entry.name for entry in root.iterdir())
    if not found:
        reason, remedy = "holds no weights that are read here", "safetensors and GGUF files are"
        raise MissingSource(reason, path=shown(root), remedy=remedy)
    if len(found) > 1:
        names = ", ".join(model.name for model in found[:10]) + (", ..." if len(found) > 10 else "")
        raise Unsupported(
            f"holds {len(found)} models: {names}", path=shown(root), remedy="name the file of one of them"
        )
    return _read(root, found[0], Path(os.path.abspath(root)).name)


def _open_file(path: Path) -> Model:
    path.stat()
    if not is_gguf(path.name) and not path.name.endswith((SAFETENSORS, INDEX)):
        reason, remedy = "is neither a safetensors nor a GGUF file", "name a model's directory or weights"
        raise Unsupported(reason, path=shown(path), remedy=remedy)
    siblings = [entry.name for entry in path.parent.iterdir()]
    directory = recognise(siblings)
    if len(directory) == 1 and path.name in directory[0].files and not is_gguf(path.name):
        # The checkpoint of the directory, by one of its files: it has the directory's name.
        return _read(path.parent, directory[0], Path(os.path.abspath(path.parent)).name)
    found = set_of(path.name, siblings)
    return _read(path.parent, found, found.name)


def _read(root: Path, found: Found, name: str) -> Model:
    if found.format == "gguf":
        return gguf.read([root / file for file in found.files], name)
    return safetensors.read(root, found.files, name)
