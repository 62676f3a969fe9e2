"""Where a daemon's API is to be found. For whoever tells it (status.json), and whoever asks there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# What /metrics answers: the text and its media type, for a header Accept.
Exposition = Callable[[str], tuple[bytes, str]]


@dataclass(frozen=True, slots=True)
class Offered:
    """Where the API listens: a socket's absolute path, an address as http://127.0.0.1:8777; None if not."""

    socket: Path | None
    address: str | None

    def __str__(self) -> str:
        return " and ".join(str(where) for where in (self.socket, self.address) if where is not None)

    def told(self) -> dict[str, object]:
        """As status.json has it."""
        return {"socket": None if self.socket is None else str(self.socket), "address": self.address}


def usual_socket() -> Path | None:
    """The socket of --api-socket auto; None where there is no directory for it (no login session)."""
    if os.geteuid() == 0:
        return Path("/run/prismfs/control.sock")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime, "prismfs", "control.sock") if runtime else None
