"""Outlines: size and identity of a model's GGUF in every type, without a recipe made.

    outline = outlines_of(choices).of(file_type)           # by names, shapes and types of tensors alone
    told = Common.of(base, carried, files).told(outline)   # of one model; a test proves it the layout's

A listing tells some thirty files of each model and nobody opens most of them. Models of one shape, as the
fine-tunes of a model are, have their outlines in common: those of a few shapes are remembered.
Knows nothing of where the tensors come from.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from translators.dtypes import DType
from translators.errors import Unsupported
from translators.gguf_file import GgufFile, Table, header, without_unit_dimensions
from translators.importance import Importance
from translators.keyvalues import KeyValues
from translators.layout import LiteralBytes, Zeros, identity_of, print_of, tensor_print
from translators.model import FileIdentity
from translators.plan import Told
from translators.quants import can_decode, can_encode
from translators.quants.carried import numbered
from translators.quants.filetypes import FileType
from translators.quants.policy import Choices, QuantTensor
from translators.quants.subject import Subject
from translators.recipes import Cast, Literal, Recipe, cast_print, stored_bytes

# Of so many shapes outlines are remembered, if they have at most so many tensors: 20 MB at most.
_SHAPES, _TENSORS = 8, 1024
_ALIGNMENT = 32  # of whatever llama-quantize writes
_NOTHING = Literal(b"", "U8", (0,))


class Outline(NamedTuple):
    """A file in one type.

    last: bytes of the header that follow the key-values which files of other types have too; their print.
    prints: of each tensor that has bytes, the number among the model's own and what follows that one's print.
    size, computed: bytes of the data, with and without padding.
    """

    last: int
    last_print: bytes
    prints: list[tuple[int, bytes]]
    size: int
    computed: int

    @staticmethod
    def of(choices: Choices, file_type: FileType) -> Outline:
        """The outline of what `choices` are for. Raises Unsupported where llama-quantize would fail."""
        chosen = choices.of(file_type)
        for tensor, dtype in chosen:
            _prove_convertible(tensor.dtype, tensor.name, dtype)
        tensors = ((tensor.name, without_unit_dimensions(tensor.shape), dtype) for tensor, dtype in chosen)
        table = Table.of(tensors, _ALIGNMENT)
        last = LiteralBytes(numbered(KeyValues(), file_type).encoded() + table.entries)
        numbers = {tensor.name: number for number, tensor in enumerate(choices.tensors)}
        prints = [
            (numbers[tensor.name], _following(dtype.name, padding))
            for (tensor, dtype), length, padding in zip(chosen, table.lengths, table.paddings, strict=True)
            if length
        ]
        computed = sum(table.lengths)
        return Outline(last.length, print_of(last), prints, computed + sum(table.paddings), computed)


class Outlines:
    """Those of a model in every type, each found out once."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._known: dict[str, Outline | Unsupported] = {}

    def of(self, file_type: FileType) -> Outline:
        """The outline of one type. Raises Unsupported where llama-quantize would fail."""
        known = self._known.get(file_type.name)
        if known is None:
            try:
                known = Outline.of(self._choices, file_type)
            except Unsupported as error:
                known = error.with_traceback(None)
            self._known[file_type.name] = known
        if isinstance(known, Unsupported):
            raise Unsupported(known.reason, path=known.path, place=known.place, remedy=known.remedy)
        return known


def outlines_of(choices: Choices) -> Outlines:
    """The outlines of what `choices` are for. Raises Unsupported for a model llama-quantize cannot open."""
    if len(choices.tensors) > _TENSORS:
        return Outlines(choices)
    return _remembered(choices.tensors, choices.subject)


@lru_cache(_SHAPES)
def _remembered(tensors: tuple[QuantTensor, ...], subject: Subject) -> Outlines:
    return Outlines(Choices(tensors, subject))


class Common(NamedTuple):
    """What a model's files have in common: key-values, and the tensors that they are made of.

    begin: bytes of the header up to the outline's. prints: of the tensors' recipes before they are quantised.
    """

    files: tuple[FileIdentity, ...]
    begin: int
    begin_print: bytes
    prints: list[bytes]
    source_bytes: int

    @staticmethod
    def of(base: GgufFile, carried: KeyValues, files: tuple[FileIdentity, ...]) -> Common:
        """Of the files made of `base`, with the key-values `carried` and their type."""
        begin = header(len(base.tensors), len(carried) + 1, carried.encoded(), b"", _ALIGNMENT)[:2]
        return Common(
            files,
            sum(segment.length for segment in begin),
            b"".join(map(print_of, begin)),
            [tensor_print(tensor.name, tensor.recipe) for tensor in base.tensors],
            sum(stored_bytes(tensor.recipe) for tensor in base.tensors),
        )

    def told(self, outline: Outline) -> Told:
        """What is told of the file of this outline."""
        size = self.begin + outline.last
        padding = -size % _ALIGNMENT
        prints = [self.begin_print, outline.last_print, _zeros(padding)]
        for number, following in outline.prints:
            prints += (self.prints[number], following)
        identity = identity_of(self.files, b"".join(prints))
        return Told(size + padding + outline.size, identity, outline.computed, self.source_bytes)


def quantised(recipe: Recipe, name: str, dtype: DType, importance: Importance | None) -> Recipe:
    """`recipe` in `dtype`; also what is only copied is checked, as llama-quantize does."""
    _prove_convertible(recipe.dtype, name, dtype)
    return Cast(recipe, dtype.name, checked=True, importance=importance)


def _prove_convertible(source: DType, name: str, dtype: DType) -> None:
    if source is not dtype and not can_decode(source):
        raise Unsupported(f"{source.name} cannot be decoded", place=f"tensor {name}")
    if source is not dtype and not can_encode(dtype):
        raise Unsupported(
            f"{dtype.name} cannot be made here with llama-quantize's bytes", place=f"tensor {name}"
        )


@cache
def _following(dtype: str, padding: int) -> bytes:
    """What follows the print of a tensor that is quantised to `dtype` and padded."""
    return cast_print(Cast(_NOTHING, dtype, checked=True)) + _zeros(padding)


@cache
def _zeros(count: int) -> bytes:
    """The print of padding of less than the alignment; of none there is none."""
    return print_of(Zeros(count)) if count else b""
