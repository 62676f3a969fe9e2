"""Which mount of ours a path is in, and what its daemon tells of itself. Knows nothing of what is mounted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fsd.mount import points

STATUS = ".prismfs/status.json"


def mount_above(path: Path) -> Path | None:
    """The mount of ours that `path` is in, the innermost."""
    place = points.resolved(path)
    ours = {os.fsdecode(mount.point) for mount in points.mounts() if mount.is_ours}
    return next((above for above in (place, *place.parents) if str(above) in ours), None)


def status_of(mount: Path) -> dict[str, Any]:
    """What the daemon of a mount tells. Raises OSError."""
    found: dict[str, Any] = json.loads((mount / STATUS).read_text())
    return found
