"""A running daemon: composed from the options, serving one or more mounts.

parts.py     planner, store and engine, which all mounts share
daemon.py    mounts, and what else runs beside them
"""

from fsd.daemon.daemon import serve
from fsd.daemon.parts import Parts

__all__ = ["Parts", "serve"]
