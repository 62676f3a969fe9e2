"""Of each tensor of a file that llama-quantize writes: its type, and the weights by which it is made.

The policy chooses by the names that an importance matrix has; here its entries are compared with the tensors
themselves, as upstream's tool (b11434) does, and refused where they are another model's.
Knows nothing of values, nor of where a source lies.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from translators.dtypes import DType
from translators.errors import Unsupported
from translators.importance import Importance, ImportanceMatrix
from translators.quants import can_decode, can_encode, is_weighted
from translators.quants.filetypes import FileType
from translators.quants.names import Role, role
from translators.quants.policy import Choices, QuantTensor


class Chosen(NamedTuple):
    """A tensor of the source, the type that it gets, and the weights of its columns if they matter to it."""

    tensor: QuantTensor
    dtype: DType
    importance: Importance | None


def chosen(choices: Choices, file_type: FileType, matrix: ImportanceMatrix | None = None) -> list[Chosen]:
    """What becomes of the tensors, in the order of the output; `matrix` is None where there is none.

    Raises Unsupported where llama-quantize would fail, and for a type that is not made here.
    """
    weighed = None if matrix is None else frozenset(matrix.entries)
    result = []
    proven: set[tuple[str, str]] = set()
    for tensor, dtype in choices.of(file_type, imatrix=weighed):
        importance = None if matrix is None else _importance(tensor, dtype, matrix)
        if (types := (tensor.dtype.name, dtype.name)) not in proven:
            _prove_convertible(tensor, dtype)
            proven.add(types)
        result.append(Chosen(tensor, dtype, importance))
    return result


def _importance(tensor: QuantTensor, dtype: DType, matrix: ImportanceMatrix) -> Importance | None:
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


def _prove_convertible(tensor: QuantTensor, dtype: DType) -> None:
    if dtype is tensor.dtype:
        return
    if not can_decode(tensor.dtype):
        raise Unsupported(f"{tensor.dtype.name} cannot be decoded", place=f"tensor {tensor.name}")
    if not can_encode(dtype):
        reason = f"{dtype.name} cannot be made here with llama-quantize's bytes"
        raise Unsupported(reason, place=f"tensor {tensor.name}")
