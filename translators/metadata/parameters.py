"""How many parameters a GGUF has, as gguf-py counts them.

Every element of every tensor counts, generated ones (`rope_freqs.weight`) too. Stacked experts are counted
once more for one expert alone. Rules: gguf_writer.py, get_total_parameter_count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Elements in all, outside of experts, and of one expert over all layers; experts in a layer (mean)."""

    total: int
    shared: int
    expert: int
    expert_count: int


def count_parameters(tensors: Iterable[tuple[str, tuple[int, ...]]]) -> ParameterCount:
    """Count the tensors of a GGUF, given by their names there and row-major shapes."""
    total = shared = expert = experts = stacks = 0
    for name, shape in tensors:
        size = prod(shape)
        total += size
        if "_exps." not in name or len(shape) < 3:
            shared += size
            continue
        # The axis of experts is the third from the end; of a stacked bias, the second.
        count = shape[-2 if ".bias" in name else -3]
        expert += size // max(count, 1)
        experts += count
        stacks += 1
    return ParameterCount(total, shared, expert, experts // max(stacks, 1))
