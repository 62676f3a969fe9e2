"""Which mount of ours a path is in, and what its daemon tells of itself. Knows nothing of what is mounted."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from fsd.mount import points

STATUS = ".prismfs/status.json"
ANSWER_SECONDS = 3.0
SECTOR = 512  # the unit of st_blocks
TRANSLATED, TARGET = "user.prismfs.translated", "user.prismfs.target"


def own_mounts() -> list[Path]:
    """Every mount of ours in this process's namespace, dead or alive."""
    return [Path(os.fsdecode(mount.point)) for mount in points.mounts() if mount.is_ours]


def mount_above(path: Path) -> Path | None:
    """The mount of ours that `path` is in, the innermost."""
    place = points.resolved(path)
    ours = set(own_mounts())
    return next((above for above in (place, *place.parents) if above in ours), None)


def status_of(mount: Path) -> dict[str, Any]:
    """What the daemon of a mount tells. Raises OSError."""
    found: dict[str, Any] = json.loads((mount / STATUS).read_text())
    return found


def status_soon(mount: Path) -> dict[str, Any] | None:
    """As `status_of`; None where the daemon does not answer soon.

    Another process asks: who asks a stalled daemon may wait beyond SIGKILL.
    """
    command = ["cat", "--", str(mount / STATUS)]
    asking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        told, _ = asking.communicate(timeout=ANSWER_SECONDS)
        found = json.loads(told)
    except subprocess.TimeoutExpired:
        asking.kill()
        return None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def socket_of(mount: Path) -> Path | None:
    """The control API's socket of a mount's daemon; None where it has none, or does not answer."""
    told = (status_soon(mount) or {}).get("api")
    socket = told.get("socket") if isinstance(told, dict) else None
    return Path(socket) if isinstance(socket, str) else None
