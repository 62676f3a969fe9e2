"""Our reading of HDF5 files against h5py's, and h5py's reading of ours against NumPy's: `make hdf5-check`.

    python -m tests.oracle.hdf5.check [--regenerate] [FILE ...]

Without names: files that h5py and Keras make of every layout, type and version, and real models. Of each file
every array must be equal, exactly, in the tensors and in `weights-only/model.h5`. `--regenerate` writes the
files and digests that the test suite compares with.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

from translators import open_model, plans
from translators.model import Model
from translators.plan import Plan
from translators.reading import SourceFiles
from translators.recipes import nbytes, read_bytes, stored
from translators.sources import hdf5
from translators.sources.hdf5.keras import is_of_an_optimiser

HERE = Path(__file__).resolve().parent
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", HERE.parents[2] / ".oracle"))
GOLDEN = HERE.parents[1] / "translators" / "golden_hdf5"
UPSTREAM = [ORACLE / "hdf5/bin/python", HERE / "upstream.py"]
_NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1", "C64": "<c8", "BF16": "|V2",
}  # fmt: skip


def digests(model: Model) -> dict[str, list[Any]]:
    """What `upstream.py read` tells of a file, as it is read here."""
    found: dict[str, list[Any]] = {}
    with closing(SourceFiles(model.files)) as files:
        for name, tensor in model.tensors.items():
            recipe = stored(tensor)
            data = bytes(read_bytes(recipe, 0, nbytes(recipe), files))
            kind = _NUMPY[recipe.dtype.name]
            found[name] = [hashlib.sha256(data).hexdigest()[:24], kind, list(recipe.shape)]
    return found


def expected(read: dict[str, list[Any]], name: str) -> dict[str, list[Any]]:
    """Of what h5py reads, what are weights of Keras' where it is its file."""
    if any(each.startswith("model_weights/") for each in read):
        return {each: its for each, its in read.items() if each.startswith("model_weights/")}
    if name.endswith((".keras", ".weights.h5")):
        return {each: its for each, its in read.items() if not is_of_an_optimiser(each)}
    return read


def upstream(*arguments: str | Path) -> str:
    """What upstream.py prints."""
    return subprocess.run([*UPSTREAM, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def written(path: Path, name: str, directory: Path) -> Path:
    """One of a model's weights-only files, as a plain file."""
    plan = plans(open_model(path), "weights-only")[f"weights-only/{name}"]
    assert isinstance(plan, Plan), plan
    target = directory / f"{path.name}-{name}"
    with closing(plan.layout()) as layout:
        target.write_bytes(layout.read(0, layout.size))
    return target


def checked(path: Path, read: dict[str, list[Any]]) -> bool:
    """Compare one file as it is read, and print a line."""
    begun = time.monotonic()
    model = hdf5.read(path.parent, [path.name], path.name)
    planned = time.monotonic() - begun
    ours, theirs = digests(model), expected(read, path.name)
    wrong = sorted(each for each in {*ours, *theirs} if ours.get(each) != theirs.get(each))
    told = f"{len(ours)} tensors of {len(theirs)}, planned in {planned:.2f} s {wrong[:3] or ''}"
    print("DIFFERS" if wrong else "equal  ", path.name, told, flush=True)
    return not wrong


def main(arguments: list[str]) -> int:
    """Compare, and print a line for each file; 1 if one differs."""
    subprocess.run([HERE / "environment.sh"], check=True)
    if "--regenerate" in arguments:
        regenerate()
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / "made"
        named = [Path(each) for each in arguments if not each.startswith("-")]
        if not named:
            upstream("make", made)
            real = (ORACLE / "hdf5-models").rglob("*.h5")
            named = [*sorted(made.glob("*.h5")), *sorted(made.glob("*.keras")), *sorted(real)]
        answers = map(json.loads, upstream("read", *named).splitlines())
        good = [checked(path, read) for path, read in zip(named, answers, strict=True)]
        good += [_shards(made / "shards")] if made.exists() else []
        forms = [written(path, form, Path(directory)) for path in named for form in ("model.h5", "model.npz")]
        for path, line in zip(named, upstream("same", *forms).splitlines(), strict=True):
            told = json.loads(line)
            good.append(not told)
            print("DIFFERS" if told else "equal  ", f"{path.name}, as weights-only/model.h5", told)
    return 0 if all(good) else 1


def _shards(directory: Path) -> bool:
    """What Keras saved in several files, as one model."""
    ours = digests(open_model(directory))
    good: bool = ours == json.loads((directory / "expected.json").read_text())
    print("equal  " if good else "DIFFERS", f"Keras' shards: {len(ours)} tensors")
    return good


def regenerate() -> None:
    """The golden files, in an archive, and their digests anew."""
    with tempfile.TemporaryDirectory() as directory:
        upstream("make", directory, "--small")
        files = sorted(each for each in Path(directory).iterdir() if each.is_file())
        with zipfile.ZipFile(GOLDEN / "files.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
        answers = upstream("read", *files).splitlines()
    told = {path.name: json.loads(line) for path, line in zip(files, answers, strict=True)}
    lines = ",\n".join(
        f" {json.dumps(name)}: {json.dumps(its, sort_keys=True)}" for name, its in told.items()
    )
    (GOLDEN / "digests.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
