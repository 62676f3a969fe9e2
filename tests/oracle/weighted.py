"""Golden digests of files that llama-quantize makes with an importance matrix: golden/<name>.imatrix.*.json.

    python -m tests.oracle.weighted [NAME ...]      # all of tests.tiny_imatrices.MATRICES, or those named

Upstream's own front end (llama-quantize, which environment.sh builds) reads the matrices, so that these
digests also hold for key-values and for what is taken notice of. The sources are the GGUFs that upstream's
converter makes of the tiny models, and one with experts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.oracle.gguf_parts import take_apart
from tests.oracle.regenerate import ORACLE, convert, described, save
from tests.real_weights import smollm2
from tests.tiny_imatrices import MATRICES, MOE, Columns, TinyMatrix, write, write_experts
from tests.tiny_models import build
from tests.tiny_smollm2 import with_smollm2
from tests.tiny_variants import MODELS


def columns_of(gguf: bytes) -> Columns:
    """The weight tensors of a GGUF that a matrix may be about: columns, and slices of them."""
    parts = take_apart(gguf).tensors
    return {
        part.name: (part.shape[0], part.shape[2] if len(part.shape) > 2 else 1)
        for part in parts
        if len(part.shape) > 1 and "ffn_gate_inp" not in part.name
    }


def weighted(matrix: TinyMatrix, work: Path) -> dict[str, Any]:
    """The golden digests of one matrix."""
    if matrix.model == MOE:
        source = write_experts(work)
    else:
        models = {**MODELS, **with_smollm2(smollm2())}
        source = work / "source.gguf"
        convert(build(models[matrix.model], work), models[matrix.model].own, source)
    folder = write(matrix, columns_of(source.read_bytes()), work).parent
    made = folder / "made"
    made.mkdir()
    for kind in matrix.types + matrix.slow:
        _quantise(source, made / f"{kind}.gguf", folder, matrix.file, kind)
    return described(made, "", matrix.types + matrix.slow)


def _quantise(source: Path, target: Path, folder: Path, file: str, kind: str) -> None:
    """llama-quantize, run where the matrix lies, so that it is named by its own name alone."""
    command = [ORACLE / "quantize" / "llama-quantize", "--allow-requantize", "--imatrix", file]
    command += [source, target, kind, "2"]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True)
    if done.returncode:
        target.unlink(missing_ok=True)


def main(names: list[str]) -> None:
    """Regenerate the goldens of `names`, or of all matrices."""
    for name in names or MATRICES:
        with tempfile.TemporaryDirectory() as directory:
            save(name, weighted(MATRICES[name], Path(directory)))
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
