"""Tiny models for the oracle's tests: each is built and planned once in a session, when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import translators
from tests.oracle.weighing import plans_with
from tests.tiny_models import TinyModel, build
from tests.tiny_smollm2 import NAMES, with_smollm2
from tests.tiny_variants import MODELS

Plans = dict[str, translators.Plan | translators.Refusal]
Folder = Callable[[str], Path]
Planned = Callable[[str], Plans]
Weighted = Callable[[str], Plans]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Folder:
    """The folder of a tiny model, by its name. Those with a real vocabulary need the real weights."""
    models: dict[str, TinyModel] = dict(MODELS)
    built: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name in NAMES and name not in models:
            models.update(with_smollm2(request.getfixturevalue("smollm2_gguf")))
        if name not in built:
            built[name] = build(models[name], tmp_path_factory.mktemp("tiny"))
        return built[name]

    return make


@pytest.fixture(scope="session")
def planned(folder: Folder) -> Planned:
    """What a tiny model can appear as, by its name."""
    plans: dict[str, Plans] = {}

    def make(name: str) -> Plans:
        if name not in plans:
            plans[name] = translators.plans(translators.open_model(folder(name)))
        return plans[name]

    return make


@pytest.fixture(scope="session")
def weighted(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Weighted:
    """What a tiny model with a matrix beside it can appear as, by the name of the matrix's golden file."""
    models: dict[str, TinyModel] = dict(MODELS)
    planned: dict[str, Plans] = {}

    def model(name: str) -> TinyModel:
        if name in NAMES and name not in models:
            models.update(with_smollm2(request.getfixturevalue("smollm2_gguf")))
        return models[name]

    def make(name: str) -> Plans:
        if name not in planned:
            planned[name] = plans_with(name, model, tmp_path_factory.mktemp("weighted"))
        return planned[name]

    return make
