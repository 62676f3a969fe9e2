"""Who reads an open file: the kernel itself (passthrough), or its page cache through the daemon.

The kernel allows one way for a node at a time (a map that was left counts). So an inode has two nodes, which
look the same to everybody: the cached one, and the passed one for read-only opens of what has a backing. A
passthrough open has the access of its opener: one that may write would write the backing (invariant I4).
Whoever comes to the wrong node gets ESTALE: the kernel then looks the name up anew, is led to the other node
and opens again, so that a file that has become complete needs no notification: open descriptors and maps of
its cached node live on beside. (FUSE_NOTIFY_INVAL_ENTRY would save that second look-up, about 0.1 ms, at the
price of a message for each name.) The kernel does so once. Who comes again after that is served where it is:
its path is no name but an open file (/proc/self/fd), or others lead the name elsewhere meanwhile.
An overlayfs on the mount keeps to the node that it found first, and cannot come again: what it opens stays at
that node. It is known by O_NOATIME, which few others use; they lose passthrough at most.
Locks (flock) of the two nodes do not see each other. Knows no messages and no tree.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from fsd.mount.faults import Answer
from fsd.mount.kernel.protocol import OpenFlag

log = logging.getLogger(__name__)

# Far above all inode numbers of a tree, which count from one.
_PASSED = 1 << 62
# How long somebody who was sent to the other node is expected there. The kernel's second try comes at once.
_PROMISE_SECONDS = 10.0
# From so many on, those who never came are looked for.
_SENT = 64

# Size and mtime in nanoseconds.
Version = tuple[int, int]


class Lender(Protocol):
    """A handle: what may lend the kernel a file. `Opens` closes it."""

    def backing(self) -> int | None:
        """A descriptor of the file's bytes, good until `close`."""

    def close(self) -> None:
        """Let go of it."""


def inode_of(node: int) -> int:
    """The tree's inode number of a node."""
    return node & ~_PASSED


def nodes_of(ino: int) -> tuple[int, int]:
    """The nodes that an inode may have."""
    return ino, ino | _PASSED


@dataclass(eq=False)
class _Node:
    """users: opens that are not released. A map keeps its own, but not one that is passed through.

    pages:   the version whose bytes the node's page cache may hold; None: it has held none.
    spoiled: somebody wrote into these pages.
    """

    users: int = 0
    pages: Version | None = None
    spoiled: bool = False


@dataclass(eq=False)
class _File:
    """An inode. Kept as long as the daemon runs, as the tree keeps its numbers.

    leads:   the node that look-ups lead to.
    sent:    threads that got ESTALE, whether each may write, and until when it is expected at the other node.
    backing: the id under which the passed node's file is registered, 0 if it is not. It is `lender`'s, which
             therefore stays open as long as anybody is passed through.
    lent:    device and inode of that file.
    refused: the kernel cannot read such a file by itself.
    settled: a file system on this one has it open, or had: readers are not led elsewhere any more.
    """

    leads: int
    cached: _Node = field(default_factory=_Node)
    passed: _Node = field(default_factory=_Node)
    sent: dict[tuple[int, bool], float] = field(default_factory=dict)
    backing: int = 0
    lender: Lender | None = None
    lent: tuple[int, int] = (0, 0)
    refused: bool = False
    settled: bool = False


class Opens:
    """The files that were opened. Safe for use by many threads.

    `register` makes a backing id of a descriptor or raises OSError, `unregister` ends it; without `register`
    nothing is passed through.
    """

    def __init__(
        self, register: Callable[[int], int] | None, unregister: Callable[[int], None] | None
    ) -> None:
        self._register = register
        self._unregister = unregister
        self._files: dict[int, _File] = {}
        self._lock = threading.Lock()
        self.passed_through = 0

    def node_of(self, ino: int, *, whole: bool) -> int:
        """The node that a look-up of the inode leads to. `whole`: all of its bytes are on some disk.

        That is a guess for who has not been opened yet: a wrong one costs the opener a second look-up.
        """
        file = self._files.get(ino)
        if file is not None:
            return file.leads
        return ino | _PASSED if whole and self._register is not None else ino

    def opened(
        self, number: int, version: Version, lender: Lender, *, writable: bool, opener: int, stacked: bool
    ) -> tuple[OpenFlag, int]:
        """Note an open by the thread `opener`; gives the flags and the backing id to answer with.

        `writable`: the opener may write; `stacked`: it is a file system on this one. From now on the lender
        is ours to close. Raises ESTALE (the lender is then the caller's) where the opener has to take the
        other node. Nothing is written, so no close needs us: nor fails when the daemon is gone.
        """
        ino = inode_of(number)
        now = time.monotonic()
        backing = lender.backing() if self._register is not None and not writable else None
        with self._lock:
            file = self._files.setdefault(ino, _File(leads=number))
            came_back = file.sent.pop((opener, writable), 0.0) > now or stacked
            file.settled = file.settled or stacked
            fits = backing is not None and _fits(file, backing)
            if number == ino:
                if fits and not (came_back or file.settled or _is_promised(file, now)):
                    raise _sent(file, ino | _PASSED, (opener, writable), now)
                return _cached(file.cached, version), 0
            if backing is not None and fits and self._is_registered(file, backing, lender):
                return self._passed(file), file.backing
            if came_back and not (writable and file.backing):
                # A reader can join those who are there; where nobody is, the node does as a cached one.
                flags = self._passed(file) if file.backing else _cached(file.passed, version)
                return flags, file.backing
            raise _sent(file, ino, (opener, writable), now)

    def spoiled(self, number: int) -> None:
        """Somebody wrote into the node's pages, through a shared map: the next open drops them."""
        with self._lock:
            self._node(number).spoiled = True

    def released(self, number: int, lender: Lender) -> None:
        """An open that was noted is gone."""
        done: list[Lender] = []
        with self._lock:
            file = self._files[inode_of(number)]
            node = self._node(number)
            node.users -= 1
            if lender is not file.lender:
                done.append(lender)
            if file.lender is not None and not file.passed.users:
                assert self._unregister is not None
                self._unregister(file.backing)
                done.append(file.lender)
                file.backing, file.lender = 0, None
        for each in done:
            each.close()

    def _node(self, number: int) -> _Node:
        file = self._files[inode_of(number)]
        return file.passed if number & _PASSED else file.cached

    def _is_registered(self, file: _File, backing: int, lender: Lender) -> bool:
        """Whether the passed node has a backing, which is registered if need be."""
        if file.backing:
            return True
        assert self._register is not None
        try:
            file.backing = self._register(backing)
        except OSError as error:  # a file system that cannot be stacked on, as FUSE or overlayfs
            log.debug("no passthrough: %s", error)
            file.refused = True
            return False
        file.lender, file.lent = lender, _identity(backing)
        return True

    def _passed(self, file: _File) -> OpenFlag:
        file.passed.users += 1
        self.passed_through += 1
        return OpenFlag.PASSTHROUGH | OpenFlag.NOFLUSH


def _sent(file: _File, node: int, whom: tuple[int, bool], now: float) -> Answer:
    """What has an opener look the name up anew; it is led to `node`."""
    if len(file.sent) >= _SENT:
        file.sent = {each: until for each, until in file.sent.items() if until > now}
    file.sent[whom] = now + _PROMISE_SECONDS
    file.leads = node
    return Answer(errno.ESTALE)


def _is_promised(file: _File, now: float) -> bool:
    """Whether somebody who may write is on the way to the cached node: no reader may lead look-ups away."""
    return any(writable and until > now for (_, writable), until in file.sent.items())


def _cached(node: _Node, version: Version) -> OpenFlag:
    # Not to keep the pages makes the kernel drop them, and wait for those that another open just reads, which
    # no signal ends: a first open, which has none to drop, must not do that to others.
    kept = not node.spoiled and node.pages in (None, version)
    node.pages, node.spoiled = version, False
    node.users += 1
    return OpenFlag.NOFLUSH | (OpenFlag.KEEP_CACHE if kept else 0)


def _fits(file: _File, backing: int) -> bool:
    """Whether the passed node can be opened with this backing: the kernel takes one a node at a time.

    A data file that was made anew waits until the old one is not open any more.
    """
    if file.refused:
        return False
    return file.lent == _identity(backing) if file.backing else not file.passed.users


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
