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


class Upstream:
    """upstream.py at work in its environment; a context that ends it."""

    def __enter__(self) -> Upstream:
        command = [ORACLE / "conv" / "bin" / "python", _HERE / "upstream.py", ORACLE / "llama.cpp"]
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._log.close()

    def ask(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request for the variant `name`. Raises Failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise Failed(f"{name}: upstream's environment failed:\n{self._log.read()[-1500:]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(f"{name}: {answer['error']}")
        return answer


def golden(variant: Variant, work: Path, upstream: Upstream) -> dict[str, Any]:
    """What golden/<name>.json holds."""
    inventory = inventory_of(variant, work, upstream)
    folder = variant.build(work / "built", inventory)
    own = variant.own(inventory)
    target = work / f"{own}.gguf"
    request = {"convert": str(folder), "target": str(target), "type": own, "options": list(variant.options)}
    upstream.ask(variant.name, request)
    others = [kind for kind in variant.types if kind != own]
    quantise(target, work, others)
    made = {"folder": fingerprint(folder), "inventory": inventory, **described(work, own, others)}
    if variant.mmproj:
        made["mmproj"] = side_files(variant, folder, work / "mmproj", upstream)
    if variant.close:
        made["values"] = _values(target, variant.close)
    return made


def side_files(variant: Variant, folder: Path, work: Path, upstream: Upstream) -> dict[str, Any]:
    """What a golden file says of the side files of what sees or hears, as of the model's."""
    work.mkdir()
    for kind in variant.mmproj:
        target = work / f"{kind}.gguf"
        request = {"convert": str(folder), "target": str(target), "type": kind, "options": ["--mmproj"]}
        upstream.ask(variant.name, request)
    return described(work, variant.mmproj[0], variant.mmproj[1:])


def inventory_of(variant: Variant, work: Path, upstream: Upstream) -> Inventory:
    """The tensors of a variant: its own list, or what transformers writes."""
    if variant.inventory is not None:
        return variant.inventory
    folder = work / "configured"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(variant.config))
    answer = upstream.ask(variant.name, {"inventory": str(folder), "class": variant.made_as})
    made = {name: tuple(shape) for name, shape in answer["shapes"].items()}
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
    chosen = [each for each in variants_by_name().values() if each.name.startswith(tuple(names or [""]))]
    with Upstream() as upstream:
        for variant in chosen:
            try:
                with tempfile.TemporaryDirectory() as directory:
                    save(variant, golden(variant, Path(directory), upstream))
                print(variant.name, flush=True)
            except Failed as failure:
                failed += 1
                print(failure, file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
