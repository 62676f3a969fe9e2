"""Golden digests of the variants, from upstream's own tools.

    python -m tests.oracle.families.regenerate [NAME ...]      # all, or those whose names begin so

For each: transformers tells which tensors there are, the folder is built, upstream's converter makes the
GGUF of its own precision, and llama-quantize's library a few types of that. What upstream refuses is told.
Needs what environment.sh builds; PRISMFS_ORACLE says where.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.oracle.families.variant import Inventory, Variant, variants_by_name
from tests.oracle.gguf_parts import take_apart
from tests.oracle.regenerate import ORACLE, described, quantise
from tests.tiny_models import fingerprint

_HERE = Path(__file__).resolve().parent


class Failed(Exception):
    """A tool of upstream's failed; the message has its last lines."""


def golden(variant: Variant, work: Path) -> dict[str, Any]:
    """What golden/<name>.json holds."""
    inventory = inventory_of(variant, work)
    folder = variant.build(work / "built", inventory)
    own = variant.own(inventory)
    target = work / f"{own}.gguf"
    convert(folder, own, target)
    others = [kind for kind in variant.types if kind != own]
    quantise(target, work, others)
    made = {"folder": fingerprint(folder), "inventory": inventory, **described(work, own, others)}
    if variant.close:
        made["values"] = _values(target, variant.close)
    return made


def convert(folder: Path, own: str, target: Path) -> None:
    """Upstream's converter: `folder` in its own precision."""
    command = [
        str(ORACLE / "conv" / "bin" / "python"), str(_HERE / "convert.py"), str(ORACLE / "llama.cpp"),
        str(folder), "--outfile", str(target), "--outtype", own,
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise Failed(f"{folder.name}: upstream's converter failed:\n{done.stderr[-1500:]}")


def inventory_of(variant: Variant, work: Path) -> Inventory:
    """The tensors of a variant: its own list, or what transformers writes."""
    if variant.inventory is not None:
        return variant.inventory
    folder = work / "configured"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(variant.config))
    command = [str(ORACLE / "conv" / "bin" / "python"), str(_HERE / "inventory.py"), str(folder)]
    command += [variant.made_as] * bool(variant.made_as)
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise Failed(f"{variant.name}: transformers failed:\n{done.stderr[-1500:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    made = {name: tuple(shape) for name, shape in found.items()}
    return made if variant.changed is None else variant.changed(made)


def _values(path: Path, ends: tuple[str, ...]) -> dict[str, str]:
    """The bytes of tensors that are compared as numbers, in base64."""
    data = path.read_bytes()
    kept = {}
    for part in take_apart(data).tensors:
        if part.name.endswith(ends):
            assert part.type == "F32", part
            count = 1
            for dimension in part.shape:
                count *= dimension
            kept[part.name] = base64.b64encode(data[part.offset : part.offset + 4 * count]).decode()
    return kept


def save(variant: Variant, made: dict[str, Any]) -> None:
    """Write the golden file, one part a line so that a change can be reviewed."""
    shapes = made.pop("inventory")
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(shape)}" for name, shape in shapes.items())
    text = json.dumps(made, indent=1, ensure_ascii=False)
    variant.golden.write_text(f'{text[:-2]},\n "inventory": {{\n{lines}\n }}\n}}\n')


def main(names: list[str]) -> int:
    """Regenerate the goldens of the variants whose names begin with one of `names`, or of all."""
    failed = 0
    for variant in variants_by_name().values():
        if names and not variant.name.startswith(tuple(names)):
            continue
        try:
            with tempfile.TemporaryDirectory() as directory:
                save(variant, golden(variant, Path(directory)))
            print(variant.name, flush=True)
        except Failed as failure:
            failed += 1
            print(failure, file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
