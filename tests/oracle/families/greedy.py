"""What llama.cpp (through the package xllamacpp) says next, greedily, to a fixed prompt of token ids.

    python -m tests.oracle.families.greedy FILE ...       # [[id, ...], ...]
    python -m tests.oracle.families.greedy --regenerate   # greedy.json, from upstream's files

A few tiny models of kinds that differ: shared keys and values behind windows, a state space, experts. At each
token of greedy.json the best is ahead of the second by MARGIN, so that no machine's rounding decides it.
Regenerating needs what environment.sh builds; PRISMFS_ORACLE says where.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import xllamacpp

from tests.oracle.families.regenerate import Upstream
from tests.oracle.families.variant import load, variants_by_name

EXPECTED = Path(__file__).with_name("greedy.json")
NAMES = (
    "gemma-4-E2B-it", "Jamba-v0.1", "ERNIE-4.5-21B-A3B-PT", "deepseek-moe-grouped-f16",
)  # fmt: skip
MARGIN = 0.02
_PROMPT = [(7 + 37 * at) % 400 for at in range(24)]
_TOKENS = 6


def said(path: Path) -> tuple[list[int], float]:
    """The ids that follow the prompt, and the least margin of the logarithms of the probabilities."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = 256
    parameters.warmup = False
    parameters.verbosity = -1
    parameters.cpuparams.n_threads = 1
    request: dict[str, Any] = {
        "prompt": _PROMPT, "max_tokens": _TOKENS, "temperature": 0.0, "top_k": 1, "ignore_eos": True,
        "logprobs": 2,
    }  # fmt: skip
    choice = xllamacpp.Server(parameters).handle_completions(request)["choices"][0]
    steps = choice["logprobs"]["content"]
    pairs = [[each["logprob"] for each in step["top_logprobs"]] for step in steps]
    return [step["id"] for step in steps], min(first - second for first, second in pairs)


def regenerate() -> int:
    """Ask upstream's files. Ends with 1 where two tokens are too near each other."""
    found, good = {}, True
    with Upstream() as upstream, tempfile.TemporaryDirectory() as directory:
        for name in NAMES:
            variant = variants_by_name()[name]
            golden = load(variant)
            folder = variant.build(Path(directory), golden["inventory"])
            target = Path(directory) / f"{name}.gguf"
            request = {
                "convert": str(folder), "target": str(target), "type": golden["own"],
                "options": list(variant.options),
            }  # fmt: skip
            upstream.ask(name, request)
            found[name], margin = said(target)
            good = good and margin >= MARGIN
            print(f"{name}: {found[name]}, by {margin:.3f}")
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(ids)}" for name, ids in found.items())
    EXPECTED.write_text(f"{{\n{lines}\n}}\n")
    return not good


if __name__ == "__main__":
    if sys.argv[1:] == ["--regenerate"]:
        sys.exit(regenerate())
    print(json.dumps([said(Path(file))[0] for file in sys.argv[1:]]))
