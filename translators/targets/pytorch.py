"""`pytorch/`: a Hugging Face folder whose weights are PyTorch's own files, in the source's own precision.

pytorch_model.bin, or shards of at most 5 GB with an index, as transformers' save_pretrained wrote them
before safetensors; config.json, tokenizer and what else there is beside them.
Knows nothing of how such a file is laid out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from translators.model import Model
from translators.plan import Folder, Plan, Refusal
from translators.targets import checkpoint
from translators.targets.folder import FolderTarget
from translators.targets.hf_folders import index_of, sharded
from translators.targets.torch_file import layout_of

NAME = "pytorch"
_STEM = "pytorch_model"


def folders(model: Model) -> Iterator[Folder | Refusal]:
    """The one that there is."""
    reason = checkpoint.refused(model)
    if reason:
        yield Refusal(f"{NAME}/", reason)
    else:
        yield Folder(NAME, "a Hugging Face folder with pytorch_model.bin")


def plans(model: Model, folder: str) -> Iterator[Plan | Refusal]:
    """config.json, tokenizer and what else there is, then the weights."""
    if folder != NAME or checkpoint.refused(model):
        return
    found = checkpoint.checkpoint(model)
    yield from checkpoint.companion_plans(found, folder)
    shards = sharded(found.tensors, _STEM, "bin")
    for name, tensors in shards.items():
        make = partial(layout_of, found.files, list(tensors.items()), name.removesuffix(".bin"))
        yield Plan(f"{folder}/{name}", f"weights in {found.own.name}, as torch.save lays them out", make)
    if len(shards) > 1:
        index = checkpoint.in_json(index_of(shards))
        name = f"{folder}/{_STEM}.bin.index.json"
        yield Plan(name, "which shard holds which tensor", partial(checkpoint.literal, found.files, index))


TARGET = FolderTarget(folders, plans)
