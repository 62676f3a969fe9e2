"""Counters: what an engine did since it started."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """Under the engine's lock.

    translated: chunks computed.              ahead: how many of these before anyone waited for them.
    hits: chunks found in the store.          waits: requests that joined work already under way.
    bytes_served: to readers.                 source_bytes: read from sources for all of it.
    errors: chunks that failed.               called_off: chunks queued that nobody wanted any more.
    seconds: spent translating, summed over the workers.
    spares: workers started in the place of some that a source kept waiting.
    """

    translated: int = 0
    ahead: int = 0
    hits: int = 0
    waits: int = 0
    bytes_served: int = 0
    source_bytes: int = 0
    errors: int = 0
    called_off: int = 0
    spares: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, int | float]:
        """By name, for a status report."""
        return asdict(self)
