"""docs/MODELS.md: the families of the tables, and what was compared with upstream for each."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from docs.generate import markdown
from tests.oracle.families.comparison import FAMILIES as NAMES
from tests.oracle.families.variant import load, variants_by_name
from translators.families import FAMILIES
from translators.families.to_huggingface import has_way_back

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
anew. "Way back" is a GGUF shown as a Hugging Face folder.
"""
_COLUMNS = ("", "Family", "Architectures", "GGUF", "Variants", "Files", "Way back")


def text() -> str:
    """The page."""
    compared = _compared()
    rows = []
    for family in FAMILIES:
        for number in sorted({number for arch, number in compared if arch == family.arch}) or [0]:
            variants, files = compared[family.arch, number]
            shown = ", ".join(map(markdown.code, family.architectures))
            back = "yes" if has_way_back(family.arch) else "no"
            name = NAMES.get(number, "")
            rows.append((number, (name, shown, family.arch, str(variants), str(files), back)))
    table = markdown.table(_COLUMNS, [(str(number or ""), *row) for number, row in sorted(rows)])
    return markdown.page("Models", _ABOUT, table, _notes())


def _compared() -> dict[tuple[str, int], tuple[int, int]]:
    """By arch and number of the family: how many variants and files were compared."""
    counts: dict[tuple[str, int], tuple[int, int]] = defaultdict(lambda: (0, 0))
    goldens = [(each.family, load(each)) for each in variants_by_name().values() if each.golden.is_file()]
    for path in sorted(_FIRST_GOLDENS.glob("*.json")):
        golden = json.loads(path.read_text())
        if "own" in golden.get("headers", {}):
            goldens.append((_FIRST[_arch(golden)], golden))
    for number, golden in goldens:
        variants, files = counts[_arch(golden), number]
        counts[_arch(golden), number] = variants + 1, files + len(golden["files"])
    return counts


def _arch(golden: dict[str, Any]) -> str:
    shown: str = golden["headers"]["own"]["key_values"]["general.architecture"]
    return shown.split("'")[1]


def _notes() -> str:
    notes = [f"- `{each.name}`: {each.note}" for each in variants_by_name().values() if each.note]
    return "\n".join(("## Where more is to be said", "", *notes)) if notes else ""
