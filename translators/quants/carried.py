"""The key-values of what llama-quantize writes: the model's own, as the tool (b11434) edits them.

`carried_key_values` is the same for every type and made once; `numbered` adds a file's type, `with_imatrix`
what it was made with. Where the tool fails, they raise Unsupported with its reason.
Knows nothing of tensors.
"""

from __future__ import annotations

import os

from translators.errors import Unsupported
from translators.importance import ImportanceMatrix
from translators.keyvalues import KeyValues, Value, ValueType, array, scalar, string
from translators.quants.filetypes import FileType

_QUANTIZATION_VERSION = 2
_ALIGNMENT = 32
# What a string in llama-quantize's list of overrides can hold, in bytes.
_OVERRIDE = 127
_FILE_TYPE = "general.file_type"
_SPLIT_KEYS = ("split.no", "split.count", "split.tensors.count")


def numbered(carried: KeyValues, file_type: FileType) -> KeyValues:
    """`carried` as those of a file of type `file_type`, whose number comes last."""
    edited = carried.copy()
    edited.moved_to_end(_FILE_TYPE, scalar(ValueType.U32, file_type.number))
    return edited


def with_imatrix(key_values: KeyValues, matrix: ImportanceMatrix) -> KeyValues:
    """`key_values` of a file that was made with `matrix`; what says so is last."""
    edited = key_values.copy()
    # Told by its name alone, as where llama-quantize was run beside it.
    edited.moved_to_end("quantize.imatrix.file", string(os.fsencode(matrix.file)[:_OVERRIDE]))
    if matrix.dataset is not None:
        dataset = matrix.dataset.partition(b"\0")[0][:_OVERRIDE]
        edited.moved_to_end("quantize.imatrix.dataset", string(dataset))
    edited.moved_to_end("quantize.imatrix.entries_count", scalar(ValueType.U32, len(matrix.entries)))
    if matrix.chunks:
        edited.moved_to_end("quantize.imatrix.chunks_count", scalar(ValueType.U32, matrix.chunks))
    return edited


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
    if value.element is ValueType.STRING:
        texts = value.strings
        if any(b"\0" in text for text in texts):
            return array(ValueType.STRING, [text.partition(b"\0")[0] for text in texts])
    return value
