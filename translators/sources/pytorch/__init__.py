"""PyTorch files: what torch.save wrote, as zip or in the older form, and TorchScript; sharded or not.

    model = pytorch.read(Path("gpt2"), ["pytorch_model.bin"], "gpt2")

The pickle in it is walked by a machine that runs nothing (`pickled`); tensors are views of storages whose
bytes lie plainly in the file (`storages`, `files`), so that a read comes from where the weights are. Names
and order are the state dict's, shards sorted by name as upstream's converter visits them.
Knows nothing of architectures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from translators.model import Model
from translators.sources.indexed import joined
from translators.sources.pytorch.files import tensors_of
from translators.sources.recognise import BIN

__all__ = ["read"]


def read(root: Path, files: Sequence[str], name: str) -> Model:
    """The checkpoint that `files` of the directory `root` make.

    Raises MalformedSource, MissingSource, or Unsupported (a tar of old, a type of tensor, big endian).
    """
    return joined(root, files, BIN, tensors_of, name=name, kind="pytorch")
