"""`model.gguf-<type>`: what upstream's converter and llama-quantize would make of the source.

The type of the source's own precision is the converter's file (for a GGUF source: the file itself); every
other type is llama-quantize's, made of that file (design invariant I10), with the importance matrix where one
lies beside the model; `model.gguf-<type>-noimat` is then the same without it. A type that llama-quantize
would refuse is a refusal with the same reason.
Knows nothing of architectures: `families` makes the file that all types start from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from math import prod
from pathlib import Path

from translators.dtypes import DType
from translators.errors import TranslationError, Unsupported
from translators.families.to_gguf import converted, own_file_type
from translators.gguf_file import GgufFile, GgufTensor, without_unit_dimensions
from translators.importance import Importance, ImportanceMatrix
from translators.layout import Layout, TensorBytes
from translators.model import Extent, Model
from translators.plan import Plan, Refusal
from translators.quants import can_decode, can_encode, is_weighted
from translators.quants.filetypes import FILE_TYPES, FileType
from translators.quants.names import Role, role
from translators.quants.policy import Choices, QuantTensor, carried_key_values, numbered, with_imatrix
from translators.recipes import Cast, Recipe, Stored, stored
from translators.sources import imatrix

PREFIX, NOIMAT = "model.gguf-", "-noimat"
_GUESSED = 1024  # llama.cpp's flag on general.file_type: the number was guessed


def plans(model: Model) -> Iterator[Plan | Refusal]:
    """A plan or a refusal for every type of llama-quantize; one refusal for all where nothing can be made.

    Where there is an importance matrix, every type but the source's own comes a second time, without it.
    """
    try:
        base, own = _base(model)
        quantised = _Quantised(base)
    except TranslationError as error:
        yield Refusal(f"{PREFIX}*", error.stated, error.remedy)
        return
    weighing = _Weighing(model) if model.imatrices else None
    unweighted: list[Plan | Refusal] = []
    for file_type in FILE_TYPES.values():
        name = PREFIX + file_type.name
        if own is not None and file_type.name == own.name:
            yield Plan(name, _describe_own(model, own), partial(_own_layout, model, base), own=True)
        elif weighing is None:
            yield _plan(name, quantised, file_type, model)
        else:
            unweighted.append(_plan(name + NOIMAT, quantised, file_type, model))
            yield weighing.plan(name, quantised, file_type, instead=unweighted[-1])
    yield from unweighted


def _plan(name: str, quantised: _Quantised, file_type: FileType, model: Model) -> Plan | Refusal:
    try:
        file = quantised.of(file_type)
    except TranslationError as error:
        return Refusal(name, error.stated, error.remedy)
    return Plan(name, f"{file_type.dtype.name} as llama-quantize makes it", partial(file.layout, model.files))


class _Weighing:
    """Plans with the model's importance matrix, or the reason why it is of no use."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._matrix: ImportanceMatrix | TranslationError
        try:
            self._matrix = _matrix_of(model)
        except TranslationError as error:
            self._matrix = error

    def plan(
        self, name: str, quantised: _Quantised, file_type: FileType, *, instead: Plan | Refusal
    ) -> Plan | Refusal:
        """The plan of one type. A refusal that is the matrix's fault names the form `instead` as a remedy."""
        try:
            if isinstance(self._matrix, TranslationError):
                raise self._matrix
            file = quantised.of(file_type, self._matrix)
        except TranslationError as error:
            without = f"{instead.name} is made without it" if isinstance(instead, Plan) else ""
            return Refusal(name, error.stated, "; ".join(filter(None, (error.remedy, without))))
        describe = f"{file_type.dtype.name} as llama-quantize makes it with {_file_name(self._matrix)}"
        return Plan(name, describe, partial(file.layout, (*self._model.files, self._matrix.identity)))


def _matrix_of(model: Model) -> ImportanceMatrix:
    """The importance matrix beside the model. Raises TranslationError."""
    paths = [Path(os.fsdecode(file.path)) for file in model.imatrices]
    if len(paths) > 1:
        raise Unsupported(
            f"several importance matrices lie beside the model: {', '.join(path.name for path in paths)}",
            path=model.imatrices[0].shown,
            remedy="call the one that is meant imatrix.gguf or imatrix.dat",
        )
    return imatrix.read(paths[0], len(model.files))


def _file_name(matrix: ImportanceMatrix) -> str:
    return os.fsdecode(matrix.identity.path.rpartition(b"/")[2])


def _base(model: Model) -> tuple[GgufFile, FileType | None]:
    """The file that all types are made of, and the type that it is, if it has one."""
    if model.key_values is None:
        return converted(model), own_file_type(model)
    tensors = (GgufTensor(t.name, t.shape, stored(t)) for t in model.tensors.values())
    number = model.key_values.get("general.file_type")
    own = next(
        (t for t in FILE_TYPES.values() if isinstance(number, int) and t.number == number % _GUESSED), None
    )
    return GgufFile(model.key_values, tuple(tensors)), own


def _describe_own(model: Model, own: FileType) -> str:
    return (
        "the source itself"
        if model.key_values is not None
        else f"{own.dtype.name}, the source's own precision"
    )


def _own_layout(model: Model, base: GgufFile) -> Layout:
    if model.key_values is None or model.weights > 1:
        return base.layout(model.files)
    size = model.files[0].size
    whole = Stored(Extent(0, 0, size), "U8", (size,))
    return Layout(model.files, (TensorBytes("the file", whole),))


class _Quantised:
    """What llama-quantize makes of `base`, for many types: a tensor that some share is made once."""

    def __init__(self, base: GgufFile) -> None:
        given = [QuantTensor(tensor.name, tensor.shape, tensor.recipe.dtype) for tensor in base.tensors]
        self._choices = Choices(given, base.key_values)
        self._carried = carried_key_values(base.key_values)
        self._recipes = {tensor.name: tensor.recipe for tensor in base.tensors}
        self._made: dict[tuple[str, str, bool], GgufTensor] = {}

    def of(self, file_type: FileType, matrix: ImportanceMatrix | None = None) -> GgufFile:
        """The file of one type, by a matrix. Raises Unsupported where llama-quantize would fail."""
        weighed = None if matrix is None else frozenset(matrix.entries)
        chosen = self._choices.of(file_type, imatrix=weighed)
        tensors = tuple(self._tensor(tensor, dtype, matrix) for tensor, dtype in chosen)
        key_values = numbered(self._carried, file_type)
        if matrix is not None:
            key_values = with_imatrix(key_values, os.fsencode(_file_name(matrix)), matrix)
        return GgufFile(key_values, tensors)

    def _tensor(self, tensor: QuantTensor, dtype: DType, matrix: ImportanceMatrix | None) -> GgufTensor:
        importance = _importance(tensor, dtype, matrix) if matrix is not None else None
        made = self._made.get((tensor.name, dtype.name, importance is not None))
        if made is None:
            shape = without_unit_dimensions(tensor.shape)
            recipe = _as(self._recipes[tensor.name], tensor.name, dtype, importance)
            made = GgufTensor(tensor.name, shape, recipe)
            self._made[tensor.name, dtype.name, importance is not None] = made
        return made


def _importance(tensor: QuantTensor, dtype: DType, matrix: ImportanceMatrix) -> Importance | None:
    """The weights by which llama-quantize makes `dtype` of a tensor. Raises Unsupported where it fails."""
    entry = matrix.entries.get(tensor.name)
    if entry is None or dtype is tensor.dtype:
        return None
    columns = tensor.row * prod(tensor.shape[:-2])
    if entry.size != columns:
        if role(tensor.name) is Role.EMBEDDING:
            return None
        raise Unsupported(
            f"{entry.size:,} columns are weighed, the tensor has {columns:,}: this is another model's matrix",
            path=matrix.identity.shown, place=f"tensor {tensor.name}",
            remedy="take the matrix that was made with this model",
        )  # fmt: skip
    return entry if is_weighted(dtype) else None


def _as(recipe: Recipe, name: str, dtype: DType, importance: Importance | None) -> Recipe:
    """`recipe` in `dtype`; also what is only copied is checked, as llama-quantize does."""
    if recipe.dtype is not dtype and not can_decode(recipe.dtype):
        raise Unsupported(f"{recipe.dtype.name} cannot be decoded", place=f"tensor {name}")
    if recipe.dtype is not dtype and not can_encode(dtype):
        raise Unsupported(
            f"{dtype.name} cannot be made here with llama-quantize's bytes", place=f"tensor {name}"
        )
    return Cast(recipe, dtype.name, checked=True, importance=importance)
