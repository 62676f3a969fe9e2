"""Configuration: every option once, and the file that may set it.

    options = resolve({"workers": "4", "config": "/etc/prismfs/prismfs.toml"}, os.environ)
    options.cache_memory                # typed: bytes
    options.given["cache_memory"]       # what it was set to, as text, and where

A flag wins over a PRISMFS_ variable, that over the configuration file, and that over the default. Knows
nothing of argument parsers.

values.py      text -> value: sizes, durations, names
options.py     the options
file.py        a TOML file -> options and mounts
resolving.py   what is in force
"""

from fsd.config.file import File, WantedMount, read
from fsd.config.options import ADAPTERS, LOG_FORMATS, LOG_LEVELS, OPTIONS, Given, Option, Options
from fsd.config.resolving import CONFIG_FLAG, CONFIG_HELP, CONFIG_VARIABLE, resolve
from fsd.config.values import count, seconds, size, switch

__all__ = [
    "ADAPTERS",
    "CONFIG_FLAG",
    "CONFIG_HELP",
    "CONFIG_VARIABLE",
    "LOG_FORMATS",
    "LOG_LEVELS",
    "OPTIONS",
    "File",
    "Given",
    "Option",
    "Options",
    "WantedMount",
    "count",
    "read",
    "resolve",
    "seconds",
    "size",
    "switch",
]
