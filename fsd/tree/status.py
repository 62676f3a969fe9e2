"""`.prismfs/status.json`: what the daemon is and did, as JSON.

The kernel trusts the size that stat told, and may keep it for a while; so the file has one size always,
filled up with spaces before the last line's end. Knows nothing of where the figures come from.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

STATUS_SIZE = 4096


def status(facts: dict[str, object], errors: Sequence[object]) -> bytes:
    """`STATUS_SIZE` bytes of JSON: `facts`, and of `errors` as many as fit."""
    for shown in range(len(errors), -1, -1):
        told = facts | {"plan_errors": errors[:shown], "plan_errors_not_shown": len(errors) - shown}
        text = msgspec.json.format(msgspec.json.encode(told), indent=2)
        if len(text) < STATUS_SIZE:
            return text.ljust(STATUS_SIZE - 1) + b"\n"
    raise ValueError("the facts alone are too long")
