"""`make wheel-check`: what a release would hold, installed as a user would, makes the bytes that it should.

An sdist and a wheel of it are made by `python -m build` from a copy of the tree. Three fresh environments get
prismfs: from the sdist by plain gcc, from the sdist where the compiler does not work, and from the wheel
where it does not. All three must make the same bytes, those with kernels by their own as well as by libggml.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".*", "build", "dist", "*.egg-info", "*.so", "__pycache__", "tests", "benchmarks"
)
BUILD = "build>=1.2,<2"


def main() -> int:
    """Build, install three times, compare; a line for each. Exit code 1 if anything is not as it should."""
    with tempfile.TemporaryDirectory() as work:
        sdist, wheel = _built(Path(work))
        print(f"built {sdist.name} and {wheel.name}")
        found = {
            "sdist, gcc": _digests(Path(work) / "gcc", sdist, "gcc"),
            "sdist, no compiler": _digests(Path(work) / "none", sdist, "/bin/false"),
            "wheel, no compiler": _digests(Path(work) / "wheel", wheel, "/bin/false"),
        }
    wrong = [] if "cp311-abi3-linux" in wheel.name else ["the wheel serves one Python only"]
    for name, (ours, libggml) in found.items():
        print(f"{name}: {ours[0]}; {len(ours) - 1} digests")
        found_in_c = {"portable" in ours[0], ours[0].endswith("lists: C")}
        if found_in_c != {name != "sdist, no compiler"}:
            wrong.append(f"{name}: a library in C where there should be none, or none where there should be")
        if ours[1:] != libggml[1:]:
            wrong.append(f"{name}: other bytes than libggml's")
        if libggml[1:] != found["sdist, gcc"][1][1:]:
            wrong.append(f"{name}: another libggml")
    print("\n".join(wrong) or "all install, and make the same bytes")
    return 1 if wrong else 0


def _built(work: Path) -> tuple[Path, Path]:
    shutil.copytree(TREE, work / "tree", ignore=LEFT_OUT)
    python = _environment(work / "builder")
    _run(python, "-m", "pip", "install", "--quiet", BUILD)
    _run(python, "-m", "build", "--outdir", str(work / "dist"), str(work / "tree"))
    (sdist,) = (work / "dist").glob("*.tar.gz")
    (wheel,) = (work / "dist").glob("*.whl")
    return sdist, wheel


def _environment(place: Path) -> Path:
    _run(Path(sys.executable), "-m", "venv", str(place))
    return place / "bin" / "python"


def _digests(place: Path, package: Path, compiler: str) -> tuple[list[str], list[str]]:
    """What a new environment with `package` makes, by the kernels it has and by libggml."""
    python = _environment(place)
    _run(python, "-m", "pip", "install", "--quiet", str(package), CC=compiler)
    script = str(Path(__file__).with_name("digests.py"))
    # Isolated: no tree in the search path, whatever the current directory or the environment say.
    return tuple(  # type: ignore[return-value]
        _run(python, "-I", script, PRISMFS_KERNELS=kernels).splitlines() for kernels in ("", "ggml")
    )


def _run(program: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [str(program), *arguments],
        env=os.environ | variables, cwd="/", stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"failed: {program} {' '.join(arguments)}\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
