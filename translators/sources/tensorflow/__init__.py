"""TensorFlow's files, without TensorFlow: checkpoints, SavedModels, frozen graphs.

    model = tensorflow.read_checkpoint(Path("bert"), ["bert_model.ckpt.index", ...], "bert")
    model = tensorflow.read_saved_model(Path("nmp"), ["saved_model.pb"], "nmp")
    model = tensorflow.read_graph(Path("nets"), ["frozen_inference_graph.pb"], "frozen_inference_graph")

A SavedModel is its variables, a checkpoint in `variables/`; one that has none is the constants of its graph.
Nothing of a graph is run.
    checkpoint  tensors of a checkpoint           entries  its index              types  element types, shapes
    sstable     the table that an index is        snappy, crc32c                  constants  those of a graph
Knows nothing of architectures: names are TensorFlow's, so config.json, which describes PyTorch's, is none of
these models', but for Google's BERT (`renamed`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from translators.model import Model, SourceTensor
from translators.sources.side_files import is_there, side_files
from translators.sources.stored_file import StoredFile, clipped
from translators.sources.tensorflow import checkpoint
from translators.sources.tensorflow.checkpoint import read as read_checkpoint
from translators.sources.tensorflow.constants import in_graph, in_saved_model

__all__ = ["read_checkpoint", "read_graph", "read_saved_model"]

VARIABLES = "variables/variables.index"


def read_saved_model(root: Path, files: Sequence[str], name: str) -> Model:
    """The SavedModel that the directory `root` is. Raises MalformedSource, MissingSource, Unsupported."""
    if is_there(str(root / VARIABLES)):
        model = checkpoint.model_of(root, root / VARIABLES, name, "savedmodel")
        if model.tensors:
            return model
    return _constants(root, files[0], name, "savedmodel", in_saved_model)


def read_graph(root: Path, files: Sequence[str], name: str) -> Model:
    """The constants of the frozen graph that the one of `files` is. Raises as `read_saved_model`."""
    return _constants(root, files[0], name, "graphdef", in_graph)


def _constants(
    root: Path, name_of_file: str, name: str, kind: str,
    found: Callable[[StoredFile, int], Iterator[SourceTensor]],
) -> Model:  # fmt: skip
    tensors: dict[str, SourceTensor] = {}
    with StoredFile(root / name_of_file) as file:
        for tensor in found(file, 0):
            if tensor.name in tensors:
                raise file.malformed("two constants of one name", f"node {clipped(tensor.name)!r}")
            tensors[tensor.name] = tensor
        if not tensors:
            raise file.malformed("there is no constant in it", remedy="name a file with weights")
        identity = file.identity
    return Model(
        root=root,
        name=name,
        format=kind,
        files=(identity, *side_files(root)),
        weights=1,
        tensors=tensors,
    )
