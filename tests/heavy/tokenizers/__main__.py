"""Print a table: each real vocabulary against upstream's converter, llama.cpp against the tokenizer's ids.

    python -m tests.heavy.tokenizers [--regenerate] [--texts N] [--show N] [NAME ...]

--regenerate asks upstream itself (environment.sh builds what that needs; PRISMFS_ORACLE says where) and
writes golden.json; else golden.json is what is compared with. Ends with 1 if more differs than is known to.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.heavy.tokenizers.folders import REALS
from tests.heavy.tokenizers.measured import differing, digests, key_values, llama, reference, write_vocabulary
from tests.heavy.tokenizers.strings import COUNT, strings

HERE = Path(__file__).parent
GOLDEN = HERE / "golden.json"
_LINE = "{:32}{:40}{:>8}  {:20}{:>5} {:9}{:>10}"
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", HERE.parents[2] / ".oracle"))


def upstreams(folders: dict[str, Path], golden: dict[str, Any]) -> None:
    """Ask upstream's converter for all `folders` by name, and keep what it says."""
    asked = [part for name, root in folders.items() for part in (root, REALS[name].style, REALS[name].arch)]
    command = [ORACLE / "vocab" / "bin" / "python", HERE / "upstream.py", ORACLE / "llama.cpp", *asked]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for name, line in zip(folders, process.stdout, strict=True):
            golden.setdefault(name, {})["key_values"] = json.loads(line)
            save(golden)


def save(golden: dict[str, Any]) -> None:
    """Write golden.json, one vocabulary a line."""
    lines = (f"{json.dumps(name)}: {json.dumps(golden[name])}" for name in REALS if name in golden)
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=list(REALS))
    parser.add_argument("--regenerate", action="store_true")
    parser.add_argument("--texts", type=int, default=COUNT)
    parser.add_argument("--show", type=int, default=0, help="how many differing texts to print of each")
    chosen = parser.parse_args()
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    texts = strings(chosen.texts)
    print(_LINE.format("vocabulary", "package", "tokens", "model/pre", "keys", "upstream", "ids equal"))
    wrong = 0
    with tempfile.TemporaryDirectory() as work:
        folders = {name: REALS[name].write(Path(work) / name.replace(" ", "-")) for name in chosen.names}
        if chosen.regenerate:
            upstreams(folders, golden)
        for name, root in folders.items():
            wrong += _row(name, root, texts, golden, chosen)
            if chosen.regenerate:
                save(golden)
    return wrong > 0


def _row(name: str, root: Path, texts: list[str], golden: dict[str, Any], chosen: argparse.Namespace) -> int:
    real = REALS[name]
    kv = key_values(root, real.style, real.arch)
    found = digests(kv)
    same = found == golden.get(name, {}).get("key_values")
    write_vocabulary(kv, real.arch, root / "vocabulary.gguf")
    with llama(root / "vocabulary.gguf") as model:
        different = differing(reference(root, kv), model, texts)
    if chosen.regenerate:
        golden[name]["differing"] = len(different)
    known = (
        golden.get(name, {}).get("differing", 0) if chosen.texts == len(texts) == COUNT else len(different)
    )
    count = len(kv["tokenizer.ggml.tokens"].strings)
    kind = f"{kv.get('tokenizer.ggml.model')}/{kv.get('tokenizer.ggml.pre')}"
    equal = f"{len(texts) - len(different)}/{len(texts)}"
    known_at_all = "key_values" in golden.get(name, {})
    stated = "equal" if same else "DIFFERS" if known_at_all else "not asked"
    print(_LINE.format(name, real.package, count, kind, len(found), stated, equal), flush=True)
    for text in different[: chosen.show]:
        print(f"    {text!r}")
    return (known_at_all and not same) + (known_at_all and len(different) > known)


if __name__ == "__main__":
    sys.exit(main())
