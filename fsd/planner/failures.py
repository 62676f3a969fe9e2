"""What has lately failed to be planned: not to be tried again at once, nor never again.

In memory alone: a daemon that starts anew tries anew. Safe for use by many threads.
Knows nothing of what is planned, or how.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable

from fsd.planner.messages import Failure

# A failure may pass (memory that was short): try again after this long, in seconds.
_FAILURE_KEPT = 60.0
# A file that could not be read may be readable at any moment, and is soon found not to be.
_UNREADABLE_KEPT = 2.0
# These took long to come about, and would again.
_COSTLY_KEPT = 600.0
_KEPT = {
    "MissingSource": _UNREADABLE_KEPT,
    "PlanningTimeout": _COSTLY_KEPT,
    "PlanningMemory": _COSTLY_KEPT,
    "PlanningCrash": _COSTLY_KEPT,
}


class Failures:
    """Failures by what they are of, each for as long as it is likely to last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[Failure, float]] = {}

    def note(self, what: Hashable, failure: Failure) -> None:
        """Keep a failure, in the place of an earlier one of the same."""
        now = time.monotonic()
        with self._lock:
            self._kept = {key: kept for key, kept in self._kept.items() if kept[1] > now}
            self._kept[what] = failure, now + _KEPT.get(failure.kind, _FAILURE_KEPT)

    def of(self, what: Hashable) -> Failure | None:
        """How it failed, if that is still so."""
        with self._lock:
            failure, until = self._kept.get(what, (None, 0.0))
        return failure if until > time.monotonic() else None

    def all(self) -> list[Failure]:
        """Those that still are."""
        now = time.monotonic()
        with self._lock:
            return [failure for failure, until in self._kept.values() if until > now]
