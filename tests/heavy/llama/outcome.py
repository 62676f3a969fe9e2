"""What llama.cpp made of one file, and how two of those compare.

    outcome = evaluated(path)        # in a process of its own: llama.cpp aborts on what it was not made for
    compared(mine, upstream, close)  # "equal", "close: ...", "refused: ...", or "DIFFERS: ..."
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.oracle.regenerate import ORACLE

EVALUATE = Path(__file__).with_name("evaluate.py")
# Of outputs of weights that differ in their last bit, relative to the largest.
CLOSE = 1e-4
_NOT_TOLD = ("failed to load model", "it is not", "there is no", "backtrace", "No such file or directory")


@dataclass(frozen=True)
class Outcome:
    """Logits or embeddings of every token, or why there are none."""

    kind: str = ""
    values: npt.NDArray[np.float32] | None = None
    refused: str = ""

    @property
    def finite(self) -> bool:
        """Whether there are values, and all of them are numbers."""
        return self.values is not None and bool(np.isfinite(self.values).all())


def evaluated(path: Path, timeout: float = 600) -> Outcome:
    """Has llama.cpp evaluate the fixed prompt with the file at `path`."""
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "values"
        command = [ORACLE / "llama" / "bin" / "python", EVALUATE, path, out]
        try:
            done = subprocess.run(
                [str(word) for word in command], capture_output=True, text=True, errors="replace",
                timeout=timeout, check=False, env={**os.environ, "GGML_NO_BACKTRACE": "1"}, cwd=work,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Outcome(refused=f"not within {timeout:.0f} s")
        if done.returncode:
            return Outcome(refused=_reason(done.stderr) or f"it ended with {done.returncode}")
        told = json.loads(done.stdout)
        return Outcome(told["kind"], np.fromfile(out, np.float32).reshape(told["shape"]))


def _reason(log: str) -> str:
    """The line of llama.cpp's log that says why, without where its source lay."""
    lines = [line for line in log.splitlines() if line.strip()]
    lines = [line for line in lines if not any(part in line for part in _NOT_TOLD)] or lines
    told = lines[0] if lines else ""
    told = re.sub(r"^\S*?/((src|ggml)/\S+?):\d+: ", r"\1: ", told)
    return re.sub(r"^llama_model_load: error loading model: ", "", told).strip()


def compared(mine: Outcome, upstream: Outcome, *, close: bool) -> str:
    """How what was served compares with upstream's file. `close`: the last bits of weights may differ."""
    if mine.refused or upstream.refused:
        same = mine.refused == upstream.refused
        return f"refused: {mine.refused}" if same else f"DIFFERS: {mine.refused!r}, {upstream.refused!r}"
    assert mine.values is not None
    assert upstream.values is not None
    if (mine.kind, mine.values.shape) != (upstream.kind, upstream.values.shape):
        return f"DIFFERS: {mine.kind} {mine.values.shape}, {upstream.kind} {upstream.values.shape}"
    if mine.values.tobytes() == upstream.values.tobytes():
        return "equal" if mine.finite else "equal, not finite"
    most = float(np.abs(mine.values - upstream.values).max() / np.abs(upstream.values).max())
    told = f"by {most:.0e} of the largest"
    return f"close: {told}" if close and most <= CLOSE else f"DIFFERS: {told}"
