"""Meta's originals here against transformers' own conversion, and upstream's of that: `make meta-check`.

    python -m tests.oracle.meta.check [--regenerate] [NAME ...]

Tiny models of 1, 2 and 8 shards are converted by transformers: tensor for tensor our safetensors must hold
the same, config.json the same keys; llama.cpp's converter makes of that folder what our GGUF must equal.
Those with lists of ranks are converted twice: with a tiny list, and with Meta's own. transformers' converter
of Llama 4 has the sizes of the released models built in: there Meta's own code says which logits are right.
Models in Mistral's own form come last (`natives`). `--regenerate` writes the digests that the test suite
compares with.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests import tiny_llama4
from tests.oracle.families.regenerate import Upstream
from tests.oracle.families.side_files import BYTE_LEVEL_NAME
from tests.oracle.goldens import difference
from tests.oracle.meta import natives
from tests.oracle.regenerate import describe
from tests.tiny_models import fingerprint
from tests.tiny_originals import ORIGINALS, Original, build
from translators import Plan, open_model, plans
from translators.vocab.pretokenizers import NAMES

HERE = Path(__file__).resolve().parent
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", HERE.parents[2] / ".oracle"))
GOLDEN = HERE / "golden"
REAL = "real-"
# Names of the same thing in other versions of transformers, and what only a version says.
_SAME = {"torch_dtype": "dtype"}
_IGNORED = ("transformers_version",)
# What transformers has for a fixed number of ranks, whatever the tokenizer holds.
_FIXED = ("bos_token_id", "eos_token_id")
# What the tiny list of ranks makes of upstream's check text, and the name that both sides are told for it.
PRINTS = {"feb44709afed330e8f4bce4792ec55f86a9a0e6fca86c27d9d14e4296bbbaa4a": BYTE_LEVEL_NAME}
# Of logits in F32, which two programs sum in orders of their own.
_CLOSE = 1e-5
Digests = dict[str, list[Any]]


def golden_of(name: str) -> dict[str, Any]:
    """The golden digests of an original."""
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return found


def tensors_of(data: bytes) -> Digests:
    """Type, shape and digest of each tensor of a safetensors file."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in sorted(header.items()):
        first, end = entry["data_offsets"]
        digest = sha256(data[start + first : start + end]).hexdigest()
        found[name] = [entry["dtype"], entry["shape"], digest]
    return found


def settings_of(config: Mapping[str, Any], fixed: bool) -> dict[str, Any]:
    """The keys of a config.json that say something of the model."""
    named = {_SAME.get(key, key): value for key, value in config.items() if key not in _IGNORED}
    return {key: value for key, value in sorted(named.items()) if fixed or key not in _FIXED}


def departs(original: Original, golden: Mapping[str, Any], folder: Path) -> list[str]:
    """Where what we make of the folder differs from the golden digests."""
    with patch.dict(NAMES, PRINTS):
        model = open_model(folder)
        found = {**plans(model), **plans(model, "hf-bf16")}
    # Transformers rounds F16 to BF16, so that only the folder in that precision can be the same.
    whole = original.dtype == "BF16"
    weights = _whole(found["model.safetensors" if whole else "hf-bf16/model.safetensors"])
    told = []
    ours = tensors_of(weights)
    for name in sorted(ours.keys() | golden["tensors"].keys()):
        if ours.get(name) != golden["tensors"].get(name):
            told.append(f"tensor {name} is {ours.get(name)}, not {golden['tensors'].get(name)}")
    config = json.loads(_whole(found["config.json" if whole else "hf-bf16/config.json"]))
    own = settings_of(config, "bos_token_id" in golden["config"])
    for key in sorted(own.keys() | golden["config"].keys()):
        if own.get(key) != golden["config"].get(key):
            told.append(f"config.json: {key} is {own.get(key)!r}, not {golden['config'].get(key)!r}")
    for name, wanted in golden.get("files_made", {}).items():
        if digest_of(name, _whole(found[name])) != wanted:
            told.append(f"{name} differs")
    if whole:
        different = difference(golden["gguf"], "model.gguf-bf16", _whole(found["model.gguf-bf16"]))
        told += [f"model.gguf-bf16: {different}"] if different else []
    return told


def digest_of(name: str, data: bytes) -> str:
    """A digest of a JSON file's content, in which merges may be texts or pairs."""
    content = json.loads(data)
    if name == "tokenizer.json":
        merges = content["model"]["merges"]
        content["model"]["merges"] = [each if isinstance(each, str) else " ".join(each) for each in merges]
        # Only the pre-tokenizer's has a meaning.
        content["decoder"].pop("add_prefix_space", None)
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _whole(plan: object) -> bytes:
    assert isinstance(plan, Plan), f"refused: {plan}"
    layout = plan.layout()
    try:
        return layout.read(0, layout.size)
    finally:
        layout.close()


def golden(
    original: Original, folder: Path, converted: Path, upstream: Upstream, fixed: bool
) -> dict[str, Any]:
    """What a golden file says of transformers' folder."""
    config = json.loads((converted / "config.json").read_text())
    made: dict[str, Any] = {
        "folder": fingerprint(folder),
        "config": settings_of(config, fixed),
        "tensors": tensors_of((converted / "model.safetensors").read_bytes()),
    }
    if original.by_tokens:
        names = ("tokenizer.json", "special_tokens_map.json")
        made["files_made"] = {name: digest_of(name, (converted / name).read_bytes()) for name in names}
    if original.dtype == "BF16":
        target = converted.parent / f"{original.name}.gguf"
        upstream.ask(original.name, {"convert": str(converted), "target": str(target), "type": "bf16"})
        made["gguf"] = describe({"bf16": target}, "bf16", [])
    return made


def _cases(names: list[str]) -> list[tuple[str, Original]]:
    """The originals by the name of their golden file, those with ranks with real ones too."""
    chosen = [each for each in ORIGINALS.values() if not names or each.name in names]
    found = [(each.name, each) for each in chosen]
    packages = next((ORACLE / "meta/env/lib").glob("python*")) / "site-packages"
    real = (packages / "llama_models/llama3/tokenizer.model").read_bytes()
    for each in chosen:
        if each.by_tokens:
            params = {**each.params, "vocab_size": 128256}
            found.append((REAL + each.name, replace(each, tokenizer=real, tokens=128256, params=params)))
    return found


def main(arguments: list[str]) -> int:
    """Convert and compare, a line for each; 1 if one differs."""
    subprocess.run([HERE / "environment.sh"], check=True)
    cases = _cases([name for name in arguments if not name.startswith("-")])
    failed = 0
    with tempfile.TemporaryDirectory() as directory, Upstream() as upstream:
        work = Path(directory)
        folders = {key: build(each, work / "originals" / key) for key, each in cases}
        pairs = []
        for key, each in cases:
            if each.above:
                shutil.copy(folders[key].parent / "tokenizer.model", folders[key])
            pairs.append([str(folders[key]), str(work / key / each.name), each.version, each.shards])
        script = ORACLE / "meta/scripts/convert_llama_weights_to_hf.py"
        command = [ORACLE / "meta/env/bin/python", HERE / "upstream.py", script, json.dumps(pairs)]
        run = subprocess.run(command, check=False, capture_output=True, text=True)
        if run.returncode:
            sys.exit(run.stderr[-3000:])
        for key, each in cases:
            if each.above:
                (folders[key] / "tokenizer.model").unlink()
            real = key.startswith(REAL)
            made = golden(each, folders[key], work / key / each.name, upstream, real or not each.by_tokens)
            if "--regenerate" in arguments and not real:
                (GOLDEN / f"{key}.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
            told = departs(each, made, folders[key])
            failed += bool(told)
            print(f"{key}, {each.shards} shards: {'equal' if not told else 'DIFFERS'}", flush=True)
            print("".join(f"    {line}\n" for line in told[:8]), end="")
        failed += _llama4(work / "llama4")
    failed += natives.compared("--regenerate" in arguments)
    return 1 if failed else 0


def _llama4(work: Path) -> int:
    """How many of some tiny Llama 4 have other logits than Meta's own code gives, or other names."""
    pairs = []
    for shards, sees in ((1, False), (2, False), (4, True)):
        original = tiny_llama4.build(work / str(shards), shards, sees=sees)
        folder = work / f"of{shards}"
        for name, plan in plans(open_model(original), "hf-f32").items():
            target = folder / name.removeprefix("hf-f32/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_whole(plan))
        pairs.append([str(original), str(folder)])
    command = [ORACLE / "meta/env/bin/python", HERE / "reference.py", json.dumps(pairs)]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr[-3000:])
    answers = [line.removeprefix("ANSWER ") for line in run.stdout.splitlines() if line.startswith("ANSWER ")]
    wrong = 0
    for (original, _), told in zip(pairs, map(json.loads, answers), strict=True):
        good = told["worst"] < _CLOSE * told["largest"] and not any(
            told[key] for key in told if "keys" in key
        )
        wrong += not good
        print(
            f"Llama 4, {Path(original).parent.name} shards: {'equal' if good else 'DIFFERS'} {told}",
            flush=True,
        )
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
