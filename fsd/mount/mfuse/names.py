"""What the kernel believes of each path, where a binding knows files by path alone.

libfuse gives a path one node, and the kernel gives a node one page cache. So it is noted which inode number
the kernel was told of, and whose bytes its pages may hold: they are kept across opens exactly as long as the
inode, size and mtime stand. A path whose inode changed while old handles are open gets a new node first
(`_Retirement`), so that two versions of a file never meet in one page cache (invariant I3).
Knows no tree and no binding.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

REMEMBERED = 1 << 16
RETIREMENT_SECONDS = 0.2

# Inode number, size and mtime in nanoseconds.
Version = tuple[int, int, int]


@dataclass(eq=False)
class Name:
    """A path of a file. `told`: the inode number that the last look-up answered with.

    pages:   the version whose bytes the node's page cache may hold; None: it has held none.
    spoiled: somebody wrote into these pages.
    open:    handles that are not yet released (a memory map keeps its handle).
    """

    told: int
    pages: Version | None = None
    spoiled: bool = False
    open: int = 0


class Names:
    """The paths that were looked up. Safe for use by many threads.

    `requester` tells the thread whose request is being handled, as the kernel numbers threads.
    """

    def __init__(self, requester: Callable[[], int]) -> None:
        self._names: dict[str, Name] = {}
        self._forgotten = False
        self._lock = threading.Lock()
        self._retirement = _Retirement(requester)

    def mounted_at(self, mountpoint: str) -> None:
        """Where the paths are."""
        self._retirement.mountpoint = mountpoint

    def was_told(self, path: str, ino: int) -> bool:
        """Whether the kernel knows that `path` is the inode `ino`."""
        with self._lock:
            name = self._names.get(path)
            return name is not None and name.told == ino

    def tell(self, path: str, ino: int) -> None:
        """The kernel is about to be told that `path` is the inode `ino`."""
        with self._lock:
            name = self._names.get(path)
            if name is None or (name.told != ino and not name.open):
                self._forget_idle()
                self._names[path] = Name(ino, name.pages, name.spoiled) if name else Name(ino)
                return
            if name.told == ino:
                return
        retired = self._retirement.ask(path)
        # A bounded wait, as this request may hold a lock that the retirement needs, and none for the
        # retirement's own look-up. If it was too short, the open that follows says ESTALE.
        if not self._retirement.is_asking() and retired.wait(RETIREMENT_SECONDS):
            with self._lock:
                self._names.setdefault(path, Name(ino))

    def may_tell(self, path: str, ino: int) -> bool:
        """Whether a listing may tell the kernel that `path` is `ino`: it believes so, or knows no such path.

        A listing is read in pieces, and perhaps never to its end: a change must not be told by it.
        """
        known = self._names.get(path)  # asked for each entry: a look needs no lock
        if known is not None:
            return known.told == ino
        with self._lock:
            name = self._names.get(path)
            if name is None and not self._forgotten:
                self._forget_idle()
                name = self._names[path] = Name(ino)
            return name is not None and name.told == ino

    def opened(self, path: str, version: Version) -> tuple[Name, bool] | None:
        """Note a handle; gives the name to release, and whether the kernel may keep its pages.

        None if the kernel has meanwhile been told of another inode: the handle must not be used.
        """
        with self._lock:
            name = self._names.get(path)
            if name is None or name.told != version[0]:
                return None
            # Not to keep makes the kernel drop the pages, and wait for those that another open just reads:
            # a first open, which has none to drop, must not do that to itself.
            kept = name.pages == version or (name.pages is None and not self._forgotten)
            keep = kept and not name.spoiled
            name.pages, name.spoiled = version, False
            name.open += 1
            return name, keep

    def spoiled(self, name: Name) -> None:
        """Somebody wrote into the node's pages, through a shared map: the next open drops them."""
        with self._lock:
            name.spoiled = True

    def released(self, name: Name) -> None:
        """A handle that was noted is gone."""
        with self._lock:
            name.open -= 1

    def retire(self, path: str) -> bool:
        """The kernel unlinks `path`: True if that is our own retirement of it."""
        if not self._retirement.is_asking(path):
            return False
        with self._lock:
            self._names.pop(path, None)
        return True

    def _forget_idle(self) -> None:
        """Keeps memory bounded; for a forgotten name the next open just drops the kernel's pages."""
        if len(self._names) >= REMEMBERED:
            self._names = {path: name for path, name in self._names.items() if name.open}
            self._forgotten = True


class _Retirement:
    """Gives a path a new node, by unlinking its old name in our own mount.

    The old handles then live on as those of any deleted file, and the next look-up makes a new node: there is
    no other way to have libfuse forget a path. The kernel must do it, hence a thread of its own: a handler
    that called into its own mount could wait for itself.
    """

    def __init__(self, requester: Callable[[], int]) -> None:
        self.mountpoint = ""
        self._requester = requester
        self._pending: dict[str, threading.Event] = {}
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def ask(self, path: str) -> threading.Event:
        """Have the node at `path` (as seen from the mount's top) retired; once is enough.

        The event is set when the unlink has returned. While our handler of it runs, libfuse still gives the
        old node to whoever looks the name up, and says ESTALE to the open that follows.
        """
        with self._lock:
            if path in self._pending:
                return self._pending[path]
            done = self._pending[path] = threading.Event()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prismfs-retire", daemon=True)
                self._thread.start()
        self._queue.put(path)
        return done

    def is_asking(self, path: str | None = None) -> bool:
        """Whether the request at hand is our own thread's, for `path` if that is given."""
        thread = self._thread
        ours = thread is not None and self._requester() == thread.native_id
        return ours and (path is None or path in self._pending)

    def _run(self) -> None:
        while True:
            path = self._queue.get()
            try:
                Path(self.mountpoint + path).unlink()
            except OSError as error:
                log.warning("%s: its old version keeps the name for now: %s", path, error.strerror)
            finally:
                self._pending.pop(path).set()
