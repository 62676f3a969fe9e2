"""GGUFs of llama.cpp's first files, against convert_llama_ggml_to_gguf.py: `make legacy-check`.

    python -m tests.oracle.legacy [--regenerate]

For each file of tests/tiny_ggml.py the type of its own must be, byte for byte, what upstream makes of it
(with right shapes: legacy_upstream.py), and what upstream refuses must be refused. `--regenerate` writes the
digests that the test suite compares with. Needs what environment.sh builds.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.tiny_ggml import FILES, REFUSED, Legacy, write
from translators import Plan, open_model, plans
from translators.errors import Unsupported

HERE = Path(__file__).resolve().parent
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", HERE.parent.parent / ".oracle"))
GOLDEN = HERE / "legacy.json"


def own(path: Path) -> str:
    """sha256 of the GGUF of the model's own type, as it is made here."""
    plan = next(each for each in plans(open_model(path)).values() if isinstance(each, Plan) and each.own)
    return hashlib.sha256(plan.layout().read(0, plan.size)).hexdigest()


def upstream(path: Path, of: Legacy) -> str | None:
    """sha256 of upstream's GGUF, None where it refuses."""
    made = path.with_suffix(".gguf")
    python, script = ORACLE / "conv" / "bin" / "python", HERE / "legacy_upstream.py"
    command = [python, script, ORACLE / "llama.cpp", "--input", path, "--output", made]
    ran = subprocess.run(
        [*map(str, command), "--gqa", str(of.heads // of.key_heads)], capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    if ran.returncode:
        assert b"is not eligible for conversion" in ran.stderr, ran.stderr.decode()
        return None
    return hashlib.sha256(made.read_bytes()).hexdigest()


def main(arguments: list[str]) -> int:
    """Compare each; 1 if one differs."""
    told: dict[str, str | None] = {}
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        for of in (*FILES.values(), *REFUSED):
            path = write(of, Path(directory))
            told[of.name] = upstream(path, of)
            try:
                ours: str | None = own(path)
            except Unsupported:
                ours = None
            failed |= ours != told[of.name]
            print("DIFFERS" if ours != told[of.name] else "equal  " if ours else "refused", of.name)
    if "--regenerate" in arguments:
        GOLDEN.write_text(json.dumps(told, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
