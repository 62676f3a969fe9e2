"""`hf-bf16/`, `hf-f16/`, `hf-f32/`: a complete Hugging Face folder in that precision, of any source.

Weights are sharded as transformers' save_pretrained does it, in the source's order of tensors: shards of
at most 5 GB, one tensor more only where it alone is larger, and an index. Each shard is, byte for byte, what
the safetensors library's own writer makes of its tensors. Tensors that are no floats stay as they are.
Knows nothing of architectures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from translators.dtypes import DTYPES, DType
from translators.model import Model
from translators.plan import Folder, Plan, Refusal
from translators.recipes import Recipe, nbytes
from translators.targets import checkpoint
from translators.targets.folder import FolderTarget
from translators.targets.safetensors import DEFAULT_METADATA, WRITER, layout_of

PREFIX = "hf-"
SHARD = 5_000_000_000
_TYPES = {f"{PREFIX}{name.lower()}": DTYPES[name] for name in ("BF16", "F16", "F32")}


def folders(model: Model) -> Iterator[Folder | Refusal]:
    """One for each precision."""
    reason = checkpoint.refused(model)
    for name, dtype in _TYPES.items():
        if reason:
            yield Refusal(f"{name}/", reason)
        else:
            yield Folder(name, f"a Hugging Face folder in {dtype.name}")


def plans(model: Model, folder: str) -> Iterator[Plan | Refusal]:
    """config.json, tokenizer and what else there is, then the weights."""
    dtype = _TYPES.get(folder)
    if dtype is None or checkpoint.refused(model):
        return
    found = checkpoint.checkpoint(model, dtype)
    yield from checkpoint.companion_plans(found, folder)
    yield from _weights(found, folder, dtype)


def _weights(found: checkpoint.HuggingFace, folder: str, dtype: DType) -> Iterator[Plan]:
    shards = sharded(found.tensors, "model", "safetensors")
    for name, tensors in shards.items():
        make = partial(layout_of, found.files, list(tensors.items()), DEFAULT_METADATA)
        equals = f"{WRITER} makes of these tensors in {dtype.name}"
        yield Plan(f"{folder}/{name}", f"weights in {dtype.name}", make, equals=equals)
    if len(shards) > 1:
        index = checkpoint.in_json(index_of(shards))
        name = f"{folder}/model.safetensors.index.json"
        yield Plan(name, "which shard holds which tensor", partial(checkpoint.literal, found.files, index))


def sharded(
    tensors: Mapping[str, Recipe], stem: str, suffix: str, limit: int = SHARD
) -> dict[str, dict[str, Recipe]]:
    """`tensors` by the names of the files that hold them, none of more than `limit` bytes if it can be."""
    shards: list[dict[str, Recipe]] = [{}]
    size = 0
    for name, recipe in tensors.items():
        length = nbytes(recipe)
        if shards[-1] and size + length > limit:
            shards.append({})
            size = 0
        shards[-1][name] = recipe
        size += length
    if len(shards) == 1:
        return {f"{stem}.{suffix}": shards[0]}
    count = len(shards)
    return {f"{stem}-{number:05d}-of-{count:05d}.{suffix}": each for number, each in enumerate(shards, 1)}


def index_of(shards: Mapping[str, Mapping[str, Recipe]]) -> dict[str, object]:
    """The index of shards, as transformers writes it."""
    total = sum(nbytes(recipe) for tensors in shards.values() for recipe in tensors.values())
    placed = {name: file for file, tensors in shards.items() for name in tensors}
    return {"metadata": {"total_size": total}, "weight_map": dict(sorted(placed.items()))}


TARGET = FolderTarget(folders, plans)
