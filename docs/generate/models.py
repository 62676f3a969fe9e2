"""docs/MODELS.md: the families of the tables, and what was compared with upstream for each."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from docs.generate import markdown
from tests.oracle.families.comparison import FAMILIES as NAMES
from tests.oracle.families.variant import load, variants_by_name
from tests.tiny_variants import MODELS
from translators.families import FAMILIES, family_of
from translators.families.table import Family

_UPSTREAM = "llama.cpp b11434, transformers 4.57.6, torch 2.13"
# Families that were compared before there were variants: their digests lie in tests/oracle/golden.
_FIRST = {"llama": 1, "qwen2": 4, "qwen3": 5}
_FIRST_GOLDENS = Path(__file__).resolve().parents[2] / "tests" / "oracle" / "golden"
_ABOUT = f"""
What is merged into `model.safetensors` may be of any architecture. GGUF files are made for the architectures
below; for any other they are absent and `prismfs ls` says why.

Compared with {_UPSTREAM}. Each variant is a tiny checkpoint (tied or
untied, with biases or without, other numbers of heads, experts, layers, precisions) whose GGUF files equal
those of upstream's converter and llama-quantize in every byte: tensors and key-values, names, order, types
and values. `make test` compares them all, `make families` prints the table, `make oracle` makes the digests
anew. "Way back" is a GGUF shown as a Hugging Face folder. "mmproj" is how many files of what a model sees or
hears by were compared, `mmproj-<type>.gguf`; a model of another architecture that sees or hears has none, and
`prismfs ls` says so.

"llama.cpp" is how many were evaluated by llama.cpp itself from a mount, in their own precision, Q8_0 and
Q4_K_M (`make families-run`): "equal" to what upstream's files give in every bit of the logits, or of the
embeddings of a model that embeds; "close" where weights go through an exponential, so that their last bits
may differ; "refused" is a checkpoint that llama.cpp loads from neither, for the same reason, told below.
"""
# No variant of these could be made by upstream; they are compared with NumPy, or only declared.
_UNCOMPARED = {"baichuan": 29, "t5encoder": 32}
_COLUMNS = ("", "Family", "Architectures", "GGUF", "Variants", "Files", "mmproj", "llama.cpp", "Way back")
_EVALUATED = Path(__file__).resolve().parents[2] / "tests" / "heavy" / "llama" / "results.json"


@dataclass
class Compared:
    """What was compared of a family under one number: classes, variants, files, and what llama.cpp made."""

    architectures: set[str] = field(default_factory=set)
    variants: int = 0
    files: int = 0
    mmproj: int = 0
    evaluated: Counter[str] = field(default_factory=Counter)

    def ran(self) -> str:
        """How many llama.cpp evaluated with which result."""
        return ", ".join(f"{count} {kind}" for kind, count in sorted(self.evaluated.items())) or "-"


def text() -> str:
    """The page."""
    compared = _compared()
    rows = []
    for family in FAMILIES:
        numbers = {number: each for (of, number), each in compared.items() if of == _name(family)}
        numbers = numbers or {_UNCOMPARED[family.arch]: Compared()}
        unseen = {*family.architectures}.difference(*(each.architectures for each in numbers.values()))
        # What no variant is of stands in the family's first row.
        numbers[min(numbers)].architectures |= unseen
        back = "no" if family.described is None else "yes"
        for number, each in numbers.items():
            shown = ", ".join(markdown.code(name) for name in sorted(each.architectures))
            counts = (str(each.variants), str(each.files), str(each.mmproj or "-"), each.ran())
            rows.append((number, (NAMES[number], shown, family.arch, *counts, back)))
    table = markdown.table(_COLUMNS, [(str(number), *row) for number, row in sorted(rows)])
    return markdown.page("Models", _ABOUT, table, _refusals(), _notes())


def _name(family: Family) -> str:
    return " ".join((family.arch, *family.architectures))


def _compared() -> dict[tuple[str, int], Compared]:
    """By a family and a number: what was compared."""
    found: dict[tuple[str, int], Compared] = defaultdict(Compared)
    results: dict[str, str] = json.loads(_EVALUATED.read_text())
    goldens = [(each.name, each.family, each.config, load(each)) for each in variants_by_name().values()]
    for name, model in MODELS.items():
        golden = json.loads((_FIRST_GOLDENS / f"{name}.json").read_text())
        goldens.append((name, _FIRST[family_of(model.config).arch], dict(model.config), golden))
    for name, number, config, golden in goldens:
        each = found[_name(family_of(config)), number]
        each.architectures.add(config["architectures"][0])
        each.variants += 1
        each.files += len(golden["files"])
        each.mmproj += len(golden["mmproj"]["files"]) if "mmproj" in golden else 0
        if name in results:
            each.evaluated[results[name].split(":")[0]] += 1
    return found


def _refusals() -> str:
    """What llama.cpp says to upstream's file as to that of a mount."""
    refused = {
        name: result.removeprefix("refused: ")
        for name, result in json.loads(_EVALUATED.read_text()).items()
        if result.startswith("refused: ")
    }
    lines = [f"- `{name}`: {markdown.code(reason)}" for name, reason in refused.items()]
    return "\n".join(("## What llama.cpp refuses, from upstream's file as from a mount", "", *lines))


def _notes() -> str:
    notes = [f"- `{each.name}`: {each.note}" for each in variants_by_name().values() if each.note]
    return "\n".join(("## Where more is to be said", "", *notes)) if notes else ""
