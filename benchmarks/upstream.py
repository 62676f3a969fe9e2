"""The way without prismfs: upstream's converter, then its quantiser, then the file is loaded.

Uses the oracle's environment (`make oracle` builds it): upstream's own Python and library, all cores.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.oracle.regenerate import convert, quantise


def first_token(folder: Path, kind: str, work: Path, load: list[str]) -> float:
    """Seconds from a Hugging Face folder of bf16 to the first token of type `kind`, by upstream's tools."""
    converted, quantised = work / "converted.gguf", work / f"{kind}.gguf"
    started = time.monotonic()
    convert(folder, "bf16", converted)
    quantise(converted, work, [kind])
    subprocess.run([*load, str(quantised)], check=True, capture_output=True)
    elapsed = time.monotonic() - started
    converted.unlink()
    quantised.unlink()
    return elapsed
