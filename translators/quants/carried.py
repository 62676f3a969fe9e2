"""The key-values of what llama-quantize writes: the model's own, as the tool (b11434) edits them.

`carried_key_values` is the same for every type and made once; `added_key_values` are a file's own, which come
last: its type, and the importance matrix that it was made with. Where the tool fails, Unsupported is raised
with its reason.
Knows nothing of tensors.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from translators.errors import Unsupported
from translators.importance import ImportanceMatrix
from translators.keyvalues import KeyValues, Value, ValueType, array, scalar, string
from translators.quants.filetypes import FILE_TYPES, FileType

_QUANTIZATION_VERSION = 2
_ALIGNMENT = 32
# What a string in llama-quantize's list of overrides can hold, in bytes.
_OVERRIDE = 127
_FILE_TYPE = "general.file_type"
_SPLIT_KEYS = ("split.no", "split.count", "split.tensors.count")


def added_key_values(file_type: FileType, matrix: ImportanceMatrix | None = None) -> KeyValues:
    """What is said of one file: the number of its type, and the matrix that it was made with, if any."""
    added = KeyValues()
    added.u32(_FILE_TYPE, file_type.number)
    if matrix is None:
        return added
    # Told by its name alone, as where llama-quantize was run beside it.
    added.string("quantize.imatrix.file", os.fsencode(matrix.file)[:_OVERRIDE])
    if matrix.dataset is not None:
        added.string("quantize.imatrix.dataset", matrix.dataset.partition(b"\0")[0][:_OVERRIDE])
    added.u32("quantize.imatrix.entries_count", len(matrix.entries))
    if matrix.chunks:
        added.u32("quantize.imatrix.chunks_count", matrix.chunks)
    return added


def numbered(carried: KeyValues, file_type: FileType, matrix: ImportanceMatrix | None = None) -> KeyValues:
    """All of those of one file, in two pieces: what of `carried` it leaves as it is, and its own."""
    added = added_key_values(file_type, matrix)
    edited = _without(carried, added).copy()
    for key, value in added.items():
        edited.set(key, value)
    return edited


class Unchanged(NamedTuple):
    """The key-values that come first in a file of any type, and how many more it has."""

    key_values: KeyValues
    added: int

    @staticmethod
    def of(carried: KeyValues, matrix: ImportanceMatrix | None) -> Unchanged:
        """Those of `carried` that are the same in each file made with `matrix`."""
        added = added_key_values(FILE_TYPES["f32"], matrix)  # whatever the type is, the keys are these
        return Unchanged(_without(carried, added), len(added))


def _without(carried: KeyValues, added: KeyValues) -> KeyValues:
    unchanged = carried.copy()
    for key in added:
        unchanged.remove(key)
    return unchanged


def carried_key_values(key_values: KeyValues) -> KeyValues:
    """What of a model's key-values is the same in the output of every type: to be made once.

    Upstream's version of quantisation at the end, none of a split or of the type, strings cut at a NUL.

    One thing is not upstream's: it writes the output with an alignment of 32 always, and copies a
    `general.alignment` that says otherwise, which makes a file that nothing can read. Here the key says
    32, in its place, which is what the file has.
    """
    edited = KeyValues()
    for key, value in key_values.items():
        edited.moved_to_end(key.partition("\0")[0], _cut(value))
    if edited.get("general.alignment", _ALIGNMENT) != _ALIGNMENT:
        edited.u32("general.alignment", _ALIGNMENT)
    edited.moved_to_end("general.quantization_version", scalar(ValueType.U32, _QUANTIZATION_VERSION))
    for key in (*_SPLIT_KEYS, _FILE_TYPE):
        edited.remove(key)
    return edited


def _cut(value: Value) -> Value:
    """The value as it comes through C strings: each ends at its first NUL."""
    if value.type is ValueType.STRING:
        text = value.raw[8:]
        return string(text.partition(b"\0")[0]) if b"\0" in text else value
    if value.element is ValueType.ARRAY:
        raise Unsupported("llama-quantize cannot read arrays of arrays")
    if value.element is ValueType.STRING and not value.no_nul:
        texts = value.strings
        if any(b"\0" in text for text in texts):
            return array(ValueType.STRING, [text.partition(b"\0")[0] for text in texts])
    return value
