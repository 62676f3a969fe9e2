"""Counters: what an engine did since it started."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class Counters:
    """Under the engine's lock.

    translated: chunks computed.              ahead: how many of these before anyone waited for them.
    hits: chunks found in the store.          waits: requests that joined work already under way.
    bytes_served: to readers.                 source_bytes: read from sources for all of it.
    errors: chunks that failed.               called_off: chunks queued that nobody wanted any more.
    seconds: spent translating, summed over the workers.
    spares: workers started in the place of some that a source kept waiting.
    by_target: for each label that layouts were opened under, the bytes translated and the seconds of a
    processor that this took (waiting for a source or for a turn is not in them).
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
    by_target: dict[str, tuple[int, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, int | float]:
        """By name, for a status report; `by_target` is not in it."""
        told: dict[str, int | float] = asdict(self)
        del told["by_target"]
        return told

    def translated_for(self, target: str, length: int, seconds: float) -> None:
        """Note a chunk in `by_target`."""
        before = self.by_target.get(target, (0, 0.0))
        self.by_target[target] = before[0] + length, before[1] + seconds
