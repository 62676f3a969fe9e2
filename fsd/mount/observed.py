"""What a mount did for its readers, to be told as metrics: how long reads took, and what failed.

Noted by whoever answers a request, collected by whoever asks: nothing runs in between. A note and two looks
at the clock take some 0.8 us together, where a read takes 17 and more. One lock for all threads, as libfuse's
are new to Python with each call. Knows no binding.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass

# Upper bounds in seconds: from a chunk at hand (some 20 us) to a source that hardly answers.
BOUNDS = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reads:
    """Reads that were answered: how many within each of BOUNDS and above (each read in one bucket), the
    seconds of all, and their bytes."""

    buckets: tuple[int, ...]
    seconds: float
    bytes: int

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)


class Observed:
    """Since the mount began. Safe for use by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = 0
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0
        self._bytes = 0
        self._errors: Counter[str] = Counter()

    @property
    def requests(self) -> int:
        """Reads that were answered, also those with an error."""
        return self._requests

    def read(self, seconds: float, count: int | None) -> None:
        """A read was answered, with `count` bytes, or with an error (None)."""
        at = bisect_left(BOUNDS, seconds)
        with self._lock:
            self._requests += 1
            if count is not None:
                self._buckets[at] += 1
                self._seconds += seconds
                self._bytes += count

    def failed(self, code: str) -> None:
        """A request was answered with an error that is a fault, as "EIO"."""
        with self._lock:
            self._errors[code] += 1

    def reads(self) -> Reads:
        """The reads so far."""
        with self._lock:
            return Reads(tuple(self._buckets), self._seconds, self._bytes)

    def errors(self) -> dict[str, int]:
        """How many requests failed, by the name of the errno."""
        with self._lock:
            return dict(self._errors)
