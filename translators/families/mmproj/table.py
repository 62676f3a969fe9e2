"""A family of side files as a table: the part of a model that sees or hears, in a GGUF of its own.

    Mmproj(architectures=("Foo",), includes=beginning("visual."), rules=(...), parameters=(VISION, ...))

It is a `Family` whose configuration is that of the part (`vision_config`), and whose types are upstream's for
such files. There is no way back. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from translators.dtypes import DType
from translators.families.table import Family
from translators.families.types import type_in_side_file


def _of_language_model(name: str) -> bool:
    return "language_model." in name


def beginning(*starts: str) -> Callable[[str], bool]:
    """Whether a name begins with one of these."""
    return lambda name: name.startswith(starts)


@dataclass(frozen=True, kw_only=True)
class Mmproj(Family):
    """A family of side files.

    includes: whether a tensor is of the part, by its name as the rules have it.
    part:     the key of the part's configuration.
    """

    includes: Callable[[str], bool]
    part: str = "vision_config"
    arch: str = "clip"
    vocabulary: str = "none"
    prefix: str = ""
    multimodal: Callable[[str], bool] = _of_language_model

    def kept(self, name: str, config: Mapping[str, Any]) -> str | None:
        """A checkpoint's name for a tensor of the part as the rules have it; None for every other."""
        kept = super().kept(name, config)
        return kept if kept is not None and self.includes(kept) else None

    def stored_type(self, name: str, shape: tuple[int, ...], own: DType) -> DType:
        """The type of a tensor of its GGUF in the type `own`."""
        return type_in_side_file(name, shape, own, self.types)
