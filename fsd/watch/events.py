"""Events of a source, by inotify: somebody made, closed, moved or removed something below these directories.

An event is a hint and no more: which one it was is not told on, as a look finds out what is there. Modified
and opened files raise none that we ask for: a copy of a big file would else keep us busy, and so would our
own reads. Where the kernel has no more watches, or knows no events, `Events` says so once and is silent.
Knows watchdog; nothing of models.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

log = logging.getLogger(__name__)

_WANTED: list[type[FileSystemEvent]] = [
    DirCreatedEvent, DirDeletedEvent, DirMovedEvent,
    FileClosedEvent, FileCreatedEvent, FileDeletedEvent, FileMovedEvent,
]  # fmt: skip
# Directories outside the source that links lead to: more are looked at by polling alone.
_OUTSIDE = 1024


class Events(FileSystemEventHandler):
    """Calls `happened(path)` from a thread of its own. `follow` may be called again and again."""

    def __init__(self, happened: Callable[[str], None]) -> None:
        self._happened = happened
        self._observer = Observer()
        self._watches: dict[str, tuple[tuple[int, int], ObservedWatch]] = {}
        self._silent = False
        self._started = False

    def follow(self, directory: str, *, recursive: bool = True) -> None:
        """Have what happens in a directory told; where another has taken its place, what happens there."""
        if self._silent or (
            not recursive and directory not in self._watches and len(self._watches) >= _OUTSIDE
        ):
            return
        try:
            status = os.stat(directory)
        except OSError:
            return
        identity, watch = self._watches.get(directory, (None, None))
        if identity == (status.st_dev, status.st_ino):
            return
        try:
            if not self._started:
                self._observer.start()
                self._started = True
            if watch is not None:
                self._observer.unschedule(watch)
            watch = self._observer.schedule(self, directory, recursive=recursive, event_filter=_WANTED)
        except FileNotFoundError:
            self._watches.pop(directory, None)
            return
        except OSError as error:
            self._silent = True
            log.warning("%s: no events, it is looked at now and then: %s", directory, error.strerror or error)
            return
        self._watches[directory] = (status.st_dev, status.st_ino), watch

    def on_any_event(self, event: FileSystemEvent) -> None:
        """watchdog's call."""
        for path in (event.src_path, event.dest_path):
            if path:
                self._happened(os.fsdecode(path))

    def close(self) -> None:
        """Tell nothing more."""
        if self._started:
            self._observer.stop()
            self._observer.join(5)
