"""Targets: every form that a model can appear as, one module for each format.

    plans(model)                  # files beside the source's own: model.safetensors, model.gguf-q4_k_m, ...
    folders(model)                # the directories of formats that are directories: mlx-4bit, hf-bf16, ...
    plans(model, "mlx-4bit")      # the files in one of them: mlx-4bit/model.safetensors, ...

A directory is planned when somebody looks into it: a listing of a thousand models does not plan ten more
formats of each. Whoever adds a file adds a module that yields plans; whoever adds a directory adds a
`FolderTarget`; and its name goes here.
"""

from __future__ import annotations

from collections.abc import Iterator

from translators.families.mistral_form import described, no_way
from translators.model import Model
from translators.plan import Folder, Plan, Plans, Refusal, Undecided
from translators.targets import (
    adapter,
    checkpoint,
    gguf,
    gguf_splits,
    hf_folders,
    huggingface,
    mlx,
    mmproj,
    onnx,
    pytorch,
    safetensors,
    weights_only,
)
from translators.targets.folder import FolderTarget

FOLDERS = (
    hf_folders.TARGET,
    pytorch.TARGET,
    mlx.TARGET,
    onnx.TARGET,
    weights_only.TARGET,
    gguf_splits.TARGET,
)


def plans(model: Model, folder: str = "") -> Plans:
    """What `model` can appear as, by file name and in the order of a listing; refusals with reasons.

    With `folder`, the files in the directory of that name, by their paths; {} where there is none.
    Planning reads side files and headers, never tensor data (but for the few values that decide a header).
    """
    if folder:
        return Plans(plan for target in FOLDERS for plan in target.plans(_seen_by(target, model), folder))
    return Plans(_files(model))


def folders(model: Model) -> dict[str, Folder | Refusal]:
    """The directories that `model` has, by name and in the order of a listing; refusals with reasons."""
    return {found.name: found for target in FOLDERS for found in target.folders(_seen_by(target, model))}


def _seen_by(target: FolderTarget, model: Model) -> Model:
    return model if target.as_stored else described(model)


def _files(model: Model) -> Iterator[Plan | Refusal | Undecided]:
    seen = described(model)
    if seen.key_values is not None:
        yield from huggingface.plans(seen)
    elif reason := no_way(model):
        yield Refusal(safetensors.NAME, reason)
    else:
        yield from checkpoint.made_plans(model)
        yield safetensors.merged(model)
    yield from gguf.plans(model)
    if model.key_values is None:
        yield from mmproj.plans(model)
    yield from adapter.plans(model)
