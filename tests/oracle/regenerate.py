"""Golden digests from upstream's own tools: what prismfs' virtual files must be, byte for byte.

    python -m tests.oracle.regenerate [NAME ...]      # all, or the models named

For each model: the folder is built, upstream's convert_hf_to_gguf makes the GGUF of its own precision,
llama-quantize's library makes every other type of that, and the safetensors library merges the shards.
golden/<name>.json keeps sizes, digests of whole files, and enough of their parts to say where a file differs.
Needs what environment.sh builds; PRISMFS_ORACLE says where (default: .oracle in the repository).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.oracle.gguf_parts import Parts, take_apart
from tests.oracle.goldens import GOLDEN, REAL, REQUANTISED, shown_tensor
from tests.oracle.huggingface import write_folder
from tests.real_weights import smollm2
from tests.tiny_models import TYPES, TinyModel, build, fingerprint
from tests.tiny_smollm2 import with_smollm2
from tests.tiny_variants import MODELS

_HERE = Path(__file__).resolve().parent
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", _HERE.parent.parent / ".oracle"))


def convert(folder: Path, own: str, target: Path) -> None:
    """Upstream's converter: `folder` in its own precision."""
    _run(
        "conv", ORACLE / "llama.cpp" / "convert_hf_to_gguf.py", folder, "--outfile", target, "--outtype", own
    )


def quantise(source: Path, directory: Path, types: Iterable[str]) -> None:
    """Upstream's quantiser: `directory`/TYPE.gguf for each type that it does not refuse."""
    _run("llama", _HERE / "quantise.py", source, directory, *types)


def describe(files: dict[str, Path], first: str, refused: list[str]) -> dict[str, Any]:
    """What a golden file says of `files` (type -> path), of which `first` is the source's own type."""
    entries: dict[str, Any] = {}
    digests: dict[str, dict[str, str]] = {}
    headers: dict[str, Any] = {}
    for kind, path in files.items():
        data = path.read_bytes()
        parts = take_apart(data)
        headers.setdefault("own" if kind == first else "quantised", _header(parts))
        for part in parts.tensors:
            digests.setdefault(part.name, {})[part.type] = part.digest
        entries[f"model.gguf-{kind}"] = {
            "size": len(data),
            "sha256": sha256(data).hexdigest(),
            "file_type": parts.key_values.get("general.file_type"),
            "types": " ".join(part.type for part in parts.tensors),
        }
    return {"own": first, "refused": refused, "files": entries, "headers": headers, "digests": digests}


def tiny(model: TinyModel, work: Path) -> dict[str, Any]:
    """The golden digests of one tiny model."""
    folder = build(model, work)
    own = work / f"{model.own}.gguf"
    convert(folder, model.own, own)
    others = [kind for kind in model.types if kind != model.own]
    quantise(own, work, others)
    golden = {"folder": fingerprint(folder), **described(work, model.own, others)}
    if model.shards > 1:
        merged = work / "merged.safetensors"
        _run("conv", _HERE / "merge.py", folder, merged)
        content = merged.read_bytes()
        golden["files"]["model.safetensors"] = {"size": len(content), "sha256": sha256(content).hexdigest()}
    return golden


def real(source: Path, work: Path) -> dict[str, Any]:
    """The golden digests of real weights: of the Hugging Face folder that this project makes of a GGUF.

    What upstream makes of that folder shows that the folder is right, and is what our own types must equal.
    """
    folder = write_folder(source, work / REAL)
    own = work / "bf16.gguf"
    convert(folder, "bf16", own)
    others = [kind for kind in TYPES if kind != "bf16"]
    quantise(own, work, others)
    return {"folder": fingerprint(folder), **described(work, "bf16", others)}


def requantised(source: Path, types: Iterable[str], work: Path) -> dict[str, Any]:
    """The golden digests of a GGUF that is quantised again."""
    quantise(source, work, types)
    return described(work, "", types)


def save(name: str, golden: dict[str, Any]) -> None:
    """Write golden/<name>.json, one part a line so that a change can be reviewed."""
    text = json.dumps(golden, indent=1, ensure_ascii=False)
    (GOLDEN / f"{name}.json").write_text(text + "\n")


def described(work: Path, own: str, others: Iterable[str]) -> dict[str, Any]:
    """What a golden file says of the types in `work`, one file each; one that is not there was refused."""
    files = {kind: work / f"{kind}.gguf" for kind in ([own] if own else []) + list(others)}
    present = {kind: path for kind, path in files.items() if path.is_file()}
    return describe(present, own, sorted(files.keys() - present.keys()))


def _header(parts: Parts) -> dict[str, Any]:
    return {"key_values": parts.key_values, "tensors": [shown_tensor(part) for part in parts.tensors]}


def _run(environment: str, *arguments: object) -> None:
    command = [str(ORACLE / environment / "bin" / "python"), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def main(names: list[str]) -> None:
    """Regenerate the goldens of `names`, or of all models."""
    gguf = smollm2()
    models = {**MODELS, **with_smollm2(gguf)}
    for name in names or [*models, REAL]:
        with tempfile.TemporaryDirectory() as directory:
            work = Path(directory)
            save(name, real(gguf, work) if name == REAL else tiny(models[name], work))
            for kind, types in REQUANTISED.get(name, {}).items():
                again = work / "again"
                again.mkdir()
                source = gguf if name == REAL else work / f"{kind}.gguf"
                save(f"{name}.{kind}", requantised(source, types, again))
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
