"""The committed golden digests, and where a file departs from them.

golden = load("Qwen3-0.6B")
difference(golden, "model.gguf-q4_k_m", data)      # "" where the file is upstream's, else what differs first
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.oracle.gguf_parts import Part, take_apart

REAL = "SmolLM2-135M-Instruct"

GOLDEN = Path(__file__).resolve().parent / "golden"

# GGUF sources that are quantised again: model -> type of the source -> types asked for.
REQUANTISED: dict[str, dict[str, tuple[str, ...]]] = {
    "llama-mha": {"q8_0": ("f32", "f16", "q4_0", "q5_1", "q4_k_m", "q6_k", "iq4_xs")},
    "Qwen3-0.6B": {"q4_k_m": ("f32", "bf16", "q8_0", "q4_0", "q2_k", "q3_k_l", "q5_k_s", "iq4_nl")},
    REAL: {"q4_1": ("f16", "q8_0", "q4_0", "q4_k_m", "q5_k_s", "q6_k")},
    "fallback-288": {"q5_1": ("f16", "q8_0", "q4_1", "q4_k_s")},
}


def load(name: str) -> dict[str, Any]:
    """The golden digests of a model, as regenerate.py wrote them."""
    golden: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return golden


def shown_tensor(part: Part) -> str:
    """A tensor's name and dimensions (ggml's order) in one word each."""
    return f"{part.name} {'x'.join(map(str, part.shape))}"


def difference(golden: dict[str, Any], target: str, data: bytes) -> str:
    """What differs first between `data` and upstream's file: key, tensor info, or a tensor's bytes."""
    expected = golden["files"][target]
    if sha256(data).hexdigest() == expected["sha256"]:
        return ""
    size = "" if len(data) == expected["size"] else f"size {len(data)}, upstream {expected['size']}; "
    if not target.startswith("model.gguf-"):
        return f"{size}bytes differ"
    parts = take_apart(data)
    own = target == f"model.gguf-{golden['own']}"
    header = golden["headers"]["own" if own else "quantised"]
    # A few of upstream's converters leave the file's type out.
    told = {} if expected["file_type"] is None else {"general.file_type": expected["file_type"]}
    wanted = {**header["key_values"], **told}
    return size + (
        _first(
            "key", [f"{k} {v}" for k, v in parts.key_values.items()], [f"{k} {v}" for k, v in wanted.items()]
        )
        or _first("tensor", [shown_tensor(part) for part in parts.tensors], header["tensors"])
        or _types(parts.tensors, expected["types"].split())
        or _data(parts.tensors, golden["digests"])
        or "key order, offsets or padding differ"
    )


def _first(what: str, ours: list[str], upstream: list[str]) -> str:
    for number, (mine, theirs) in enumerate(zip(ours, upstream, strict=False)):
        if mine != theirs:
            return f"{what} {number} is {mine!r}, upstream {theirs!r}"
    if len(ours) != len(upstream):
        longer = max(ours, upstream, key=len)
        whose = "only ours" if longer is ours else "only upstream's"
        return f"{what} {longer[min(len(ours), len(upstream))]!r} is {whose}"
    return ""


def _types(parts: tuple[Part, ...], types: list[str]) -> str:
    wrong = [
        f"{part.name} is {part.type}, upstream {kind}"
        for part, kind in zip(parts, types, strict=True)
        if part.type != kind
    ]
    return f"{len(wrong)} types differ: {', '.join(wrong[:8])}" if wrong else ""


def _data(parts: tuple[Part, ...], digests: dict[str, dict[str, str]]) -> str:
    wrong = [part.name for part in parts if digests[part.name][part.type] != part.digest]
    return f"data of {len(wrong)} tensors differ: {', '.join(wrong[:8])}" if wrong else ""
