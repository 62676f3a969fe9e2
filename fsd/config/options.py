"""Every option, once: its flag, PRISMFS_ variable, key in a file, default and help.

A field of `Options` is an option: `cache_memory` is the flag --cache-memory, the variable
PRISMFS_CACHE_MEMORY and the key cache_memory. Whoever adds one adds a field here, and nothing elsewhere.
Knows nothing of where values come from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, get_args, get_type_hints

from fsd.config.file import WantedMount
from fsd.config.values import (
    count,
    one_of,
    path,
    path_if_any,
    seconds,
    size,
    size_or_auto,
    split_size,
    switch,
    type_names,
)
from fsd.errors import BadOption

_LISTED = "f16,bf16,q8_0,q6_k,q5_k_m,q4_k_m,q4_0,q3_k_m,q2_k,iq4_xs"
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "text", "json")
ADAPTERS = ("auto", "mfusepy", "kernel")


def _own_cache(name: str) -> Callable[[], str]:
    return lambda: str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "prismfs" / name)


def _processors() -> str:
    return str(len(os.sched_getaffinity(0)))


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `default` is text as a person would type it; `parse` makes its value, or ValueError.

    name: that of its field in `Options`. words: all that it can be, where these are few. shown: the default
    as it is documented, where that depends on the machine.
    """

    default: str | Callable[[], str]
    parse: Callable[[str], object]
    metavar: str
    help: str
    name: str = ""
    words: tuple[str, ...] = ()
    shown: str = ""

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
    def is_path(self) -> bool:
        """True where the value names a file or directory."""
        return self.parse in (path, path_if_any)

    @property
    def is_number(self) -> bool:
        """True where a number without a unit means something."""
        return self.parse in (size, size_or_auto, seconds, count)

    @property
    def is_list(self) -> bool:
        """True where the value is words with commas between them."""
        return self.parse is type_names

    @property
    def default_shown(self) -> str:
        """The default, the same on every machine; "" where there is none."""
        return self.shown or self.default_text

    @property
    def help_text(self) -> str:
        """What a parser's help says of it."""
        text = f"{self.help}: {', '.join(self.words)}" if self.words else self.help
        default = f" (default: {self.default_shown})" if self.default_shown and not self.is_switch else ""
        return f"{text}{default} [{self.variable}]"

    @property
    def default_text(self) -> str:
        """The default on this machine."""
        return self.default() if callable(self.default) else self.default

    def value(self, text: str, origin: str) -> object:
        """The value of `text`, which came from `origin` (a flag, variable or key). Raises BadOption."""
        try:
            return self.parse(text)
        except ValueError as error:
            raise BadOption(f"{origin} cannot be {text!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class Given:
    """What an option was set to, as text. `origin`: "default", or the flag, variable or file that set it."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The value of every option. Sizes are bytes, times are seconds.

    given: of each option, as what and by whom it was set. mounts: those of the configuration file.
    imatrices: the importance matrices that it names, by the absolute paths of models.
    """

    cache_memory: Annotated[int, Option("128M", size, "SIZE", "memory for translated bytes")]
    cache_dir: Annotated[
        Path,
        Option(
            _own_cache("store"),
            path,
            "DIR",
            "where translated bytes are kept on disk",
            shown="~/.cache/prismfs/store",
        ),
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
    workers: Annotated[
        int, Option(_processors, count, "N", "threads that translate", shown="one a processor")
    ]
    planner_time: Annotated[
        float, Option("120s", seconds, "TIME", "the longest that planning a model may take")
    ]
    planner_memory: Annotated[int, Option("4G", size, "SIZE", "address space of a planning process")]
    plan_cache: Annotated[
        Path,
        Option(
            _own_cache("plans"),
            path,
            "DIR",
            "where plans are kept between runs",
            shown="~/.cache/prismfs/plans",
        ),
    ]
    types: Annotated[
        tuple[str, ...],
        Option(_LISTED, type_names, "TYPES", "GGUF types and directories to list; all can be opened"),
    ]
    split_size: Annotated[
        int | None,
        Option(
            "none", split_size, "SIZE", "list larger GGUFs in splits of at most this as well (2G is 2000 MB)"
        ),
    ]
    allow_other: Annotated[bool, Option("no", switch, "", "let other users read the mount")]
    fuse: Annotated[
        str, Option("auto", one_of(ADAPTERS), "ADAPTER", "how the kernel is spoken to", words=ADAPTERS)
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
        Path | None, Option("", path_if_any, "FILE", "a file with the token for changes over --api-listen")
    ]
    export_dir: Annotated[
        Path | None, Option("", path_if_any, "DIR", "where exports that the API is asked for are written")
    ]
    log_format: Annotated[
        str, Option("auto", one_of(LOG_FORMATS), "FORMAT", "how log lines look", words=LOG_FORMATS)
    ]
    log_level: Annotated[
        str, Option("info", one_of(LOG_LEVELS), "LEVEL", "how much is logged", words=LOG_LEVELS)
    ]
    given: Mapping[str, Given] = field(default_factory=dict, compare=False, repr=False)
    mounts: tuple[WantedMount, ...] = ()
    imatrices: Mapping[str, str] = field(default_factory=dict)
    bases: Mapping[str, str] = field(default_factory=dict)

    def imatrix_of(self, source: str) -> str | None:
        """The importance matrix of the model whose directory or weight file `source`, absolute, is.

        A hub cache's model may be named by its folder, whichever snapshot of it is shown.
        """
        if not self.imatrices:
            return None
        place = Path(source).parent
        hub = str(place.parent) if place.name == "snapshots" else ""
        return self.imatrices.get(source, self.imatrices.get(hub))


OPTIONS: tuple[Option, ...] = tuple(
    replace(argument, name=name)
    for name, hint in get_type_hints(Options, globals(), globals(), include_extras=True).items()
    for argument in get_args(hint)
    if isinstance(argument, Option)
)
