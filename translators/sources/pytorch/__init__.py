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

from translators.errors import MalformedSource, TranslationError
from translators.model import FileIdentity, Model, SourceTensor
from translators.sources.indexed import shards_of
from translators.sources.pytorch.files import tensors_of
from translators.sources.recognise import BIN
from translators.sources.side_files import config_of, side_files
from translators.sources.stored_file import StoredFile, malformed

__all__ = ["read"]


def read(root: Path, files: Sequence[str], name: str) -> Model:
    """The checkpoint that `files` of the directory `root` make.

    Raises MalformedSource, MissingSource, or Unsupported (a tar of old, a type of tensor, big endian).
    """
    shards, placed = shards_of(root, files, BIN)
    identities: list[FileIdentity] = []
    tensors: dict[str, SourceTensor] = {}
    for number, shard in enumerate(shards):
        with StoredFile(root / shard) as file:
            try:
                found = tensors_of(file, number)
            except TranslationError as error:
                error.path = error.path or file.shown
                raise
            identities.append(file.identity)
        for tensor in found.keys() & tensors.keys():
            raise malformed(root / shard, "the tensor is in another shard as well", f"tensor {tensor!r}")
        tensors |= found
    missing = next((tensor for tensor in placed if tensor not in tensors), None)
    if missing is not None:
        raise MalformedSource(
            f"the tensor is not in {placed[missing]!r}, where the index has it",
            path=str(root), place=f"tensor {missing!r}", remedy="fetch the model again, with all its files",
        )  # fmt: skip
    if not tensors:
        raise malformed(root / shards[0], "there is no tensor in it", remedy="name a file with weights")
    return Model(
        root=root,
        name=name,
        format="pytorch",
        files=(*identities, *side_files(root)),
        weights=len(shards),
        tensors=tensors,
        config=config_of(root),
    )
