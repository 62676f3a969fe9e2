"""A mount of this daemon, as whoever controls it sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fsd.mount.adapters import Adapter
from fsd.tree import Tree


@dataclass(frozen=True)
class Place:
    """What is to be mounted where: `mountpoint` is as `points.prepare` left it. Both are absolute."""

    source: Path
    mountpoint: Path


@dataclass(frozen=True)
class Mounted:
    """A mount of this daemon: its tree, and the adapter that serves it."""

    place: Place
    tree: Tree
    adapter: Adapter
