"""`weights-only/`: a model's tensors, and nothing else, in formats that have no loader of architectures.

    weights-only/model.npz              np.load
    weights-only/model.h5               h5py.File
    weights-only/flax_model.msgpack     flax.serialization.msgpack_restore

Names are Hugging Face's, or the source's own where it has others; precision is the source's (NumPy's archive
and HDF5 have float32 for bfloat16). Who reads them has to bring the architecture: the directory's name
says so.
Knows nothing of how either is laid out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from translators.layout import Layout
from translators.model import FileIdentity, Model
from translators.plan import Folder, Plan, Refusal
from translators.recipes import Recipe
from translators.targets import checkpoint, flax_file, hdf5_file, npz_file
from translators.targets.folder import FolderTarget

NAME = "weights-only"


@dataclass(frozen=True)
class _Form:
    """A file: what it is, why tensors cannot be in it ("" where they can), and its layout."""

    describe: str
    refused: Callable[[Mapping[str, Recipe]], str]
    layout_of: Callable[[Sequence[FileIdentity], Iterable[tuple[str, Recipe]]], Layout]


_FORMS = {
    "model.npz": _Form("weights only, for NumPy", npz_file.refused, npz_file.layout_of),
    "model.h5": _Form("weights only, for HDF5", hdf5_file.refused, hdf5_file.layout_of),
    "flax_model.msgpack": _Form("weights only, for Flax", flax_file.refused, flax_file.layout_of),
}


def folders(model: Model) -> Iterator[Folder | Refusal]:
    """The one that there is. A GGUF needs a way back to Hugging Face's names."""
    reason = checkpoint.refused(model) if model.key_values is not None else ""
    if reason:
        yield Refusal(f"{NAME}/", reason)
    else:
        yield Folder(NAME, "weights only: tensors without an architecture")


def plans(model: Model, folder: str) -> Iterator[Plan | Refusal]:
    """Each form, or why there is none."""
    if folder != NAME or (model.key_values is not None and checkpoint.refused(model)):
        return
    found = checkpoint.checkpoint(model)
    for name, form in _FORMS.items():
        reason = form.refused(found.tensors)
        if reason:
            yield Refusal(f"{NAME}/{name}", reason)
        else:
            make = partial(form.layout_of, found.files, tuple(found.tensors.items()))
            yield Plan(f"{NAME}/{name}", form.describe, make)


TARGET = FolderTarget(folders, plans)
