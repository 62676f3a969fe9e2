"""Values of options, from text as a person types it.

Every function raises ValueError, which says what the text must be. Knows no options.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def size(text: str) -> int:
    """Bytes of "128M", "1.5G", "64KiB" or "4096"; the units are powers of 1024. Raises ValueError."""
    number = text.strip().upper().removesuffix("IB").removesuffix("B")
    unit = number[-1:] if number[-1:] in ("K", "M", "G", "T") else ""
    value = _number(number.removesuffix(unit), "a size as 50G") * _UNITS[unit]
    if not 0 < value < float("inf"):
        raise ValueError("it must be above zero")
    return int(value)


def size_or_auto(text: str) -> int | None:
    """As `size`; None of "auto". Raises ValueError."""
    return None if text.strip().lower() == "auto" else size(text)


def seconds(text: str) -> float:
    """Seconds of "90", "90s", "2m" or "1h". Raises ValueError."""
    number = text.strip().lower()
    factor = {"s": 1, "m": 60, "h": 3600}.get(number[-1:])
    value = _number(number[:-1] if factor else number, "a time as 30s") * (factor or 1)
    if not 0 < value < float("inf"):
        raise ValueError("it must be above zero")
    return value


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"it must be {what}") from None


def count(text: str) -> int:
    """A whole number, one or more. Raises ValueError."""
    try:
        value = int(text)
    except ValueError:
        raise ValueError("it must be a whole number") from None
    if value < 1:
        raise ValueError("it must be one or more")
    return value


def switch(text: str) -> bool:
    """True or False of the usual words. Raises ValueError."""
    word = text.strip().lower()
    if word not in _YES + _NO:
        raise ValueError("it must be yes or no")
    return word in _YES


def type_names(text: str) -> tuple[str, ...]:
    """Types and formats of "q8_0, Q4_K_M, mlx-4bit": lower case, in order, each once. Raises ValueError."""
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    if not all(name.replace("-", "_").isidentifier() and name.isascii() for name in names):
        raise ValueError("it must be names as q8_0, with commas between them")
    return names


def one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    """A function that takes one of `words`, in any case, and raises ValueError otherwise."""

    def parse(text: str) -> str:
        word = text.strip().lower()
        if word not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return word

    return parse


def path(text: str) -> Path:
    """An absolute path; "~" is the home directory. Raises ValueError if it is empty."""
    if not text:
        raise ValueError("it must be a path")
    return Path(text).expanduser().absolute()


def path_if_any(text: str) -> Path | None:
    """As `path`; None of ""."""
    return path(text) if text else None
