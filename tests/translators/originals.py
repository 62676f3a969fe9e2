"""What tests of the makers' own forms do alike: change params.json, and read all of a plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from translators import Plan


def whole(plan: object) -> bytes:
    """All bytes of a plan, which must be no refusal."""
    assert isinstance(plan, Plan), plan
    layout = plan.layout()
    try:
        return layout.read(0, layout.size)
    finally:
        layout.close()


def told(folder: Path, **changes: Any) -> None:
    """Change params.json; None removes a key."""
    path = folder / "params.json"
    found = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))
