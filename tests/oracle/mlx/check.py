"""Our folders for mlx-lm against mlx-lm's own, and our reading of them against MLX's: `make mlx-check`.

    python -m tests.oracle.mlx.check [--regenerate] [NAME or DIRECTORY ...]

Without names, a tiny model of every model_type that is offered. Each is converted and quantised by mlx-lm
itself: tensors must be equal bit by bit, logits too; our folder, read as a source, must hold what MLX
dequantises it to. `--regenerate` writes the digests that the test suite compares with.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.oracle.families.variant import load, variants_by_name
from tests.oracle.mlx import cases
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from translators import folders, open_model, plans
from translators.mlx_names import TYPES, expert_of
from translators.model import Model
from translators.plan import Plan
from translators.quantised import logical
from translators.reading import SourceFiles
from translators.recipes import nbytes, read_bytes

HERE = Path(__file__).resolve().parent
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", HERE.parents[2] / ".oracle"))
GOLDEN = HERE / "golden.json"
FORMS = ("mlx-4bit", "mlx-8bit", "mlx-3bit-g32", "mlx-5bit-g128", "mlx-6bit", "mlx-2bit-g128")


def sources(scratch: Path, names: list[str]) -> list[Path]:
    """The folders to compare: directories that are named, else tiny models of every offered type."""
    found = [Path(name) for name in names if Path(name).is_dir()]
    for name, tiny in MODELS.items():
        if tiny.config.get("model_type") in TYPES and (name in names or not names):
            found.append(build(tiny, scratch / name))
    for name, variant in variants_by_name().items():
        if variant.config.get("model_type") in TYPES and (name in names or not names):
            found.append(variant.build(scratch, load(variant)["inventory"]))
            # Keys that every published checkpoint has, and mlx-lm reads the source by.
            config = found[-1] / "config.json"
            kind = TYPES[variant.config["model_type"]]
            config.write_text(json.dumps({**kind.absent, **json.loads(config.read_text())}))
    return found


def written(source: Path, form: str, directory: Path) -> Path:
    """A folder of the model at `source`, as plain files."""
    for name, plan in plans(open_model(source), form).items():
        assert isinstance(plan, Plan), plan
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        layout = plan.layout()
        data = bytearray(layout.size)
        layout.read_into(0, memoryview(data))
        layout.close()
        target.write_bytes(data)
    return directory / form


def digests(model: Model) -> dict[str, str]:
    """sha256 of each tensor of a quantised folder, dequantised, experts by mlx-lm's name of their stack."""
    kind = TYPES[model.config["model_type"]]
    with closing(SourceFiles(model.files)) as files:
        made = {
            name: hashlib.sha256(read_bytes(recipe, 0, nbytes(recipe), files)).hexdigest()[:16]
            for name, recipe in logical(model).tensors.items()
        }
    for name in model.tensors:
        expert = expert_of(kind, name)
        for number in range(model.tensors[name].shape[0] if expert else 0):
            made[f"{name}[{number}]"] = made.pop(str(expert).format(number))
    return made


def main(arguments: list[str]) -> int:
    """Compare, and print a line for each folder; 1 if one differs."""
    subprocess.run([HERE / "environment.sh"], check=True)
    upstream = [ORACLE / "mlx/bin/python", HERE / "upstream.py"]
    if "--regenerate" in arguments:
        made = subprocess.run(
            [*upstream, "digests", cases.__file__], check=True, capture_output=True, text=True
        )
        GOLDEN.write_text(made.stdout)
    failures = 0
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        pairs = []
        names = [name for name in arguments if not name.startswith("-")]
        for number, source in enumerate(sources(scratch, names)):
            form = FORMS[number % len(FORMS)]
            ours = written(source, form, scratch / "ours" / source.name)
            if not ours.exists():
                print(f"refused  {source.name}: {folders(open_model(source))['mlx-4bit/']}")
                continue
            found = json.loads((ours / "config.json").read_text())["quantization"]
            pairs.append((str(source), str(ours), found["bits"], found["group_size"]))
        run = subprocess.Popen([*upstream, "folders", json.dumps(pairs)], stdout=subprocess.PIPE, text=True)
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("ANSWER "):
                failures += not _tell(json.loads(line.removeprefix("ANSWER ")))
        if run.wait():
            return 1
    return 1 if failures else 0


def _tell(told: dict[str, Any]) -> bool:
    ours = Path(told["ours"])
    back = told.pop("back", None)
    good = back is not None and not told["wrong"] and told["logits"] and told["form"]
    same = back is not None and digests(open_model(ours)) == back
    print("equal " if good and same else "DIFFERS", f"{ours.parent.name}/{ours.name}", told, f"back: {same}")
    return bool(good and same)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
