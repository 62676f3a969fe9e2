"""Tiny models with an importance matrix beside them: built, and planned, when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import translators
from tests.oracle.weighted import columns_of
from tests.tiny_imatrices import MATRICES, MOE, write, write_experts
from tests.tiny_models import TinyModel, build

Plans = dict[str, translators.Plan | translators.Refusal]


def plans_with(name: str, models: Callable[[str], TinyModel], work: Path) -> Plans:
    """What a model appears as beside the matrix `name`, in the folder `work`; `models` describes models."""
    matrix = MATRICES[name]
    folder = write_experts(work).parent if matrix.model == MOE else build(models(matrix.model), work)
    plans = translators.plans(translators.open_model(folder)).values()
    own = next(plan for plan in plans if isinstance(plan, translators.Plan) and plan.own)
    write(matrix, columns_of(own.layout().read(0, own.size)), folder)
    return translators.plans(translators.open_model(folder))
