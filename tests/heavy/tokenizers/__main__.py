"""Print a table: each real vocabulary against upstream's converter, llama.cpp against the tokenizer's ids.

    python -m tests.heavy.tokenizers [--regenerate] [--texts N] [--show N] [NAME ...]

Of the texts that llama.cpp splits otherwise than the Hugging Face tokenizer it says which of llama.cpp's own
ways that comes from (`deviations`), and whether upstream's own file gives the very same ids for all texts.
--regenerate asks upstream itself (environment.sh builds what that needs; PRISMFS_ORACLE says where) and
writes golden.json; else golden.json is what is compared with. Ends with 1 if anything differs otherwise.
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

from tests.heavy.tokenizers.deviations import explained
from tests.heavy.tokenizers.folders import REALS
from tests.heavy.tokenizers.measured import digest, digests, ids_of, key_values, reference, write_vocabulary
from tests.heavy.tokenizers.strings import COUNT, strings

HERE = Path(__file__).parent
GOLDEN = HERE / "golden.json"
_LINE = "{:32}{:40}{:>8}  {:20}{:>5}  {:11}{:>12}{:>13}{:>11}"
_COLUMNS = (
    "vocabulary", "package", "tokens", "model/pre", "keys", "upstream",
    "equal to HF", "as upstream", "otherwise",
)  # fmt: skip
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
    print(_LINE.format(*_COLUMNS))
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
    ids = ids_of(root / "vocabulary.gguf", texts)
    if chosen.regenerate and (root / "upstream.gguf").exists():
        golden[name]["ids"] = digest(ids_of(root / "upstream.gguf", strings()))
    known = golden.get(name, {})
    # Of fewer texts, too, the same key-values have the same ids.
    alike = digest(ids) == known["ids"] if "ids" in known and len(texts) == COUNT else same or not known
    tokenizer = reference(root, kv)
    different = {text: given for text, given in ids.items() if given != tokenizer.encode(text).ids}
    reasons = explained(tokenizer, different)
    otherwise = reasons.pop("", 0) if alike else reasons.total()
    count = len(kv["tokenizer.ggml.tokens"].strings)
    kind = f"{kv.get('tokenizer.ggml.model')}/{kv.get('tokenizer.ggml.pre')}"
    stated = "equal" if same else "DIFFERS" if known else "not asked"
    numbers = len(texts) - len(different), len(different) - otherwise, otherwise
    print(_LINE.format(name, real.package, count, kind, len(found), stated, *numbers), flush=True)
    for reason, number in reasons.most_common():
        print(f"    {number} of {len(texts)}: {reason}")
    for text in list(different)[: chosen.show]:
        print(f"    {text!r}")
    return (bool(known) and not same) + (otherwise > 0)


if __name__ == "__main__":
    sys.exit(main())
