"""Logical tensors: a checkpoint's, while they are being put in order, and when they are.

`Workings` holds the tensors by name in upstream's visiting order. A method of quantisation replaces a weight
in its place, takes away what went with it, adds weights at the end or puts blocks first, as upstream does.
Knows nothing of any method.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from types import TracebackType

import numpy as np
import numpy.typing as npt

from translators.errors import MalformedSource
from translators.model import Model
from translators.quants.filetypes import FILE_TYPES
from translators.reading import SourceFiles
from translators.recipes import Recipe, Stored, nbytes, read_bytes, stored

OWN = "bf16"
REMEDY = "get the model again, or from another source"
# Values that decide about names or shapes are few.
_MOST = 1 << 16


@dataclass(frozen=True)
class Logical:
    """The tensors of a checkpoint as if it had never been quantised.

    tensors: recipes by name, in the order in which upstream visits them. A `Stored` one is the checkpoint's
    own. own:     the precision that a quantised checkpoint counts as: "bf16"; None: the tensors tell. first:
    how many of `tensors`, from the first, are blocks that upstream writes before all else, generated
             tensors included: of type MXFP4 or NVFP4, and what belongs to them.
    file_type: `general.file_type` where blocks make it another one than `own`'s.
    unhurried: weights of NVFP4 whose activations have 16 bits: `general.tensor_extra` names them.
    """

    tensors: Mapping[str, Recipe]
    own: str | None = None
    first: int = 0
    file_type: int | None = None
    unhurried: tuple[str, ...] = ()


@dataclass
class Workings:
    """The tensors of `model`, in the making. Reads values within `with` only."""

    model: Model
    recipes: dict[str, Recipe] = field(init=False)
    _first: dict[str, Recipe] = field(default_factory=dict)
    _last: dict[str, Recipe] = field(default_factory=dict)
    _sources: SourceFiles | None = None
    unhurried: list[str] = field(default_factory=list)
    quantised: bool = False

    def __post_init__(self) -> None:
        self.recipes = {name: stored(tensor) for name, tensor in self.model.tensors.items()}

    def __enter__(self) -> Workings:
        self._sources, self.quantised = SourceFiles(self.model.files), True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sources is not None:
            self._sources.close()
            self._sources = None

    def names(self, *ends: str) -> list[str]:
        """The names of tensors that end in one of `ends`, in the order of visiting."""
        return [name for name in self.recipes if name.endswith(ends)]

    def has_scales(self) -> bool:
        """Whether there is anything left that upstream takes for a scale of FP8."""
        return bool(self.names(".weight_scale", ".weight_scale_inv"))

    def take(self, name: str, of: str = "") -> Stored:
        """A tensor that belongs to `of`, which the checkpoint then no longer has. Raises MalformedSource."""
        found = self.take_if(name)
        if found is None:
            raise MalformedSource("it is missing", place=f"tensor {name}", remedy=REMEDY)
        return found

    def take_if(self, name: str) -> Stored | None:
        """`take`, or None where there is no such tensor."""
        found = self.recipes.pop(name, None)
        return found if isinstance(found, Stored) else None

    def weight(self, name: str) -> Stored:
        """A stored weight that stays where it is, until it is replaced. Raises MalformedSource."""
        found = self.recipes.get(name)
        if not isinstance(found, Stored):
            raise MalformedSource("it is missing, or scaled twice", place=f"tensor {name}", remedy=REMEDY)
        return found

    def drop(self, *ends: str) -> None:
        """Leave out tensors whose names end so."""
        for name in self.names(*ends):
            del self.recipes[name]

    def put_first(self, name: str, recipe: Recipe) -> None:
        """Add a tensor before all others but those put first before."""
        self._put(self._first, name, recipe)

    def put_last(self, name: str, recipe: Recipe) -> None:
        """Add a tensor behind all others."""
        self._put(self._last, name, recipe)

    def _put(self, where: dict[str, Recipe], name: str, recipe: Recipe) -> None:
        if name in self._first or name in self._last:
            raise MalformedSource("it is there twice", place=f"tensor {name}", remedy=REMEDY)
        where[name] = recipe

    def values(self, recipe: Recipe, name: str) -> npt.NDArray[np.uint8]:
        """The bytes of a small tensor. Raises MalformedSource for a large one, and what reading raises."""
        size = nbytes(recipe)
        if self._sources is None or size > _MOST:
            raise MalformedSource(
                f"{prod(recipe.shape):,} numbers are too many", place=f"tensor {name}", remedy=REMEDY
            )
        return read_bytes(recipe, 0, size, self._sources)

    def logical(self) -> Logical:
        """The tensors, in order."""
        twice = (self._first.keys() | self._last.keys()) & self.recipes.keys()
        if twice:
            raise MalformedSource("it is there twice", place=f"tensor {min(twice)}", remedy=REMEDY)
        types = {recipe.dtype.name for recipe in self._first.values()}
        kind = "nvfp4" if "NVFP4" in types else "mxfp4_moe" if "MXFP4" in types else ""
        return Logical(
            {**self._first, **self.recipes, **self._last},
            own=OWN if self.quantised else None,
            first=len(self._first),
            file_type=_NUMBERS.get(kind),
            unhurried=tuple(self.unhurried),
        )


# llama.cpp's numbers of files whose blocks are these; a file of NVFP4 is none that llama-quantize makes.
_NUMBERS = {"nvfp4": 39, "mxfp4_moe": FILE_TYPES["mxfp4_moe"].number}


@contextmanager
def fitting(name: str) -> Iterator[None]:
    """ValueErrors about shapes become MalformedSource with the tensor's name."""
    try:
        yield
    except ValueError as error:
        raise MalformedSource(str(error), place=f"tensor {name}", remedy=REMEDY) from error
