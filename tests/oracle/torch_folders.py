"""What upstream and transformers make of `pytorch/` folders: the same as of their safetensors.

    python -m tests.oracle.torch_folders      # make pytorch-check

For each model its folder and its `pytorch/` form are written; convert_hf_to_gguf must make, of the latter,
the file whose digest is in golden/; from_pretrained must give the same logits of both, and torch.load the
same tensors, mapped or not. Needs what environment.sh builds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.oracle.goldens import difference, load
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from translators import Plan, open_model, plans

# Tensors in the library's order, and in that of a checkpoint, in several shards.
NAMES = ("llama-mha", "Biased-llama-1.5b")

_HERE = Path(__file__).resolve().parent
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", _HERE.parent.parent / ".oracle"))
_PYTHON = ORACLE / "conv" / "bin" / "python"


def pytorch_folder(folder: Path, directory: Path) -> Path:
    """The `pytorch/` form of the model in `folder`, in `directory`, under the same name."""
    for name, plan in plans(open_model(folder), "pytorch").items():
        assert isinstance(plan, Plan), plan
        target = directory / folder.name / name.removeprefix("pytorch/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(plan.layout().read(0, plan.size))
    return directory / folder.name


def main() -> None:
    """Ask both; exits with 1 where anything differs."""
    failed = False
    for name in NAMES:
        with tempfile.TemporaryDirectory() as work:
            folder = build(MODELS[name], Path(work) / "safetensors")
            made = pytorch_folder(folder, Path(work) / "pytorch")
            own, target = load(name)["own"], Path(work) / "made.gguf"
            convert = ORACLE / "llama.cpp" / "convert_hf_to_gguf.py"
            _run(convert, made, "--outfile", target, "--outtype", own)
            departs = difference(load(name), f"model.gguf-{own}", target.read_bytes())
            print(f"{name}: convert_hf_to_gguf: {departs or 'equal'}")
            failed |= bool(departs)
            _run(_HERE / "torch_logits.py", folder, made)
            print(f"{name}: from_pretrained, torch.load: equal")
    sys.exit(failed)


def _run(*command: object) -> None:
    subprocess.run([_PYTHON, *map(str, command)], check=True, env={**os.environ, "PYTHONPATH": ""})


if __name__ == "__main__":
    main()
