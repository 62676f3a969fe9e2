"""Models in Mistral's own form against what llama.cpp's converter makes of them with `--mistral-format`.

Where params.json tells no length of texts, upstream's file has none either and llama.cpp refuses it: there
upstream is given the params.json that says what we take. Part of `make meta-check`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.oracle.families.regenerate import Upstream
from tests.oracle.goldens import difference
from tests.oracle.regenerate import describe
from tests.tiny_models import fingerprint
from tests.tiny_natives import NATIVES, Native, build
from translators import Plan, open_model, plans

GOLDEN = Path(__file__).resolve().parent / "golden"
CONTEXT = {"max_position_embeddings": 32768}
SIDE = ("f16", "bf16")


class _Upstream(Upstream):
    environment = "meta/env"


def golden_of(name: str) -> dict[str, Any]:
    """The golden digests of a model."""
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return found


def departs(golden: dict[str, Any], folder: Path) -> list[str]:
    """Where what we make of the folder differs from the golden digests."""
    found, told = plans(open_model(folder)), []
    for kind, digests in (("model.gguf-", golden["gguf"]), ("mmproj-", golden.get("mmproj"))):
        for target in digests["files"] if digests else ():
            type_ = target.removeprefix("model.gguf-")
            name = target if kind == "model.gguf-" else f"{kind}{type_}.gguf"
            plan = found.get(name)
            if not isinstance(plan, Plan):
                told.append(f"{name} is not there: {plan}")
                continue
            layout = plan.layout()
            different = difference(digests, target, layout.read(0, layout.size))
            layout.close()
            told += [f"{name}: {different}"] if different else []
    return told


def golden(native: Native, folder: Path, work: Path, upstream: Upstream) -> dict[str, Any]:
    """What a golden file says of a model."""
    given = work / "given" / native.name
    shutil.copytree(folder, given)
    if "max_position_embeddings" not in native.params:
        (given / "params.json").write_text(json.dumps({**native.params, **CONTEXT}))
    request: dict[str, Any] = {"convert": str(given), "type": "bf16", "options": ["--mistral-format"]}
    target = work / f"{native.name}.gguf"
    upstream.ask(native.name, {**request, "target": str(target)})
    made = {"folder": fingerprint(folder), "gguf": describe({"bf16": target}, "bf16", [])}
    if native.eyes:
        files = {}
        for kind in SIDE:
            files[kind] = work / f"{native.name}-{kind}.gguf"
            options = {"type": kind, "options": [*request["options"], "--mmproj"]}
            upstream.ask(native.name, {**request, **options, "target": str(files[kind])})
        made["mmproj"] = describe(files, SIDE[0], [])
    return made


def compared(regenerate: bool) -> int:
    """How many models differ from upstream's; a line for each."""
    failed = 0
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with tempfile.TemporaryDirectory() as directory, _Upstream() as upstream:
        work = Path(directory)
        for native in NATIVES.values():
            folder = build(native, work / "native")
            made = golden(native, folder, work, upstream)
            if regenerate:
                text = json.dumps(made, indent=1, ensure_ascii=False)
                (GOLDEN / f"{native.name}.json").write_text(text + "\n")
            told = departs(made, folder)
            failed += bool(told)
            print(f"{native.name}: {'equal' if not told else 'DIFFERS'}", flush=True)
            print("".join(f"    {line}\n" for line in told[:8]), end="")
    return failed
