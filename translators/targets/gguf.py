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
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from translators.errors import TranslationError, Unsupported
from translators.families.to_gguf import converted, own_file_type
from translators.gguf_file import GgufFile, GgufTensor, without_unit_dimensions
from translators.importance import ImportanceMatrix
from translators.keyvalues import KeyValues
from translators.layout import Layout, TensorBytes
from translators.model import Extent, FileIdentity, Model
from translators.plan import Plan, Refusal, Told, Undecided
from translators.quants.carried import Unchanged, carried_key_values, numbered
from translators.quants.filetypes import FILE_TYPES, FileType
from translators.quants.policy import Choices, QuantTensor
from translators.quants.weighing import chosen
from translators.recipes import Cast, Stored, stored
from translators.sources import imatrix
from translators.targets.outline import Common, Outlines, outlines_of

PREFIX, NOIMAT = "model.gguf-", "-noimat"
# The build of upstream's tools whose files these are.
UPSTREAM = "llama.cpp b11434"
_GUESSED = 1024  # llama.cpp's flag on general.file_type: the number was guessed


def plans(model: Model) -> Iterator[Plan | Refusal | Undecided]:
    """A plan or a refusal for every type of llama-quantize; one refusal for all where nothing can be made.

    Where there is an importance matrix, every type but the source's own comes a second time, without it.
    """
    try:
        base, own = _base(model)
        quantised = _Quantised.of(base, model.files)
    except TranslationError as error:
        yield Refusal(f"{PREFIX}*", error.stated, error.remedy)
        return
    matrix = _matrix_of(model)
    again = model.key_values is not None or any(tensor.recipe.dtype.is_quantised for tensor in base.tensors)
    kinds = _Kinds(model, own, again)
    weighted = quantised.by(matrix) if isinstance(matrix, ImportanceMatrix) else matrix
    without: list[Undecided] = []
    for file_type in FILE_TYPES.values():
        name = PREFIX + file_type.name
        if own is not None and file_type.name == own.name:
            make = partial(_own_layout, model, base)
            yield Plan(name, _describe_own(model, own), make, own=True, equals=_equals_own(model, own))
        elif weighted is None:
            yield Undecided(name, partial(kinds.plan, name, file_type, quantised))
        else:
            other = Undecided(name + NOIMAT, partial(kinds.plan, name + NOIMAT, file_type, quantised))
            without.append(other)
            yield Undecided(name, partial(kinds.weighted, name, file_type, weighted, instead=other))
    yield from without


def file_of(model: Model, kind: str) -> tuple[GgufFile, tuple[FileIdentity, ...]]:
    """What `model.gguf-<kind>` holds, before it is bytes, and the source files that it is made from.

    Raises TranslationError for a type that is none, or that the model does not have.
    """
    base, own = _base(model)
    name = kind.removesuffix(NOIMAT)
    if own is not None and name == own.name:
        return base, model.files
    if name not in FILE_TYPES:
        raise Unsupported(f"llama-quantize knows no type {name.upper()}")
    quantised = _Quantised.of(base, model.files)
    matrix = None if kind.endswith(NOIMAT) else _matrix_of(model)
    if isinstance(matrix, TranslationError):
        raise matrix
    quantised = quantised if matrix is None else quantised.by(matrix)
    return quantised.file(FILE_TYPES[name]), quantised.files


@dataclass(frozen=True)
class _Kinds:
    """The plans of a model's types, all but that of its own precision.

    again: what they are made of may be quantised already.
    """

    model: Model
    own: FileType | None
    again: bool

    def plan(self, name: str, file_type: FileType, quantised: _Quantised) -> Plan | Refusal:
        """The plan of one type."""
        try:
            brief = quantised.brief(file_type)
        except TranslationError as error:
            return Refusal(name, error.stated, error.remedy)
        file = "" if quantised.matrix is None else quantised.matrix.file
        describe = f"{file_type.dtype.name} as llama-quantize makes it{file and f' with {file}'}"
        equals = _equals(self, file_type, file and f" --imatrix {file}")
        return Plan(name, describe, partial(quantised.layout, file_type), equals=equals, brief=brief)

    def weighted(
        self, name: str, file_type: FileType, by: _Quantised | TranslationError, *, instead: Undecided
    ) -> Plan | Refusal:
        """The plan of one type by a matrix, or by what is wrong with it.

        A refusal that is the matrix's fault names the form `instead` as a remedy.
        """
        if isinstance(by, TranslationError):
            plan: Plan | Refusal = Refusal(name, by.stated, by.remedy)
        else:
            plan = self.plan(name, file_type, by)
        if isinstance(plan, Refusal) and isinstance(instead.decide(), Plan):
            remedy = "; ".join(filter(None, (plan.remedy, f"{instead.name} is made without it")))
            return replace(plan, remedy=remedy)
        return plan


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
    if model.format == "gguf":
        return "the source itself"
    return f"{own.dtype.name}, the source's own precision"


def _equals_own(model: Model, own: FileType) -> str:
    if model.key_values is None:
        return f"convert_hf_to_gguf.py --outtype {own.name} ({UPSTREAM}) of the source"
    if model.format == "ggml":
        return f"convert_llama_ggml_to_gguf.py ({UPSTREAM}) of the source file, if its shapes were right"
    return "the source file" if model.weights == 1 else "the source's parts, merged into one file"


def _equals(kinds: _Kinds, file_type: FileType, options: str) -> str:
    model, own = kinds.model, kinds.own
    tool = f"llama-quantize{' --allow-requantize' if kinds.again else ''}{options}"
    made = f"{tool} {file_type.name.upper()} ({UPSTREAM})"
    if model.key_values is None and own is not None:
        return f"{made} of convert_hf_to_gguf.py --outtype {own.name}"
    if model.format == "ggml":
        return f"{made} of convert_llama_ggml_to_gguf.py of the source file"
    return f"{made} of {'the source file' if model.weights == 1 else 'the source'}"


def _own_layout(model: Model, base: GgufFile) -> Layout:
    if model.format != "gguf" or model.weights > 1:
        return base.layout(model.files)
    size = model.files[0].size
    whole = Stored(Extent(0, 0, size), "U8", (size,))
    return Layout(model.files, (TensorBytes("the file", whole),))


@dataclass(frozen=True)
class _Quantised:
    """What llama-quantize makes of `base`, for many types: what they have in common is found out once.

    files: the sources; with a `matrix`, its own is the last.
    """

    base: GgufFile
    files: tuple[FileIdentity, ...]
    choices: Choices
    carried: KeyValues
    matrix: ImportanceMatrix | None = None

    @staticmethod
    def of(base: GgufFile, files: tuple[FileIdentity, ...]) -> _Quantised:
        """Without a matrix. Raises Unsupported for key-values that llama-quantize cannot read."""
        given = [QuantTensor(tensor.name, tensor.shape, tensor.recipe.dtype) for tensor in base.tensors]
        return _Quantised(base, files, Choices(given, base.key_values), carried_key_values(base.key_values))

    def by(self, matrix: ImportanceMatrix) -> _Quantised:
        """The same with a matrix."""
        return replace(self, files=(*self.files, matrix.identity), matrix=matrix)

    def brief(self, file_type: FileType) -> Callable[[], Told]:
        """What is told of the file of one type. Raises Unsupported where llama-quantize would fail."""
        outline = self._outlines.of(file_type)
        return lambda: self._common.told(outline)

    def layout(self, file_type: FileType) -> Layout:
        """The bytes of `file`. Raises what it does."""
        return self.file(file_type).layout(self.files)

    def file(self, file_type: FileType) -> GgufFile:
        """The file of one type. Raises what `brief` does."""
        recipes = {tensor.name: tensor.recipe for tensor in self.base.tensors}
        tensors = []
        for tensor, dtype, importance in chosen(self._outlines.choices, file_type, self.matrix):
            # Also what is only copied is checked, as llama-quantize does.
            recipe = Cast(recipes[tensor.name], dtype.name, checked=True, importance=importance)
            tensors.append(GgufTensor(tensor.name, without_unit_dimensions(tensor.shape), recipe))
        key_values = numbered(self.carried, file_type, self.matrix)
        return GgufFile(key_values, tuple(tensors))

    @cached_property
    def _outlines(self) -> Outlines:
        return outlines_of(self.choices, self.matrix)

    @cached_property
    def _common(self) -> Common:
        return Common.of(self.base, Unchanged.of(self.carried, self.matrix), self.files)
