"""Every variant against upstream's golden digests: what differs first, and a table by family.

    python -m tests.oracle.families.comparison [NAME ...]      # `make families`

Needs the golden files only. Leaves with 1 where anything differs.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import translators
from tests.oracle.families.side_files import PRINTS
from tests.oracle.families.variant import Variant, digests_of, load, targets, variants_by_name
from tests.oracle.gguf_parts import take_apart
from tests.oracle.goldens import difference
from translators.vocab.pretokenizers import NAMES

FAMILIES = {
    1: "Llama", 2: "Mixtral", 3: "Mistral Small, Ministral", 4: "Qwen2", 5: "Qwen3", 6: "Qwen MoE",
    7: "Qwen3-Next", 8: "Qwen3.5", 9: "Qwen2-VL", 10: "Qwen3-VL", 11: "Gemma 1, 2", 12: "Gemma 3",
    13: "Gemma 3n", 14: "Gemma 4", 15: "Phi", 16: "DeepSeek-V2, V3, Kimi-K2", 17: "DeepSeek-V3.2, GLM-5",
    18: "DeepSeek MoE", 19: "gpt-oss", 20: "GLM-4", 21: "GLM-4.5", 22: "Command-R", 23: "Granite 3",
    24: "Granite 4, hybrids, Mamba-2", 25: "Mamba, Jamba", 26: "Falcon",
    27: "GPT-2, NeoX, BLOOM, MPT, StarCoder",
    28: "OLMo", 29: "InternLM, Baichuan, StableLM", 30: "Llama 4", 31: "MiniMax, ERNIE, LFM2 and others",
    32: "BERT, T5",
}  # fmt: skip
_ULPS = 2


def plans_of(variant: Variant, golden: dict[str, Any], directory: Path) -> dict[str, Any]:
    """What the variant's folder can appear as."""
    return plans_in(variant.build(directory, golden["inventory"]))


def plans_in(folder: Path) -> dict[str, Any]:
    """What a folder with a vocabulary of the variants can appear as."""
    with patch.dict(NAMES, PRINTS):
        return translators.plans(translators.open_model(folder))


def whole(plans: dict[str, Any], target: str) -> bytes:
    """All bytes of a target. Raises AssertionError where it is refused."""
    every = "mmproj-*.gguf" if target.startswith("mmproj-") else "model.gguf-*"
    plan = plans.get(target, plans.get(every))
    assert isinstance(plan, translators.Plan), f"refused: {plan}"
    layout = plan.layout()
    try:
        return layout.read(0, layout.size)
    finally:
        layout.close()


def differs(variant: Variant, golden: dict[str, Any], target: str, data: bytes) -> str:
    """What differs first from upstream's file, or ""; values through exp only beyond their last bits."""
    golden, target = digests_of(golden, target)
    if not variant.close or "values" not in golden:
        return difference(golden, target, data)
    digests = {name: dict(kinds) for name, kinds in golden["digests"].items()}
    for part in take_apart(data).tensors:
        if part.name in golden["values"]:
            count = int(np.prod(part.shape))
            ours = np.frombuffer(data, np.float32, count, part.offset)
            theirs = np.frombuffer(base64.b64decode(golden["values"][part.name]), np.float32)
            if not np.all(np.abs(ours - theirs) <= _ULPS * np.spacing(np.abs(theirs))):
                return f"values of {part.name} differ by more than their last bits"
            digests[part.name] = {part.type: part.digest}
    # What is left to differ is a digest of the whole file, which these values are part of.
    found = difference({**golden, "digests": digests}, target, data)
    return "" if found == "key order, offsets or padding differ" else found


def compare(variant: Variant) -> tuple[int, int, str]:
    """Files that are equal, files in all, and what differs first."""
    golden = load(variant)
    equal, first = 0, ""
    with tempfile.TemporaryDirectory() as directory:
        try:
            plans = plans_of(variant, golden, Path(directory))
            for target in targets(golden):
                found = differs(variant, golden, target, whole(plans, target))
                equal += not found
                first = first or (found and f"{target}: {found}")
        except Exception as error:  # a table is of no use if one variant stops it
            first = first or f"{type(error).__name__}: {error}"
    return equal, len(targets(golden)), first


def main(names: list[str]) -> int:
    """Compare the variants whose names begin with one of `names`, or all, and print the table."""
    rows: dict[int, list[tuple[str, int, int, str]]] = {}
    for variant in variants_by_name().values():
        if names and not variant.name.startswith(tuple(names)):
            continue
        if not variant.golden.is_file():
            rows.setdefault(variant.family, []).append((variant.name, 0, 1, "no golden digests yet"))
            continue
        rows.setdefault(variant.family, []).append((variant.name, *compare(variant)))
    failed = 0
    for family, results in sorted(rows.items()):
        equal, files = sum(row[1] for row in results), sum(row[2] for row in results)
        good = sum(not row[3] for row in results)
        print(f"{family:2} {FAMILIES[family]:36} {good} of {len(results)} variants, {equal} of {files} files")
        for name, _, _, first in results:
            if first:
                failed += 1
                print(f"     {name}: {first}")
    count = sum(map(len, rows.values()))
    print(f"{len(rows)} families, {count} variants, {count - failed} equal to upstream's in every byte")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
