"""Every tiny model under one face: how its folder is built, and what upstream's converter is to be told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.oracle.families.variant import Variant, load, variants_by_name
from tests.real_weights import smollm2
from tests.tiny_models import TinyModel, build
from tests.tiny_smollm2 import with_smollm2
from tests.tiny_variants import MODELS
from translators.families import family_of

# The families' numbers of the models that are older than the variants.
_FIRST = {"llama": 1, "qwen2": 4, "qwen3": 5}


@dataclass(frozen=True)
class Tiny:
    """A tiny model.

    family:  its number in the table of families.
    own:     the GGUF type of its own precision.
    build:   writes its folder into a directory and returns the path.
    options: of upstream's converter.
    close:   whether values of it go through exp, so that upstream's file may differ in their last bits.
    """

    name: str
    family: int
    own: str
    build: Callable[[Path], Path]
    options: tuple[str, ...] = ()
    close: bool = False


def every(names: tuple[str, ...] = ("",)) -> dict[str, Tiny]:
    """The models whose names begin with one of `names`, by name."""
    models = {**MODELS, **with_smollm2(smollm2())}
    found = [_of_model(model) for model in models.values()]
    found += [_of_variant(variant) for variant in variants_by_name().values()]
    return {each.name: each for each in found if each.name.startswith(names)}


def _of_model(model: TinyModel) -> Tiny:
    config = json.loads(json.dumps(model.config))
    return Tiny(model.name, _FIRST[family_of(config).arch], model.own, partial(build, model))


def _of_variant(variant: Variant) -> Tiny:
    golden = load(variant)

    def folder(directory: Path) -> Path:
        return variant.build(directory, golden["inventory"])

    return Tiny(variant.name, variant.family, golden["own"], folder, variant.options, bool(variant.close))
