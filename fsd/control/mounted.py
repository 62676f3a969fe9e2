"""A mount of this daemon, as whoever controls it sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fsd.mount.adapters import Adapter
from fsd.tree import Tree
from fsd.watch import Watch


@dataclass(frozen=True)
class Place:
    """What is to be mounted where: `mountpoint` is as `points.prepare` left it. Both are absolute."""

    source: Path
    mountpoint: Path


@dataclass(frozen=True)
class Mounted:
    """A mount of this daemon: its tree, the adapter that serves it, and who watches its source."""

    place: Place
    tree: Tree
    adapter: Adapter
    watch: Watch | None = None
