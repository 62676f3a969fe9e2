"""Who reads a node: the kernel itself (passthrough), or its page cache through the daemon.

The kernel allows one way for a node at a time, so the first open decides, and the others follow until the
last is released. A passthrough open has the access of its opener: one that may write would write the source
(invariant I4), so read-write opens are always served from the cache. Where a node is being read through, they
get its twin: another node of the same inode, which look-ups then lead to until it is closed.
Knows no messages and no tree.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from fsd.mount.faults import Answer
from fsd.mount.kernel.protocol import OpenFlag

log = logging.getLogger(__name__)

# Far above all inode numbers of a tree, which count from one.
_TWIN = 1 << 62
# How long look-ups lead to a twin that nobody has open yet: the kernel's second try comes at once.
_PROMISE_SECONDS = 2.0

# Size and mtime in nanoseconds.
Version = tuple[int, int]


def inode_of(node: int) -> int:
    """The tree's inode number of a node."""
    return node & ~_TWIN


@dataclass(eq=False)
class _Node:
    """users: opens that are not released (a memory map keeps its own). backing: the id of its passthrough.

    pages: the version whose bytes the node's page cache may hold.
    """

    users: int = 0
    backing: int = 0
    pages: Version | None = None


class Opens:
    """The nodes that are open or have pages. Safe for use by many threads.

    `register` makes a backing id of a descriptor or raises OSError, `unregister` ends it.
    """

    def __init__(self, register: Callable[[int], int], unregister: Callable[[int], None]) -> None:
        self._register = register
        self._unregister = unregister
        self._nodes: dict[int, _Node] = {}
        self._promised: dict[int, float] = {}
        self._lock = threading.Lock()
        self.passed_through = 0

    def node_of(self, ino: int) -> int:
        """The node that a look-up of the inode leads to."""
        until = self._promised.get(ino)
        if until is None:
            return ino
        with self._lock:
            twin = self._nodes.get(ino | _TWIN)
            if time.monotonic() < until or (twin is not None and twin.users):
                return ino | _TWIN
            self._promised.pop(ino, None)
            return ino

    def opened(
        self, number: int, version: Version, *, backing: int | None, writable: bool
    ) -> tuple[OpenFlag, int]:
        """Note an open; gives the flags and the backing id to answer with.

        `backing` is a descriptor of the file's bytes, `writable` whether the opener may write. Raises ESTALE
        (after which the kernel looks the name up anew) where the opener has to take the node's twin. Nothing
        is written, so no close needs us: nor fails when the daemon is gone.
        """
        with self._lock:
            node = self._nodes.setdefault(number, _Node())
            if writable and node.backing:
                self._promised[number] = time.monotonic() + _PROMISE_SECONDS
                raise Answer(errno.ESTALE)
            if not node.users and backing is not None and not writable and inode_of(number) == number:
                node.backing = self._registered(backing)
            node.users += 1
            if node.backing:
                node.pages = None
                self.passed_through += 1
                return OpenFlag.PASSTHROUGH | OpenFlag.NOFLUSH, node.backing
            kept = node.pages == version
            node.pages = version
            return OpenFlag.NOFLUSH | (OpenFlag.KEEP_CACHE if kept else 0), 0

    def spoiled(self, number: int) -> None:
        """Somebody wrote into the node's pages, through a shared map: the next open drops them."""
        with self._lock:
            self._nodes[number].pages = None

    def released(self, number: int) -> None:
        """An open that was noted is gone."""
        with self._lock:
            node = self._nodes[number]
            node.users -= 1
            if node.backing and not node.users:
                self._unregister(node.backing)
                node.backing = 0

    def forgotten(self, number: int) -> None:
        """The kernel has dropped the node, and with it its pages."""
        with self._lock:
            node = self._nodes.get(number)
            if node is not None and not node.users:
                del self._nodes[number]

    def _registered(self, descriptor: int) -> int:
        try:
            return self._register(descriptor)
        except OSError as error:  # a file system that cannot be stacked on, as FUSE or overlayfs
            log.debug("no passthrough: %s", error)
            return 0
