"""Run the examples of other programs on a mount of the real SmolLM2: `make examples-check`.

Each example is a process as a person would start it, in an environment with its program; its answer must be
more than the question. What no package index has (Ollama, text-generation-webui) is named as not run. Ends
with 1 where an example fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fsd.mounting import PRISMFS, ROOT, running
from tests.real_weights import smollm2

NAME = "SmolLM2-135M-Instruct"
TEXT = "The capital of France is"
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", ROOT / ".oracle"))
SECONDS = 1200


@dataclass(frozen=True)
class Example:
    """An example: its command, without the model and the text; the environment that its program is in.

    folder: the directory of a format that it needs, "" for none.
    """

    command: tuple[str, ...]
    environment: Path
    folder: str = ""


EXAMPLES = {
    "llama_cpp.sh": Example(("bash",), Path(sys.prefix)),
    "transformers_generate.py": Example(("python",), ORACLE / "conv", "hf-bf16"),
    "mlx_lm.sh": Example(("bash",), ORACLE / "mlx", "mlx-4bit"),
    "genai_generate.py": Example(("python",), ORACLE / "onnx", "onnx-int4"),
}
NOT_RUN = {
    "Modelfile": "Ollama is no package of an index; tests/fsd/test_views_mount.py acts as it does",
    "text_generation_webui.sh": "the program is no package of an index",
}


def run(name: str, example: Example, model: Path, home: Path) -> str:
    """What an example says; "" before a reason where it is not run."""
    if example.folder and not (model / example.folder).is_dir():
        return f"not run: the model has no {example.folder}/"
    if not (example.environment / "bin" / "python").exists():
        return f"not run: there is no {example.environment}"
    own: Mapping[str, str] = {
        "PATH": f"{example.environment / 'bin'}:{os.environ['PATH']}",
        "HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "PYTHON": str(example.environment / "bin" / "python"),
    }
    command = (*example.command, str(ROOT / "examples" / name), str(model), TEXT)
    done = subprocess.run(
        command, cwd=home, env=own, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode:
        return f"FAILED: {done.stderr[-2000:]}"
    said = done.stdout.replace(TEXT, "").strip()
    return f"ran: {' '.join(said.split())[:100]}" if said else "FAILED: it says nothing"


def main(names: list[str]) -> int:
    """Run the examples that are named, or all; print what each says."""
    weights = smollm2()
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory).resolve()
        source, mountpoint = base / "models", base / "mnt"
        (source / NAME).mkdir(parents=True)
        (source / NAME / weights.name).symlink_to(weights)
        with running((*PRISMFS, "mount", str(source), str(mountpoint)), source, mountpoint, base):
            for name, example in EXAMPLES.items():
                if names and name not in names:
                    continue
                told = run(name, example, mountpoint / NAME, base)
                failed |= told.startswith("FAILED")
                print(f"{name:26} {told}", flush=True)
    for name, reason in NOT_RUN.items():
        print(f"{name:26} not run: {reason}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
