"""Outlines: size and identity of a model's GGUF in every type, without a recipe made.

    outline = outlines_of(choices).of(file_type)             # by names, shapes and types of tensors alone
    told = Common.of(base, unchanged, files).told(outline)   # of one model; a test proves it the layout's

A listing tells some thirty files of each model and nobody opens most of them. Models of one shape, as the
fine-tunes of a model are, have their outlines in common: those of a few shapes are remembered. An importance
matrix is one model's, and so are the outlines with it.
Knows nothing of where the tensors come from.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from translators.errors import Unsupported
from translators.gguf_file import GgufFile, Table, header, without_unit_dimensions
from translators.importance import Importance, ImportanceMatrix
from translators.layout import LiteralBytes, Zeros, identity_of, print_of, tensor_print
from translators.model import FileIdentity
from translators.plan import Told
from translators.quants.carried import Unchanged, added_key_values
from translators.quants.filetypes import FileType
from translators.quants.policy import Choices, QuantTensor
from translators.quants.subject import Subject
from translators.quants.weighing import chosen
from translators.recipes import Cast, Literal, cast_print, stored_bytes

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
    def of(choices: Choices, file_type: FileType, matrix: ImportanceMatrix | None = None) -> Outline:
        """The outline of what `choices` are for. Raises Unsupported where llama-quantize would fail."""
        made = chosen(choices, file_type, matrix)
        tensors = ((tensor.name, without_unit_dimensions(tensor.shape), dtype) for tensor, dtype, _ in made)
        table = Table.of(tensors, _ALIGNMENT)
        last = LiteralBytes(added_key_values(file_type, matrix).encoded() + table.entries)
        numbers = {tensor.name: number for number, tensor in enumerate(choices.tensors)}
        prints = [
            (numbers[tensor.name], _cast(dtype.name, importance) + _zeros(padding))
            for (tensor, dtype, importance), length, padding in zip(
                made, table.lengths, table.paddings, strict=True
            )
            if length
        ]
        computed = sum(table.lengths)
        return Outline(last.length, print_of(last), prints, computed + sum(table.paddings), computed)


class Outlines:
    """Those of a model in every type, each found out once, all with one importance matrix or without.

    `choices` are what they are of: who needs these as well need not find them out again.
    """

    def __init__(self, choices: Choices, matrix: ImportanceMatrix | None = None) -> None:
        self.choices = choices
        self._matrix = matrix
        self._known: dict[str, Outline | Unsupported] = {}

    def of(self, file_type: FileType) -> Outline:
        """The outline of one type. Raises Unsupported where llama-quantize would fail."""
        known = self._known.get(file_type.name)
        if known is None:
            try:
                known = Outline.of(self.choices, file_type, self._matrix)
            except Unsupported as error:
                known = error.with_traceback(None)
            self._known[file_type.name] = known
        if isinstance(known, Unsupported):
            raise Unsupported(known.reason, path=known.path, place=known.place, remedy=known.remedy)
        return known


def outlines_of(choices: Choices, matrix: ImportanceMatrix | None = None) -> Outlines:
    """The outlines of what `choices` are for. Raises Unsupported for a model llama-quantize cannot open."""
    if matrix is not None or len(choices.tensors) > _TENSORS:
        return Outlines(choices, matrix)
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
    def of(base: GgufFile, unchanged: Unchanged, files: tuple[FileIdentity, ...]) -> Common:
        """Of the files made of `base` and bound to `files`, whose first key-values are `unchanged`."""
        key_values, added = unchanged
        begin = header(len(base.tensors), len(key_values) + added, key_values.encoded(), b"", _ALIGNMENT)[:2]
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


def _cast(dtype: str, importance: Importance | None) -> bytes:
    """What follows the print of a tensor that is quantised to `dtype`."""
    if importance is None:
        return _plain_cast(dtype)
    return cast_print(Cast(_NOTHING, dtype, checked=True, importance=importance))


@cache
def _plain_cast(dtype: str) -> bytes:
    return cast_print(Cast(_NOTHING, dtype, checked=True))


@cache
def _zeros(count: int) -> bytes:
    """The print of padding of less than the alignment; of none there is none."""
    return print_of(Zeros(count)) if count else b""
