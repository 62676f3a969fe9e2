"""Plans: what a model can appear as, and why it cannot.

    plans = translators.plans(model)     # name -> Plan or Refusal, in the order of a listing
    plan.size                            # exact
    plan.layout()                        # the bytes, planned

A plan knows its size without holding its bytes; its layout is made when asked for. A form that would not
be right is a `Refusal` with its reason (invariant I9), never a file that fails when it is read.
Knows nothing of any one format: the modules of `targets/` make plans.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from translators.layout import Layout


@dataclass(frozen=True)
class Plan:
    """A form that a model has. `name` is its file name; `describe` says in a few words what it is.

