"""What llama.cpp made of one file, and how two of those compare.

with Llama() as llama:
    outcome = llama.evaluated(path)   # in a process of its own: llama.cpp aborts on what it was not made for
compared(mine, upstream, close=False)  # "equal", "close: ...", "refused: ...", or "DIFFERS: ..."
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


class Llama:
    """evaluate.py at work in llama.cpp's environment; a context that ends it."""

    def __enter__(self) -> Llama:
        command = [str(ORACLE / "llama" / "bin" / "python"), str(EVALUATE)]
        environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def evaluated(self, path: Path, **request: Any) -> Outcome:
        """What it makes of the file at `path`, with the fixed prompt unless the request has tokens."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.NamedTemporaryFile() as out:
            self._process.stdin.write(json.dumps({"model": str(path), "out": out.name, **request}) + "\n")
            self._process.stdin.flush()
            told = json.loads(self._process.stdout.readline())
            if "refused" in told:
                return Outcome(refused=_reason(told["refused"]))
            return Outcome(told["kind"], np.fromfile(out.name, np.float32).reshape(told["shape"]))


def _reason(log: str) -> str:
    """The line of llama.cpp's log that says why, without where its source lay."""
    lines = [line for line in log.splitlines() if line.strip()]
    lines = [line for line in lines if not any(part in line for part in _NOT_TOLD)] or lines
    told = lines[0] if lines else ""
    told = re.sub(r"^\S*?/((src|ggml)/\S+?):\d+: ", r"\1: ", told)
    told = re.sub(r"^llama_model_load: error loading model: ", "", told)
    return re.sub(r"\s+", " ", told.replace(",      1", "")).strip()


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
