"""Adapters merged here beside PEFT's merge and upstream's conversions: `make lora-check`.

    python -m tests.oracle.lora.check [--regenerate] [NAME ...]

Of each tiny adapter: how many elements of the merged model are equal to those of PEFT's merge_and_unload;
whether the merged model's GGUF is upstream's conversion of the merged folder; which tensors of
adapter.gguf-f32 upstream's convert_lora_to_gguf makes the same; and how far the logits of llama.cpp with base
and adapter are from those of the merged model, as a share of how far the adapter moves them. `--regenerate`
writes the golden file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np

from tests.oracle.families.side_files import PRINTS
from tests.oracle.gguf_parts import Part, take_apart
from tests.oracle.lora.comparing import Nearness, golden_of, nearness
from tests.tiny_adapters import ADAPTERS, TinyAdapter, build
from tests.tiny_bases import BASES
from translators import Plan, Refusal, open_model, plans
from translators.model import Model
from translators.vocab.pretokenizers import NAMES

HERE = Path(__file__).resolve().parent
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", HERE.parents[2] / ".oracle"))
GOLDEN = HERE / "golden.json"
SHARE = 0.999
# Of the adapter's own effect on the logits: merged weights are rounded to the base's type, factors are not.
NEAR = 0.05


def written(model: Model, name: str, target: Path) -> Path:
    """A form of a model as a plain file."""
    plan = plans(model)[name]
    assert isinstance(plan, Plan), f"{model.name}: {name} is refused: {plan.reason}"
    layout = plan.layout()
    with target.open("wb") as file:
        for at in range(0, layout.size, 8 << 20):
            file.write(layout.read(at, 8 << 20))
    layout.close()
    return target


class Case:
    """One adapter, with its base beside it in a directory of its own."""

    def __init__(self, adapter: TinyAdapter, scratch: Path) -> None:
        self.adapter = adapter
        self.scratch = scratch / adapter.name
        self.folder = build(adapter, self.scratch)
        self.base = self.scratch / adapter.base
        self.merged = self.scratch / "peft.safetensors"
        self.model = open_model(self.folder)

    def conversion(self) -> str:
        """Upstream's GGUF of the merged folder beside ours."""
        work = self.scratch / "merged"
        work.mkdir()
        folder = work / self.adapter.name
        shutil.copytree(self.base, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
        written(self.model, "model.safetensors", folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(self.model.config))
        own = next((name for name, plan in plans(self.model).items() if _is_own(name, plan)), "")
        if not own:
            return "no GGUF of its base"
        target = work / "upstream.gguf"
        kind = own.removeprefix("model.gguf-")
        request = json.dumps({"convert": str(folder), "target": str(target), "type": kind})
        done = subprocess.run(
            [ORACLE / "conv/bin/python", HERE.parent / "families/upstream.py", ORACLE / "llama.cpp"],
            input=request + "\n", capture_output=True, text=True, check=False,
        )  # fmt: skip
        if "error" in json.loads(done.stdout or '{"error": ""}'):
            return f"upstream FAILS: {done.stdout[-90:]}"
        same = written(self.model, own, work / "ours.gguf").read_bytes() == target.read_bytes()
        return f"{kind} equal" if same else f"{kind} DIFFERS"

    def factors(self) -> str:
        """Our adapter.gguf-f32 beside upstream's."""
        plan = plans(self.model)["adapter.gguf-f32"]
        if not isinstance(plan, Plan):
            return "refused"
        ours = take_apart(written(self.model, plan.name, self.scratch / "adapter.gguf").read_bytes())
        target = self.scratch / "upstream-adapter.gguf"
        script = ORACLE / "llama.cpp" / "convert_lora_to_gguf.py"
        said = _run(ORACLE / "conv", script, self.folder, "--base", self._plain_base(), "--outfile", target)
        if said:
            return f"upstream fails: {said}"
        its = {part.name: part for part in take_apart(target.read_bytes()).tensors}
        if set(its) != {part.name for part in ours.tensors}:
            return "OTHER TENSORS"
        equal = sum(_content(part) == _content(its[part.name]) for part in ours.tensors)
        if (self.scratch / "adapter.gguf").read_bytes() == target.read_bytes():
            return "equal"
        keys = take_apart(target.read_bytes()).key_values == ours.key_values
        return f"{equal} of {len(its)} equal{'' if keys else ', OTHER KEYS'}"

    def _plain_base(self) -> Path:
        """The base, or in the stead of a quantised one the merged folder: upstream wants names and shapes."""
        if self.adapter.base not in BASES:
            return self.base
        folder = self.scratch / "plain" / self.base.name
        return Path(shutil.copytree(self.scratch / "merged" / self.adapter.name, folder))

    def applied(self) -> str:
        """How far base and adapter are from the merged model, as a share of the adapter's effect."""
        if not isinstance(plans(self.model)["adapter.gguf-f32"], Plan):
            return ""
        if not isinstance(plans(self.model).get("model.gguf-f32"), Plan):
            return ""
        base = written(open_model(self.base), "model.gguf-f32", self.scratch / "base.gguf")
        merged = written(self.model, "model.gguf-f32", self.scratch / "merged.gguf")
        adapter = self.scratch / "adapter.gguf"
        outs = [self.scratch / f"{number}.logits" for number in range(3)]
        said = _run(
            ORACLE / "llama",
            HERE / "apply.py",
            base,
            "-",
            outs[0],
            base,
            adapter,
            outs[1],
            merged,
            "-",
            outs[2],
        )
        if said:
            return f"FAILS: {said}"
        without, with_it, whole = (np.fromfile(out, np.float32) for out in outs)
        share = float(np.abs(with_it - whole).max() / np.abs(whole - without).max())
        return f"{share:.4f}" if share <= NEAR else f"{share:.4f} FAR"


def _is_own(name: str, plan: Plan | Refusal) -> bool:
    return name.startswith("model.gguf-") and isinstance(plan, Plan) and plan.own


def _content(part: Part) -> tuple[object, ...]:
    return part.type, part.shape, part.digest


def _run(environment: Path, script: Path, *arguments: object) -> str:
    """Run one of upstream's tools; "", or the last line that it said."""
    done = subprocess.run(
        [str(environment / "bin/python"), str(script), *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return (done.stderr.strip().splitlines() or ["?"])[-1][:90] if done.returncode else ""


def merge_all(cases: Sequence[Case]) -> None:
    """PEFT's merges, by one process for each version of transformers."""
    for newer, environment in ((False, "peft"), (True, "peft-newer")):
        some = [case for case in cases if case.adapter.newer is newer]
        if some:
            made = subprocess.run(
                [str(HERE / "environment.sh"), environment], check=True, capture_output=True, text=True
            )
            arguments = [str(path) for case in some for path in (case.folder, case.base, case.merged)]
            script = str(HERE / "peft_merge.py")
            subprocess.run([made.stdout.strip(), "-P", script, *arguments], check=True, capture_output=True)


def main(arguments: list[str]) -> int:
    """Print the table; 1 where anything is not as it should be."""
    names = [name for name in arguments if not name.startswith("--")] or list(ADAPTERS)
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    wrong = 0
    # The variants' tiny vocabulary, which no converter knows.
    with tempfile.TemporaryDirectory() as scratch, patch.dict(NAMES, PRINTS):
        cases = [Case(ADAPTERS[name], Path(scratch)) for name in names]
        merge_all(cases)
        print(f"{'adapter':20} {'elements':>10} {'equal':>10} {'units':>5}  GGUF, adapter.gguf, its logits")
        for case in cases:
            reference = open_model(case.merged)
            found: Nearness = nearness(case.model, reference)
            told = [case.conversion(), case.factors(), case.applied()]
            bad = (
                found.share < SHARE
                or found.units > 1
                or any(word in "".join(told) for word in ("DIFF", "FA", "OTHER"))
            )
            wrong += bad
            print(
                f"{case.adapter.name:20} {found.elements:10} {found.share:10.4%} {found.units:5}  "
                f"{' | '.join(told)}{'  <--' if bad else ''}", flush=True,
            )  # fmt: skip
            golden[case.adapter.name] = golden_of(case.model, reference)
    if "--regenerate" in arguments:
        GOLDEN.write_text(
            json.dumps({name: golden[name] for name in ADAPTERS if name in golden}, indent=1) + "\n"
        )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
