"""HDF5 files, as Keras and h5py write them: .h5, .hdf5, .weights.h5, and .keras, an archive with one.

    model = hdf5.read(Path("net"), ["model.weights.h5"], "net")

The file is walked here, not by libhdf5: a stranger's file reaches no C code, nothing outside it is ever
opened, and reads need no library that knows of HDF5. Datasets of numbers are the tensors, called by their
paths; texts and records are left out, as are the states of Keras' optimiser. Data in one run are read where
they lie, chunks one at a time.
What config.json beside a Keras file describes are PyTorch's tensors: `renamed` knows what those are called,
of models of transformers' kinds.
Knows nothing of architectures.

    region.py       bounds, the superblock        headers.py      messages of an object
    trees.py        B-trees                       heaps.py        names, texts
    links.py        groups                        tree.py         the paths of datasets
    datatypes.py    shapes and types              attributes.py   lists of texts
    storage.py      where data are                chunk_index.py  where chunks are
    keras.py        Keras' order
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from translators.errors import TranslationError, Unsupported
from translators.model import Model, SourceTensor, Tensor
from translators.recipes import Derived, Stored
from translators.sources.hdf5.headers import Header
from translators.sources.hdf5.keras import (
    LegacyOrder,
    is_of_an_optimiser,
    legacy_order,
    name_in_shard,
    variables_of,
)
from translators.sources.hdf5.region import Hdf5File, opened
from translators.sources.hdf5.storage import recipe_of
from translators.sources.hdf5.tree import datasets
from translators.sources.indexed import joined
from translators.sources.recognise import H5, KERAS, KERAS_WEIGHTS
from translators.sources.renamed import KERAS as BY_KERAS
from translators.sources.renamed import renamed
from translators.sources.stored_file import StoredFile, clipped
from translators.sources.zip_members import zip_members

_MEMBER = "model.weights.h5"


def read(root: Path, files: Sequence[str], name: str) -> Model:
    """The arrays that `files` of the directory `root` hold.

    Raises MalformedSource, MissingSource, or Unsupported (data in other files, rare filters and types).
    """
    variables: dict[str, str] = {}
    of_keras = False

    def tensors_of(file: StoredFile, number: int) -> dict[str, SourceTensor]:
        nonlocal of_keras
        within, own = _within(file), _is_kerass_name(file.shown)
        legacy = legacy_order(within)
        found = _tensors(within, number, legacy, own=own)
        variables.update(variables_of(legacy, found) if legacy is not None else {})
        of_keras = of_keras or own or legacy is not None
        return found

    model = joined(root, files, H5, tensors_of, name=name, kind="hdf5", called=name_in_shard)
    return renamed(replace(model, config={}), BY_KERAS, variables) if of_keras else model


def _is_kerass_name(name: str) -> bool:
    return name.lower().endswith((KERAS, KERAS_WEIGHTS))


def _within(file: StoredFile) -> Hdf5File:
    """The HDF5 file that a file is, or has in it."""
    if not file.shown.lower().endswith(KERAS):
        return opened(file, 0, file.size)
    member = zip_members(file).get(_MEMBER)
    if member is None:
        remedy = "save the weights by model.save_weights('model.weights.h5')"
        raise Unsupported(f"there is no {_MEMBER} in it", path=file.shown, remedy=remedy)
    if not member.plain:
        remedy = "unpack the archive, and name the file in it"
        raise Unsupported("its weights are compressed", path=file.shown, place=_MEMBER, remedy=remedy)
    return opened(file, member.offset, member.length)


def _tensors(
    file: Hdf5File, number: int, legacy: LegacyOrder | None, *, own: bool
) -> dict[str, SourceTensor]:
    """A file's tensors, in Keras' order where it has one. `own`: its name says that it is Keras'."""
    prefix, first = legacy or ("", ())
    found: dict[str, SourceTensor] = {}
    for path, header in datasets(file):
        if path.startswith(prefix) and not (own and is_of_an_optimiser(path)):
            found |= {each.name: each for each in _tensor(path, header, number)}
    order = dict.fromkeys([*(path for path in first if path in found), *found])
    return {path: found[path] for path in order}


def _tensor(path: str, header: Header, number: int) -> Iterator[SourceTensor]:
    try:
        recipe = recipe_of(header, number)
    except TranslationError as error:
        error.place = ", ".join(filter(None, (f"dataset {clipped(path)!r}", error.place)))
        raise
    if isinstance(recipe, Stored):
        yield Tensor(path, recipe.dtype, recipe.shape, recipe.extent)
    elif recipe is not None:
        yield Derived(path, recipe)
