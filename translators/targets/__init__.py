"""Targets: every form that a model can appear as, one module for each format.

`plans` asks them all. Whoever adds a format adds a module that yields plans, and its name here.
"""

from __future__ import annotations

from translators.model import Model
from translators.plan import Plan, Refusal
from translators.targets import gguf, huggingface, mmproj, safetensors


def plans(model: Model) -> dict[str, Plan | Refusal]:
    """What `model` can appear as, by file name and in the order of a listing; refusals with reasons.

    Planning reads side files and headers, never tensor data (but for the few values that decide a header).
    """
    found: list[Plan | Refusal] = []
    if model.key_values is None:
        found.append(safetensors.merged(model))
    else:
        found += huggingface.plans(model)
    found += gguf.plans(model)
    if model.key_values is None:
        found += mmproj.plans(model)
    return {plan.name: plan for plan in found}
