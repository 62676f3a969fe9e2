"""`model.gguf-<type>`: what upstream's converter and llama-quantize would make of the source.

The type of the source's own precision is the converter's file (for a GGUF source: the file itself); every
other type is llama-quantize's, made of that file (design invariant I10). A type that llama-quantize would
refuse is a refusal with the same reason.
Knows nothing of architectures: `families` makes the file that all types start from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial

from translators.errors import TranslationError
from translators.families.to_gguf import converted, own_file_type
from translators.gguf_file import GgufFile, GgufTensor, without_unit_dimensions
from translators.layout import Layout, TensorBytes
from translators.model import Extent, FileIdentity, Model
from translators.plan import Plan, Refusal, Told
from translators.quants.carried import carried_key_values, numbered
from translators.quants.filetypes import FILE_TYPES, FileType
from translators.quants.policy import Choices, QuantTensor
from translators.recipes import Stored, stored
from translators.targets.outline import Common, Outlines, outlines_of, quantised

PREFIX = "model.gguf-"
# The build of upstream's tools whose files these are.
UPSTREAM = "llama.cpp b11434"
_GUESSED = 1024  # llama.cpp's flag on general.file_type: the number was guessed


def plans(model: Model) -> Iterator[Plan | Refusal]:
    """A plan or a refusal for every type of llama-quantize; one refusal for all where nothing can be made."""
    try:
        base, own = _base(model)
        quantised = _Quantised(base, model.files)
    except TranslationError as error:
        yield Refusal(f"{PREFIX}*", error.stated, error.remedy)
        return
    for file_type in FILE_TYPES.values():
        name = PREFIX + file_type.name
        if own is not None and file_type.name == own.name:
            make = partial(_own_layout, model, base)
            yield Plan(name, _describe_own(model, own), make, own=True, equals=_equals_own(model, own))
            continue
        try:
            brief = quantised.brief(file_type)
        except TranslationError as error:
            yield Refusal(name, error.stated, error.remedy)
            continue
        describe = f"{file_type.dtype.name} as llama-quantize makes it"
        equals = _equals(model, own, file_type)
        make = partial(quantised.layout, file_type)
        yield Plan(name, describe, make, equals=equals, brief=brief)


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


def _equals(model: Model, own: FileType | None, file_type: FileType) -> str:
    tool = f"llama-quantize{'' if model.key_values is None else ' --allow-requantize'}"
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

    def brief(self, file_type: FileType) -> Callable[[], Told]:
        """What is told of the file of one type. Raises Unsupported where llama-quantize would fail."""
        outline = self._outlines.of(file_type)
        return lambda: self._common.told(outline)

    def layout(self, file_type: FileType) -> Layout:
        """The file of one type. Raises what `brief` does."""
        recipes = {tensor.name: tensor.recipe for tensor in self._base.tensors}
        tensors = []
        for tensor, dtype in self._choices.of(file_type):
            recipe = quantised(recipes[tensor.name], tensor.name, dtype)
            tensors.append(GgufTensor(tensor.name, without_unit_dimensions(tensor.shape), recipe))
        return GgufFile(numbered(self._carried, file_type), tuple(tensors)).layout(self._files)

    @cached_property
    def _outlines(self) -> Outlines:
        return outlines_of(self._choices)

    @cached_property
    def _common(self) -> Common:
        return Common.of(self._base, self._carried, self._files)
