"""What a target that is a directory is made of. Knows nothing of any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from translators.model import Model
from translators.plan import Folder, Plan, Refusal


@dataclass(frozen=True)
class FolderTarget:
    """A format that is a directory, or several that differ in a parameter (mlx-4bit, mlx-8bit).

    folders: those that a model has, or refusals with reasons, found out from what the model's headers and
             configuration say; cheap, as every listing asks. Refusals name what would be there.
    plans:   the files of the directory of this name, by their paths in the model's directory
             ("mlx-4bit/config.json"); nothing where `folders` knows no such name. Raises TranslationError
             where the directory cannot be.
    as_stored: whether it is made of the model as it is stored; else of the model in Hugging Face's form,
             where a source in a form of its own has one.
    """

    folders: Callable[[Model], Iterator[Folder | Refusal]]
    plans: Callable[[Model, str], Iterator[Plan | Refusal]]
    as_stored: bool = False
