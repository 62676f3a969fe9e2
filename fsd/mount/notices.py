"""What the kernel is told unasked: that something which it keeps is out of date.

Telling may have to wait for a request that is being answered, so it is done by a thread of its own, with no
lock held. Each notice is told twice: an answer that was on its way when it was told the first time could
bring back what it was about. Knows no binding.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable

log = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0

Notice = Callable[[], None]


class Notices:
    """Notices in order, told by one thread, which is started when it is needed."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()
        self._again: deque[tuple[float, Notice]] = deque()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def tell(self, notice: Notice) -> None:
        """Have `notice` called soon, and once more a second later."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prismfs-notices", daemon=True)
                self._thread.start()
        self._queue.put(notice)

    def close(self) -> None:
        """Tell nothing more."""
        self._queue.put(None)

    def _run(self) -> None:
        while True:
            wait = self._again[0][0] - time.monotonic() if self._again else None
            try:
                notice = self._queue.get(timeout=None if wait is None else max(0.0, wait))
                if notice is None:
                    return
                self._again.append((time.monotonic() + AGAIN_SECONDS, notice))
            except queue.Empty:
                notice = self._again.popleft()[1]
            try:
                notice()
            except Exception:
                log.exception("telling the kernel what is out of date")


class Told:
    """The names that a kernel was told of, by directory: `told[directory][name]` is the inode number.

    A name is noted before it is told, so that whoever looks for what is out of date misses none.
    """

    def __init__(self) -> None:
        self._names: dict[Hashable, dict[str, int]] = {}

    def note(self, directory: Hashable, name: str, ino: int) -> None:
        """The kernel is about to be told that `name` in `directory` is `ino`."""
        names = self._names.get(directory)
        if names is None:
            names = self._names.setdefault(directory, {})
        names[name] = ino

    def inside(self, directory: Hashable) -> list[tuple[str, int]]:
        """The names of a directory with their inode numbers."""
        return list(self._names.get(directory, {}).items())

    def forget(self, directory: Hashable, name: str) -> None:
        """The name is gone."""
        self._names.get(directory, {}).pop(name, None)

    def having(self, inos: set[int]) -> list[tuple[Hashable, str]]:
        """Directory and name of everything that has one of these inode numbers."""
        return [
            (directory, name)
            for directory, names in list(self._names.items())
            for name, ino in list(names.items())
            if ino in inos
        ]
