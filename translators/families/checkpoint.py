"""A checkpoint on its way into a GGUF: a model with its completed configuration, its arch and precision.

What a family's own functions are given. Tensor data are read only where a family says that values decide
what the header holds: tensors of a few numbers, never more than a megabyte; or, piece by piece, two tensors
that may be the same.
Knows nothing of any family.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from translators.dtypes import F32, DType
from translators.errors import Unsupported
from translators.families.transforms import Place
from translators.model import Model
from translators.quantised import Logical
from translators.quants.filetypes import FileType
from translators.reading import SourceFiles
from translators.recipes import cast, nbytes, read_bytes

_LARGEST = 1 << 20


@dataclass(frozen=True)
class Checkpoint:
    """A model, its completed configuration, its class, its precision, and its tensors.

    whole:        of a side file: the configuration that `config` is a part of.
    preprocessor: of a side file: what the checkpoint tells of how images and sounds are prepared.
    """

    model: Model
    config: Mapping[str, Any]
    arch: str
    architecture: str
    file_type: FileType
    logical: Logical
    whole: Mapping[str, Any] = field(default_factory=dict)
    preprocessor: Mapping[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> DType:
        """The type of matrices."""
        return self.file_type.dtype

    def place(self, name: str = "", layer: int = 0) -> Place:
        """The place of one of its tensors."""
        return Place(self.config, name, layer)

    def count(self, *keys: str) -> int:
        """A positive number of the configuration, the first of `keys` there. Raises MalformedSource."""
        return self.place().count(*keys)

    def numbers(self, name: str) -> npt.NDArray[np.float32]:
        """The values of a small tensor. Raises Unsupported for a large one, KeyError for none."""
        recipe = cast(self.logical.tensors[name], F32)
        if nbytes(recipe) > _LARGEST:
            raise Unsupported("too many values to decide anything", place=f"tensor {name}")
        sources = SourceFiles(self.model.files)
        try:
            values = read_bytes(recipe, 0, nbytes(recipe), sources)
            return values.view(np.float32).reshape(recipe.shape)
        finally:
            sources.close()

    def same(self, name: str, other: str) -> bool:
        """Whether two tensors have the same shape and values; read as far as they do. Raises KeyError."""
        pair = [cast(self.logical.tensors[each], F32) for each in (name, other)]
        left, right = pair
        if left.shape != right.shape:
            return False
        sources = SourceFiles(self.model.files)
        try:
            for start in range(0, nbytes(left), _LARGEST):
                count = min(_LARGEST, nbytes(left) - start)
                one, two = (read_bytes(each, start, count, sources).view(np.float32) for each in pair)
                if not np.array_equal(one, two):
                    return False
            return True
        finally:
            sources.close()
