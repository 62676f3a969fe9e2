"""Listings one after another: `ls -R` and `find` list model after model, and wait for each one's plan.

Who lists the first model of a folder, or one soon after the last that was listed, is taken to go on; the
next models are then planned side by side, twice as many each time, as a disk is read ahead. Who looks at one
model in the middle has no other planned. Knows nothing of planning.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fsd.tree.nodes import ModelSource

# Models of a folder that are listed in another order than ours, as by a locale, still count as a walk.
_STRIDE = 8
_FIRST, _MOST = 4, 32
_KEPT = 1 << 16


@dataclass
class _Row:
    """The models of a folder, in order; those before `at` were asked for, and `window` more go with them."""

    models: Sequence[ModelSource]
    last: int = -1
    at: int = 0
    window: int = _FIRST


class PlanAhead:
    """Calls `prepare` for models that will probably be listed soon. Safe for use by many threads."""

    def __init__(self, prepare: Callable[[ModelSource], object]) -> None:
        self._prepare = prepare
        self._places: dict[ModelSource, tuple[_Row, int]] = {}
        self._lock = threading.Lock()

    def shown(self, models: Sequence[ModelSource]) -> None:
        """A folder with these models was listed."""
        row = _Row(models)
        with self._lock:
            if len(self._places) + len(models) > _KEPT:
                self._places.clear()
            self._places.update((model, (row, number)) for number, model in enumerate(models))

    def listed(self, model: ModelSource) -> None:
        """A model's own directory is being listed."""
        with self._lock:
            following = self._following(model)
        for following_model in following:
            self._prepare(following_model)

    def _following(self, model: ModelSource) -> Sequence[ModelSource]:
        """The models to be prepared now."""
        row, number = self._places.get(model, (None, 0))
        if row is None:
            return ()
        goes_on = abs(number - row.last) <= _STRIDE if row.last >= 0 else number == 0
        row.last = number
        if not goes_on:
            row.at, row.window = number + 1, _FIRST
            return ()
        start, row.at = max(row.at, number + 1), max(row.at, number + 1 + row.window)
        if row.at > start:
            row.window = min(2 * row.window, _MOST)
        return row.models[start : row.at]
