"""What mlx-lm calls the tensors of a model, where that is not what a checkpoint calls them.

    TYPES["mixtral"].experts["gate_proj"]     # "w1"

The table has the `model_type`s whose folders were compared with those of mlx-lm's own converter. All have
one linear layer, embedding or stack of experts for each `.weight` of two or more dimensions; what goes beyond
that (convolutions, other modules, vision) is not here. Facts of mlx-lm 0.32.2, `mlx_lm/models/`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STACKED = "switch_mlp"
_PLAIN = {"gate_proj": "gate_proj", "up_proj": "up_proj", "down_proj": "down_proj"}
_NUMBERED = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}


@dataclass(frozen=True)
class Type:
    """One `model_type` of mlx-lm.

    block:   what holds a layer's experts; "" for a model without.
    experts: mlx-lm's name of a matrix of an expert -> the checkpoint's.
    settled: layers that are quantised in a way of their own, whatever is asked for, by the end of their
             path: (bits, group).
    absent:  what transformers takes a key for that config.json lacks, and mlx-lm insists on.
    untied:  mlx-lm wants a head of its own.
    """

    block: str = ""
    experts: Mapping[str, str] = field(default_factory=dict)
    settled: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    absent: Mapping[str, Any] = field(default_factory=dict)
    untied: bool = False


_DENSE = ("llama", "mistral", "qwen2", "qwen3", "gemma", "phi3", "starcoder2", "olmo2")
TYPES = {
    **dict.fromkeys(_DENSE, Type()),
    "mixtral": Type("block_sparse_moe", _NUMBERED),
    "qwen2_moe": Type("mlp", _PLAIN, untied=True),
    "qwen3_moe": Type(
        "mlp", _PLAIN, {"mlp.gate": (8, 64)},
        {"decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": False},
    ),
    "olmoe": Type("mlp", _PLAIN),
}  # fmt: skip

_EXPERT = re.compile(r"(model\.layers\.\d{1,6})\.(\w+)\.experts\.(\d{1,6})\.(\w+)\.weight")
_STACK = re.compile(rf"(model\.layers\.\d{{1,6}})\.(\w+)\.{STACKED}\.(\w+)\.(weight|bias)")


def stack_of(kind: Type, name: str) -> tuple[str, int] | None:
    """The stack that a checkpoint's tensor goes into, and its number there; None for no expert's."""
    match = _EXPERT.fullmatch(name)
    if match is None or match[2] != kind.block:
        return None
    for part, other in kind.experts.items():
        if other == match[4]:
            return f"{match[1]}.{match[2]}.{STACKED}.{part}.weight", int(match[3])
    return None


def expert_of(kind: Type, name: str) -> str | None:
    """What a checkpoint calls the matrices of a stack, with {} for the expert; None for no stack."""
    match = _STACK.fullmatch(name)
    if match is None or match[2] != kind.block or match[3] not in kind.experts:
        return None
    return f"{match[1]}.{match[2]}.experts.{{}}.{kind.experts[match[3]]}.{match[4]}"
