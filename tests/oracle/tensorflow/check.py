"""TensorFlow's files as they are read here, against TensorFlow itself: `make tensorflow-check`.

    python -m tests.oracle.tensorflow.check [--regenerate] [PATH ...]

Of every file of seeds/, of larger ones that are made anew, and of published models (or of the paths given):
model.safetensors must hold the tensors that TensorFlow's own readers give, by name, type, shape and bytes.
Then blocks that cramjam packed must be unpacked to what they were. `--regenerate` makes the seeds and
golden.json anew, which the test suite compares with. Needs what environment.sh builds, and builds it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from translators import Plan, open_model, plans
from translators.sources.flax import TYPES
from translators.sources.tensorflow.snappy import unpacked

HERE = Path(__file__).resolve().parent
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", HERE.parents[2] / ".oracle"))
SEEDS, GOLDEN = HERE / "seeds", HERE / "golden.json"

# name -> [type, shape, digest]
Told = dict[str, list[object]]


def ours(path: Path) -> Told:
    """What model.safetensors of the model at `path` holds."""
    plan = plans(open_model(path))["model.safetensors"]
    assert isinstance(plan, Plan), plan
    data = memoryview(plan.layout().read(0, plan.size))
    length = int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8 : 8 + length]))
    made: Told = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            digest = hashlib.sha256(data[8 + length + start : 8 + length + end]).hexdigest()[:32]
            made[name] = [entry["dtype"], entry["shape"], digest]
    return made


def files(root: Path) -> Iterator[Path]:
    """The files below a directory that a model is opened by."""
    for path in sorted(root.rglob("*")):
        inside = path.parent.name == "variables"
        if path.suffix in (".index", ".tflite", ".pb") and not inside:
            yield path


def upstream(script: str, *arguments: object, given: str = "") -> str:
    """The output of a script in TensorFlow's environment."""
    command = [str(ORACLE / "tensorflow/bin/python"), str(HERE / script), *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""}
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, input=given, env=environment
    ).stdout


def theirs(paths: list[Path]) -> list[Told]:
    """What TensorFlow reads of each, types by their names here."""
    lines = upstream("reading.py", *paths).splitlines()
    told = [json.loads(line.removeprefix("ANSWER ")) for line in lines if line.startswith("ANSWER ")]
    assert len(told) == len(paths)
    return [{name: [TYPES[kind], *rest] for name, (kind, *rest) in each.items()} for each in told]


def unpacks(numbers: random.Random) -> bool:
    """Whether snappy's blocks are unpacked to what they were."""
    words = [numbers.randbytes(numbers.randrange(1, 90)) for _ in range(200)]
    blocks = [bytes(size) for size in (0, 1, 59, 60, 61, 300, 70_000)]
    blocks += [numbers.randbytes(size) for size in (1, 59, 60, 61, 300, 70_000)]
    blocks += [b"".join(numbers.choices(words, k=count)) for count in (3, 30, 300, 9000)]
    made = json.loads(upstream("packing.py", given=json.dumps([block.hex() for block in blocks])))
    good = [unpacked(bytes.fromhex(each)) for each in made] == blocks
    print("equal  " if good else "DIFFERS", f"{len(blocks)} blocks that are packed by snappy")
    return good


def main(arguments: list[str]) -> int:
    """Compare, and print a line for each file; 1 if one differs."""
    subprocess.run([HERE / "environment.sh"], check=True)
    if "--regenerate" in arguments:
        subprocess.run(["rm", "-rf", SEEDS], check=True)
        upstream("made.py", SEEDS)
        told = zip(found := list(files(SEEDS)), theirs(found), strict=True)
        golden = {str(path.relative_to(SEEDS)): each for path, each in told}
        GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
    named = [Path(each) for each in arguments if not each.startswith("-")]
    failures = 0
    with tempfile.TemporaryDirectory() as directory:
        if not named:
            upstream("made.py", Path(directory) / "large", "--large")
        paths = named or [
            *files(SEEDS), *files(Path(directory)), *files(ORACLE / "tensorflow-models")
        ]  # fmt: skip
        for path, told in zip(paths, theirs(paths), strict=True):
            made = ours(path)
            wrong = [name for name in told.keys() | made.keys() if told.get(name) != made.get(name)]
            failures += bool(wrong)
            shown = f"{path.parent.name}/{path.name}"
            print("DIFFERS" if wrong else "equal  ", shown, len(told), "tensors", *sorted(wrong)[:3])
    if not named:
        failures += not unpacks(random.Random(7))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
