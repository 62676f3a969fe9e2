"""Read a mount's weights by the frameworks that they are for: `make frameworks-check`.

Of the real SmolLM2 and of a tiny model: PyTorch, NumPy, h5py and flax must each read the tensors of the
mounted `model.safetensors` out of their own form of them, and transformers must give the same logits from
`hf-bf16/` and from `pytorch/`. They run in the environment that tests/oracle/renamed/environment.sh builds,
by framework_readers.py. Ends with 1 where one fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fsd.mounting import PRISMFS, ROOT, running
from tests.real_weights import smollm2
from tests.tiny_models import build
from tests.tiny_variants import MODELS

REAL, TINY = "SmolLM2-135M-Instruct", "Biased-llama-1.5b"
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", ROOT / ".oracle"))


def main() -> int:
    """Have each read both; a line for each."""
    subprocess.run([ROOT / "tests/oracle/renamed/environment.sh"], check=True)
    weights = smollm2()
    script = Path(__file__).with_name("framework_readers.py")
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory).resolve()
        source, mountpoint = base / "models", base / "mnt"
        build(MODELS[TINY], source)
        (source / REAL).mkdir()
        (source / REAL / weights.name).symlink_to(weights)
        with running((*PRISMFS, "mount", str(source), str(mountpoint)), source, mountpoint, base):
            # -P: what lies beside the script is none of the frameworks' business.
            command = [ORACLE / "renamed/bin/python", "-P", script, mountpoint / TINY, mountpoint / REAL]
            return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
