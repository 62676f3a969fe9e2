"""Our folders for ONNX Runtime, run by it, by onnxruntime-genai and by OpenVINO: `make onnx-check`.

    python -m tests.oracle.onnx.check [--regenerate] [NAME, DIRECTORY or GGUF ...]

Without names, a tiny model of every architecture that is offered. Each is compared with what transformers
makes of the source: the logits of a whole text and of one that grows token by token, and greedy choices; of
four bits, with the weights that the codes stand for. transformers is given hf-f32/ of what is no directory
that was named: of a GGUF, and of shards without an index.
`--regenerate` writes what the test suite compares with, of models that were found equal.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.oracle.families.variant import load, variants_by_name
from tests.oracle.onnx import cases
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from translators import folders, open_model, plans
from translators.plan import Folder, Plan
from translators.targets.onnx.settings import DECODERS, ENCODERS

HERE = Path(__file__).resolve().parent
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", HERE.parents[2] / ".oracle"))
QUANTISED, FOLDERS = HERE / "quantised.json", HERE / "folders.json"
FORMS = ("onnx-fp32", "onnx-fp16", "onnx-int4")
# Of the largest logit. Float32 is summed in another order; in float16 every operation is rounded.
TOLERANCE = {"onnx-fp32": 1e-5, "onnx-fp16": 4e-3, "onnx-int4": 1e-5}
# What the suite compares: of a decoder the graph, weights and genai's configuration; of an encoder two.
FILES = ("model.onnx", "model.onnx.data", "genai_config.json")
_PIECE = 1 << 24


def tiny(scratch: Path, names: list[str]) -> Iterator[tuple[str, Path]]:
    """Tiny models of the architectures that are offered, of these names if any are given."""
    offered = {*DECODERS, *ENCODERS}
    for name, model in MODELS.items():
        if set(model.config["architectures"]) <= offered and (name in names or not names):
            yield name, build(model, scratch)
    for name, variant in variants_by_name().items():
        if set(variant.config.get("architectures", "?")) <= offered and (name in names or not names):
            yield name, variant.build(scratch, load(variant)["inventory"])


def written(source: Path, form: str, directory: Path) -> Path:
    """A folder of the model at `source`, as plain files."""
    for name, plan in plans(open_model(source), form).items():
        assert isinstance(plan, Plan), plan
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        layout = plan.layout()
        with target.open("wb") as file:
            for at in range(0, layout.size, _PIECE):
                file.write(layout.read(at, _PIECE))
        layout.close()
        assert target.stat().st_size == plan.size
    return directory / form


def digests(folder: Path) -> dict[str, str]:
    """sha256 of the files that the suite compares."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16]
        for name in FILES
        if (folder / name).exists()
    }


def main(arguments: list[str]) -> int:
    """Compare, and print a line for each folder; 1 if one differs."""
    subprocess.run([HERE / "environment.sh"], check=True)
    upstream = [str(ORACLE / "onnx/bin/python"), str(HERE / "upstream.py")]
    names = [name for name in arguments if not name.startswith("-")]
    told: dict[str, Any] = {}
    failures = 0
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        named = [Path(each) for each in names if "/" in each]
        places = [(path.name, path) for path in named] or list(tiny(scratch / "source", names))
        if not names:
            subprocess.run([*upstream, "make", str(scratch / "made")], check=True)
            places += [(path.name, path) for path in sorted((scratch / "made").iterdir())]
        for name, ours in places:
            is_whole = ours in named and ours.is_dir()
            theirs = ours if is_whole else written(ours, "hf-f32", scratch / "theirs" / name)
            found = folders(open_model(ours))
            forms = [form for form in FORMS if isinstance(found.get(form), Folder)]
            if not forms:
                print("refused", name, found[f"{FORMS[0]}/"], flush=True)
                continue
            made = [written(ours, form, scratch / "ours" / name) for form in forms]
            kind = "decoder" if len(forms) > 1 else "encoder"
            run = subprocess.run(
                [*upstream, kind, str(theirs), *map(str, made)], check=True, stdout=subprocess.PIPE, text=True
            )
            lines = [line for line in run.stdout.splitlines() if line.startswith("ANSWER ")]
            failures += len(made) - len(lines)
            for folder, line in zip(made, lines, strict=False):
                answer = json.loads(line.removeprefix("ANSWER "))
                answer.pop("folder")
                good = is_good(folder.name, answer)
                failures += not good
                last = answer.pop("last", None)
                print("equal  " if good else "DIFFERS", f"{name}/{folder.name}", answer, flush=True)
                if good:
                    told.setdefault(name, {})[folder.name] = {"files": digests(folder), "last": last}
    if "--regenerate" in arguments:
        before = json.loads(FOLDERS.read_text()) if FOLDERS.exists() else {}
        kept = {name: each for name, each in before.items() if name not in {name for name, _ in places}}
        FOLDERS.write_text(json.dumps({**kept, **told}, indent=1) + "\n")
        made_of = subprocess.run(
            [*upstream, "digests", cases.__file__], check=True, capture_output=True, text=True
        )
        QUANTISED.write_text(made_of.stdout)
    return 1 if failures else 0


def is_good(form: str, answer: dict[str, Any]) -> bool:
    """Whether all that was compared is as it should be."""
    if "error" in answer:
        return False
    bound = TOLERANCE[form] * max(1.0, answer["largest"])
    distances = [answer[key] for key in ("logits", "in steps", "openvino") if key in answer]
    flags = [answer[key] for key in ("frequencies", "genai") if key in answer]
    # Halves may choose otherwise where two logits are all but equal.
    if form == "onnx-fp16":
        flags = flags[:1]
    return all(flags) and max(distances) <= bound


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
