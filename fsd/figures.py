"""Sizes, shares and times as people read them: the same on the page, in a terminal and in a log.

Knows nothing of who shows them.
"""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def human(size: float) -> str:
    """`size` bytes to three digits, in powers of 1024."""
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.3g} {_UNITS[unit]}" if unit else f"{size:.0f} B"


def share(part: float, whole: float) -> str:
    """`part` of `whole` in per cent: 0 % and 100 % only where it is nothing or everything."""
    if part <= 0:
        return "0 %"
    if part >= whole:
        return "100 %"
    return f"{min(99, max(1, round(100 * part / whole)))} %"


def duration(seconds: float) -> str:
    """`seconds` in the two units that matter: < 0.1 s, 0.4 s, 12 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if 0 < seconds < 0.1:
        return "< 0.1 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, below, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"
