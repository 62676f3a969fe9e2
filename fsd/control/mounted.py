"""A mount of this daemon, as whoever controls it sees it; and what all mounts share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fsd.engine import Engine
from fsd.mount.adapters import Adapter
from fsd.planner import Planner
from fsd.store import DiskStore
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


class Parts(Protocol):
    """What trees are made of; see `fsd.daemon.parts`."""

    @property
    def planner(self) -> Planner: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def disk(self) -> DiskStore | None: ...
