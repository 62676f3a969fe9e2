"""Each variant is built and planned once in a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.oracle.families.comparison import plans_of
from tests.oracle.families.variant import load, variants_by_name

Planned = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    """What a variant can appear as, by its name."""
    plans: dict[str, dict[str, Any]] = {}

    def make(name: str) -> dict[str, Any]:
        if name not in plans:
            variant = variants_by_name()[name]
            plans[name] = plans_of(variant, load(variant), tmp_path_factory.mktemp("variant"))
        return plans[name]

    return make
