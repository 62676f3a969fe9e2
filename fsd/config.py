"""Every option, once: its flag, PRISMFS_ variable, default and help.

    options = resolve({"workers": "4", "cache_memory": None}, os.environ)
    options.cache_memory                # typed: bytes

A field of `Options` is an option: `cache_memory` is the flag --cache-memory and the variable
PRISMFS_CACHE_MEMORY. A flag wins over a variable, a variable over the default; a configuration file will
stand between the last two, as one more mapping. Knows nothing of argument parsers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast, get_type_hints

from fsd.errors import BadOption

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_LISTED = "f16,bf16,q8_0,q6_k,q5_k_m,q4_k_m,q4_0,q3_k_m,q2_k,iq4_xs"
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "text", "json")
ADAPTERS = ("auto", "mfusepy", "kernel")


def size(text: str) -> int:
    """Bytes of "128M", "1.5G", "64KiB" or "4096"; the units are powers of 1024. Raises ValueError."""
    number = text.strip().upper().removesuffix("IB").removesuffix("B")
    unit = number[-1:] if number[-1:] in ("K", "M", "G", "T") else ""
    value = float(number.removesuffix(unit)) * _UNITS[unit]
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
    value = float(number[:-1] if factor else number) * (factor or 1)
    if not 0 < value < float("inf"):
        raise ValueError("it must be above zero")
    return value


def count(text: str) -> int:
    """A whole number, one or more. Raises ValueError."""
    value = int(text)
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
    """GGUF types of "q8_0, Q4_K_M": lower case, in order, each once. Raises ValueError."""
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    if not all(name.isidentifier() and name.isascii() for name in names):
        raise ValueError("it must be names as q8_0, with commas between them")
    return names


def level(text: str) -> str:
    """One of LOG_LEVELS. Raises ValueError."""
    return _one_of(LOG_LEVELS, text)


def adapter(text: str) -> str:
    """One of ADAPTERS. Raises ValueError."""
    return _one_of(ADAPTERS, text)


def _one_of(words: tuple[str, ...], text: str) -> str:
    word = text.strip().lower()
    if word not in words:
        raise ValueError(f"it must be one of {', '.join(words)}")
    return word


def log_format(text: str) -> str:
    """One of LOG_FORMATS. Raises ValueError."""
    return _one_of(LOG_FORMATS, text)


def _path_if_any(text: str) -> Path | None:
    return _path(text) if text else None


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _own_cache(name: str) -> Callable[[], str]:
    return lambda: str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "prismfs" / name)


def _processors() -> str:
    return str(len(os.sched_getaffinity(0)))


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `default` is text as a person would type it; `parse` makes its value, or ValueError.

    `name` is that of its field in `Options`.
    """

    default: str | Callable[[], str]
    parse: Callable[[str], object]
    metavar: str
    help: str
    name: str = ""

    @property
    def flag(self) -> str:
        """The command line's flag."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return "PRISMFS_" + self.name.upper()

    @property
    def is_switch(self) -> bool:
        """True where the flag stands alone."""
        return self.parse is switch

    @property
    def default_text(self) -> str:
        """The default on this machine."""
        return self.default() if callable(self.default) else self.default

    def value(self, text: str, origin: str) -> object:
        """The value of `text`, which came from `origin` (a flag or variable). Raises BadOption."""
        try:
            return self.parse(text)
        except ValueError as error:
            raise BadOption(f"{origin} cannot be {text!r}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The value of every option. Sizes are bytes, times are seconds."""

    cache_memory: Annotated[int, Option("128M", size, "SIZE", "memory for translated bytes")]
    cache_dir: Annotated[
        Path, Option(_own_cache("store"), _path, "DIR", "where translated bytes are kept on disk")
    ]
    cache_size: Annotated[
        int | None,
        Option("auto", size_or_auto, "SIZE", "disk for translated bytes; auto: 20G, or half of what is free"),
    ]
    cache_min_free: Annotated[int, Option("1G", size, "SIZE", "disk that is left free in any case")]
    no_cache: Annotated[bool, Option("no", switch, "", "keep no translated bytes on disk")]
    read_ahead: Annotated[
        int, Option("64M", size, "SIZE", "bytes translated ahead of all readers together, at most")
    ]
    workers: Annotated[int, Option(_processors, count, "N", "threads that translate; else one a processor")]
    planner_time: Annotated[
        float, Option("120s", seconds, "TIME", "the longest that planning a model may take")
    ]
    planner_memory: Annotated[int, Option("4G", size, "SIZE", "address space of a planning process")]
    plan_cache: Annotated[
        Path, Option(_own_cache("plans"), _path, "DIR", "where plans are kept between runs")
    ]
    types: Annotated[
        tuple[str, ...], Option(_LISTED, type_names, "TYPES", "GGUF types to list; all can be opened")
    ]
    allow_other: Annotated[bool, Option("no", switch, "", "let other users read the mount")]
    fuse: Annotated[
        str, Option("auto", adapter, "ADAPTER", f"how the kernel is spoken to: {', '.join(ADAPTERS)}")
    ]
    settle: Annotated[
        float, Option("1s", seconds, "TIME", "how long a new model must be unchanged before it is listed")
    ]
    poll: Annotated[
        float, Option("2s", seconds, "TIME", "how often sources are looked at for what raises no events")
    ]
    api_socket: Annotated[
        str, Option("auto", str, "PATH", "the control API's Unix socket; none: no API over a socket")
    ]
    api_group: Annotated[str, Option("", str, "GROUP", "a group whose members may use the API's socket")]
    api_listen: Annotated[
        str, Option("", str, "HOST:PORT", "loopback address of the API and its page, as 127.0.0.1:8777")
    ]
    api_token_file: Annotated[
        Path | None, Option("", _path_if_any, "FILE", "a file with the token for changes over --api-listen")
    ]
    export_dir: Annotated[
        Path | None, Option("", _path_if_any, "DIR", "where exports that the API is asked for are written")
    ]
    log_format: Annotated[
        str, Option("auto", log_format, "FORMAT", f"how log lines look: {', '.join(LOG_FORMATS)}")
    ]
    log_level: Annotated[str, Option("info", level, "LEVEL", f"how much is logged: {', '.join(LOG_LEVELS)}")]


OPTIONS: tuple[Option, ...] = tuple(
    replace(hint.__metadata__[0], name=name)
    for name, hint in get_type_hints(Options, globals(), globals(), include_extras=True).items()
)


def resolve(flags: Mapping[str, object], environment: Mapping[str, str]) -> Options:
    """The options in force. `flags` maps names to text (or True, for a switch); None means not given.

    An empty variable counts as not set. Raises BadOption.
    """
    values: dict[str, object] = {}
    for option in OPTIONS:
        given, variable = flags.get(option.name), environment.get(option.variable)
        if isinstance(given, str):
            values[option.name] = option.value(given, option.flag)
        elif given is not None:
            values[option.name] = given
        elif variable:
            values[option.name] = option.value(variable, option.variable)
        else:
            values[option.name] = option.value(option.default_text, option.flag)
    return Options(**cast(dict[str, Any], values))
