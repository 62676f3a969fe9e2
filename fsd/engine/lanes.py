"""Lanes: what waits for a worker, the urgent first, and files in turn.

Three urgencies: a reader waits (READER), a reader will come (AHEAD), a job asked for it (WARM). Within one,
each file is a lane, and the lanes take turns, so that a file with a hundred chunks queued does not keep one
with a single chunk waiting. Under its owner's lock. Knows nothing of what an entry is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class Urgency(IntEnum):
    """Lower goes first."""

    READER = 0
    AHEAD = 1
    WARM = 2


class Lanes(Generic[Entry]):
    """Entries by urgency and lane; each is in at most one place."""

    def __init__(self) -> None:
        self._waiting: tuple[OrderedDict[str, OrderedDict[Entry, None]], ...] = tuple(
            OrderedDict() for _ in Urgency
        )

    def add(self, urgency: Urgency, lane: str, entry: Entry) -> None:
        """Queue an entry at the end of its lane."""
        self._waiting[urgency].setdefault(lane, OrderedDict())[entry] = None

    def remove(self, urgency: Urgency, lane: str, entry: Entry) -> None:
        """Take an entry out, wherever in its lane it is."""
        lanes = self._waiting[urgency]
        del lanes[lane][entry]
        if not lanes[lane]:
            del lanes[lane]

    def take(self, allowed: Callable[[str], bool]) -> Entry | None:
        """The next entry of an `allowed` lane, whose turn comes last now. None if there is none."""
        for lanes in self._waiting:
            for lane, entries in lanes.items():
                if allowed(lane):
                    entry, _ = entries.popitem(last=False)
                    if entries:
                        lanes.move_to_end(lane)
                    else:
                        del lanes[lane]
                    return entry
        return None

    def has(self, allowed: Callable[[str], bool]) -> bool:
        """Whether `take` would give one."""
        return any(allowed(lane) for lanes in self._waiting for lane in lanes)
