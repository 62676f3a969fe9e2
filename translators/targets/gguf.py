"""`model.gguf-<type>`: what upstream's converter and llama-quantize would make of the source.

The type of the source's own precision is the converter's file (for a GGUF source: the file itself); every
other type is llama-quantize's, made of that file (design invariant I10), with the importance matrix where one
lies beside the model; `model.gguf-<type>-noimat` is then the same without it. A type that llama-quantize
would refuse is a refusal with the same reason.
Knows nothing of architectures: `families` makes the file that all types start from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from pathlib import Path

from translators.dtypes import DType
from translators.errors import TranslationError, Unsupported
from translators.families.to_gguf import converted, own_file_type
from translators.gguf_file import GgufFile, GgufTensor, without_unit_dimensions
from translators.importance import Importance, ImportanceMatrix
from translators.layout import Layout, TensorBytes
from translators.model import Extent, FileIdentity, Model
from translators.plan import Plan, Refusal, Told
from translators.quants import is_weighted
from translators.quants.carried import carried_key_values, numbered, with_imatrix
from translators.quants.filetypes import FILE_TYPES, FileType
from translators.quants.names import Role, role
from translators.quants.policy import Choices, QuantTensor
from translators.recipes import Stored, stored
from translators.sources import imatrix
from translators.targets.outline import Common, Outlines, outlines_of, quantised

PREFIX, NOIMAT = "model.gguf-", "-noimat"
# The build of upstream's tools whose files these are.
UPSTREAM = "llama.cpp b11434"
_GUESSED = 1024  # llama.cpp's flag on general.file_type: the number was guessed


def plans(model: Model) -> Iterator[Plan | Refusal]:
    """A plan or a refusal for every type of llama-quantize; one refusal for all where nothing can be made.

    Where there is an importance matrix, every type but the source's own comes a second time, without it.
    """
    try:
        base, own = _base(model)
        quantised = _Quantised(base, model.files)
    except TranslationError as error:
        yield Refusal(f"{PREFIX}*", error.stated, error.remedy)
        return
    kinds = _Kinds(model, own, quantised)
    matrix = _matrix_of(model)
    without: list[Plan | Refusal] = []
    for file_type in FILE_TYPES.values():
        name = PREFIX + file_type.name
        if own is not None and file_type.name == own.name:
            make = partial(_own_layout, model, base)
            yield Plan(name, _describe_own(model, own), make, own=True, equals=_equals_own(model, own))
        elif matrix is None:
            yield kinds.plan(name, file_type)
        else:
            without.append(kinds.plan(name + NOIMAT, file_type))
            yield kinds.weighted(name, file_type, matrix, instead=without[-1])
    yield from without


@dataclass(frozen=True)
class _Kinds:
    """The plans of a model's types, all but that of its own precision."""

    model: Model
    own: FileType | None
    quantised: _Quantised

    def plan(self, name: str, file_type: FileType) -> Plan | Refusal:
        """The plan of one type, without an importance matrix."""
        try:
            brief = self.quantised.brief(file_type)
        except TranslationError as error:
            return Refusal(name, error.stated, error.remedy)
        make = partial(self.quantised.layout, file_type)
        equals = _equals(self.model, self.own, file_type)
        return Plan(name, _describe(file_type), make, equals=equals, brief=brief)

    def weighted(
        self,
        name: str,
        file_type: FileType,
        matrix: ImportanceMatrix | TranslationError,
        *,
        instead: Plan | Refusal,
    ) -> Plan | Refusal:
        """The plan of one type by a matrix, or by what is wrong with it.

        A refusal that is the matrix's fault names the form `instead` as a remedy.
        """
        try:
            if isinstance(matrix, TranslationError):
                raise matrix
            file = self.quantised.of(file_type, matrix)
        except TranslationError as error:
            remedy = f"{instead.name} is made without it" if isinstance(instead, Plan) else ""
            return Refusal(name, error.stated, "; ".join(filter(None, (error.remedy, remedy))))
        make = partial(file.layout, (*self.model.files, matrix.identity))
        equals = _equals(self.model, self.own, file_type, f" --imatrix {matrix.file}")
        return Plan(name, f"{_describe(file_type)} with {matrix.file}", make, equals=equals)


def _describe(file_type: FileType) -> str:
    return f"{file_type.dtype.name} as llama-quantize makes it"


def _matrix_of(model: Model) -> ImportanceMatrix | TranslationError | None:
    """The importance matrix beside the model, or why the one or more that lie there are of no use."""
    paths = [Path(os.fsdecode(file.path)) for file in model.imatrices]
    if not paths:
        return None
    if len(paths) > 1:
        return Unsupported(
            f"several importance matrices lie beside the model: {', '.join(path.name for path in paths)}",
            path=model.imatrices[0].shown,
            remedy="call the one that is meant imatrix.gguf or imatrix.dat",
        )
    try:
        return imatrix.read(paths[0], len(model.files))
    except TranslationError as error:
        return error


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


def _equals_own(model: Model, own: FileType) -> str:
    if model.key_values is None:
        return f"convert_hf_to_gguf.py --outtype {own.name} ({UPSTREAM}) of the source"
    return "the source file" if model.weights == 1 else "the source's parts, merged into one file"


def _equals(model: Model, own: FileType | None, file_type: FileType, options: str = "") -> str:
    tool = f"llama-quantize{'' if model.key_values is None else ' --allow-requantize'}{options}"
    made = f"{tool} {file_type.name.upper()} ({UPSTREAM})"
    if model.key_values is None and own is not None:
        return f"{made} of convert_hf_to_gguf.py --outtype {own.name}"
    return f"{made} of {'the source file' if model.weights == 1 else 'the source'}"


def _own_layout(model: Model, base: GgufFile) -> Layout:
    if model.key_values is None or model.weights > 1:
        return base.layout(model.files)
    size = model.files[0].size
    whole = Stored(Extent(0, 0, size), "U8", (size,))
    return Layout(model.files, (TensorBytes("the file", whole),))


class _Quantised:
    """What llama-quantize makes of `base`, for many types: what they have in common is found out once."""

    def __init__(self, base: GgufFile, files: tuple[FileIdentity, ...]) -> None:
        given = [QuantTensor(tensor.name, tensor.shape, tensor.recipe.dtype) for tensor in base.tensors]
        self._base = base
        self._files = files
        self._choices = Choices(given, base.key_values)
        self._carried = carried_key_values(base.key_values)
        self._recipes = {tensor.name: tensor.recipe for tensor in base.tensors}

    def brief(self, file_type: FileType) -> Callable[[], Told]:
        """What is told of the file of one type, without a matrix. Raises what `of` does."""
        outline = self._outlines.of(file_type)
        return lambda: self._common.told(outline)

    def layout(self, file_type: FileType) -> Layout:
        """The file of one type, without a matrix. Raises what `of` does."""
        return self.of(file_type).layout(self._files)

    def of(self, file_type: FileType, matrix: ImportanceMatrix | None = None) -> GgufFile:
        """The file of one type, by a matrix. Raises Unsupported where llama-quantize would fail."""
        weighed = None if matrix is None else frozenset(matrix.entries)
        tensors = []
        for tensor, dtype in self._choices.of(file_type, imatrix=weighed):
            importance = _importance(tensor, dtype, matrix) if matrix is not None else None
            recipe = quantised(self._recipes[tensor.name], tensor.name, dtype, importance)
            tensors.append(GgufTensor(tensor.name, without_unit_dimensions(tensor.shape), recipe))
        key_values = numbered(self._carried, file_type)
        if matrix is not None:
            key_values = with_imatrix(key_values, matrix)
        return GgufFile(key_values, tuple(tensors))

    @cached_property
    def _outlines(self) -> Outlines:
        return outlines_of(self._choices)

    @cached_property
    def _common(self) -> Common:
        return Common.of(self._base, self._carried, self._files)


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
